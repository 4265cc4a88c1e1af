"""A box office in the middle of its day: every kind of row that an address can name, and who owns it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Permission

from bookings.door.models import Scan
from bookings.door.services import admit
from bookings.keys import make_key
from bookings.models import ApiKey, Booking, BookingItem, Payment, Refund, User
from bookings.outbox.models import Mail
from bookings.payments import start_payment
from bookings.refunds import finish_refunds, request_refund
from bookings.sandbox.models import SandboxIntent
from bookings.services import Buyer, HeldBooking, hold_tickets, release_hold
from events.models import Category, Event, Performer
from tests.bookings.buying import buy
from tests.factories import make_event, make_general_admission, make_seated, make_user, ticket_ids

STAFF_RIGHTS = ["door.check_in", "bookings.add_refund", "bookings.view_booking", "bookings.change_booking"]


@dataclass
class World:
    """Alice and a guest have bookings; Mallory has an account and nothing; Stan works here."""

    event: Event
    draft: Event
    alice: User
    mallory: User
    stan: User
    keys: dict[str, str]
    # Alice's: paid for, with a scan, a mail and a refund of one ticket; and one still held.
    booked: Booking
    held: Booking
    # The guest's: held, and released.
    guest: HeldBooking
    released: Booking
    payment: Payment
    refund: Refund
    scan: Scan
    mail: Mail
    api_key: ApiKey

    def headers(self, who: str) -> dict[str, str]:
        """How the account authenticates to the API."""
        return {"Authorization": f"Token {self.keys[who]}"}

    @property
    def own_bookings(self) -> list[Booking]:
        return [self.booked, self.held, self.guest.booking, self.released]

    @property
    def ticket_id(self) -> int:
        """One of Alice's tickets, paid for and valid."""
        return BookingItem.objects.filter(booking=self.booked, refund=None).earliest("ticket_id").ticket_id

    @property
    def intent(self) -> SandboxIntent:
        return SandboxIntent.objects.get(idempotency_key=str(self.payment.pk))


def make_world() -> World:
    category = Category.objects.create(name="Opera", slug="opera")
    event = make_event(title="The Long Night", summary="A night at the opera.", category=category)
    event.refunds_until = event.starts_at
    event.save(update_fields=["refunds_until"])
    event.performers.add(Performer.objects.create(name="Ada Quartet", slug="ada-quartet"))
    make_seated(event, rows=3, seats=10)
    make_general_admission(event, 40)
    draft = make_event(status=Event.Status.DRAFT)
    people = {"alice": make_user(), "mallory": make_user(), "stan": make_user(is_staff=True)}
    people["stan"].user_permissions.set([_permission(name) for name in STAFF_RIGHTS])
    made_keys = {name: make_key(account=account, name="A program") for name, account in people.items()}
    alice = Buyer(account=people["alice"], email=people["alice"].email)
    free = ticket_ids(event)
    booked = buy(event, free[:3], buyer=alice)
    refund = request_refund(booking_id=booked.pk, ticket_ids=free[:1], origin=Refund.Origin.STAFF)
    finish_refunds()
    entering = booked.items.get(ticket_id=free[1])
    scan = admit(event=event, code=entering.code, door="North", by=people["stan"]).scan
    held = hold_tickets(event=event, ticket_ids=free[3:5], buyer=alice).booking
    payment = start_payment(booking_id=held.pk)
    guest = hold_tickets(event=event, ticket_ids=free[5:7], buyer=Buyer(email="guest@example.org"))
    released = hold_tickets(event=event, ticket_ids=free[7:9], buyer=alice).booking
    release_hold(booking_id=released.pk)
    return World(
        event=event,
        draft=draft,
        **people,
        keys={name: secret for name, (_key, secret) in made_keys.items()},
        booked=booked,
        held=held,
        guest=guest,
        released=released,
        payment=payment,
        refund=Refund.objects.get(pk=refund.pk),
        scan=scan,
        mail=Mail.objects.filter(booking=booked).first(),
        api_key=made_keys["alice"][0],
    )


def _permission(name: str) -> Permission:
    app, _dot, codename = name.partition(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)


def known_values(world: World) -> dict[str, list[Any]]:
    """For each parameter of the API, by name: values that there are, and some that there are not."""
    bookings = [str(booking.pk) for booking in world.own_bookings]
    tickets = list(world.booked.items.values_list("ticket_id", flat=True)) + ticket_ids(world.event)[-8:]
    return {
        "slug": [world.event.slug, world.event.slug, world.draft.slug, "no-such-event"],
        "booking_id": [*bookings, str(uuid.uuid4())],
        "ticket_id": [*tickets, 1, 2**31],
        "scan_id": [str(world.scan.pk), str(uuid.uuid4())],
        "X-Booking-Token": [world.guest.access_token, "wrong"],
    }
