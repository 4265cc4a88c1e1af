"""Another buyer's booking, payment, ticket, PDF and picture; the door's and the office's rooms.

Every address of the site is asked with every method by everybody who is not let in there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Q
from django.forms.models import model_to_dict
from django.test import Client

from bookings.codes import sign_code
from bookings.door.models import Scan
from bookings.models import ApiKey, Booking, BookingItem, Payment, PaymentEntry, Refund, User
from bookings.outbox.models import Mail
from bookings.services import change_details
from events.models import Event, Ticket
from tests.attacks.routes import Route, all_routes
from tests.attacks.world import World
from tests.factories import make_user

pytestmark = pytest.mark.django_db

# Pages know no others; what is asked of the API with OPTIONS names methods, and no row.
PAGE_METHODS = ["GET", "POST"]
API_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
JSON = "application/json"
ADA = "Ada Private-Lovelace"

# Who is let in, by the beginning of a route's pattern; the first that fits counts. Every route of the
# site must fit one: whoever adds a new kind of address says here whom it is for.
ANYBODY, ACCOUNT, OWNER, DOOR, OFFICE = "anybody", "account", "owner", "door", "office"
AUDIENCES = {
    "api/v1/bookings/<uuid:booking_id>/": OWNER,
    "api/v1/bookings/": ANYBODY,  # Only its own are listed, and anybody may hold.
    "api/v1/events/<slug:slug>/check-in/": DOOR,
    "api/v1/events/": ANYBODY,
    "api/v1/check-in/key/": ANYBODY,
    "api/v1/webhooks/": ANYBODY,  # Whoever can sign.
    "api/schema/": ANYBODY,
    "api/docs/": ANYBODY,
    "^api/": ANYBODY,  # There is nothing.
    "webhooks/": ANYBODY,
    "problems/": ANYBODY,
    "bookings/<uuid:booking_id>/": OWNER,
    "bookings/find/": ANYBODY,
    "bookings/": ACCOUNT,
    "accounts/keys/": ACCOUNT,
    "accounts/email/": ACCOUNT,
    "accounts/password/change/": ACCOUNT,
    "accounts/password/set/": ACCOUNT,
    "accounts/reauthenticate/": ACCOUNT,
    "accounts/": ANYBODY,  # Signing up, in and out.
    "door/worker.js": ANYBODY,  # A program without data.
    "door/": DOOR,
    "events/": ANYBODY,
    "posters/": ANYBODY,
    "search/": ANYBODY,
    "sandbox/pay/": ANYBODY,  # Whoever knows the payment's unguessable id, as at a real gateway.
    "robots.txt": ANYBODY,
    "admin/login/": ANYBODY,
    "admin/logout/": ANYBODY,
    "admin/jsi18n/": ANYBODY,
    "admin/": OFFICE,
}
# Staff without any right still get in as far as the empty hall.
HALL = {
    "admin:index",
    "admin:search",
    "admin:password_change",
    "admin:password_change_done",
    "admin:view_on_site",
}


def audience(route: Route) -> str:
    if not route.pattern:
        return ANYBODY
    return next(who for beginning, who in AUDIENCES.items() if route.pattern.startswith(beginning))


# --- The people who are not let in ------------------------------------------------------


def anonymous(world: World) -> Client:
    return Client(raise_request_exception=False)


def other_guest(world: World) -> Client:
    """A guest with a booking of their own: its token in the header, and in the session."""
    client = anonymous(world)
    client.defaults["HTTP_X_BOOKING_TOKEN"] = world.guest.access_token
    session = client.session
    session["booking_tokens"] = {str(world.guest.booking.pk): world.guest.access_token}
    session.save()
    client.cookies["session"] = session.session_key
    return client


def other_account(world: World) -> Client:
    client = anonymous(world)
    client.force_login(world.mallory)
    return client


def other_program(world: World) -> Client:
    client = anonymous(world)
    client.defaults["HTTP_AUTHORIZATION"] = world.headers("mallory")["Authorization"]
    return client


def staff_without_rights(world: World) -> Client:
    client = anonymous(world)
    client.force_login(make_user(is_staff=True))
    return client


def staff_of_the_door(world: World) -> Client:
    """May check tickets in, which opens no booking and no room of the office."""
    client = anonymous(world)
    world.stan.user_permissions.set(world.stan.user_permissions.filter(codename="check_in"))
    client.force_login(world.stan)
    return client


STRANGERS: list[Callable[[World], Client]] = [
    anonymous,
    other_guest,
    other_account,
    other_program,
    staff_without_rights,
    staff_of_the_door,
]


@pytest.fixture
def alices(world: World) -> World:
    """Alice's name stands on her tickets, so that a leak of it would show."""
    holders = dict.fromkeys(world.held.items.values_list("ticket_id", flat=True), ADA)
    change_details(booking_id=world.held.pk, email=None, name=ADA, holder_names=holders)
    Booking.objects.filter(pk=world.booked.pk).update(name=ADA)
    return world


@pytest.mark.parametrize("stranger", STRANGERS, ids=lambda person: person.__name__)
def test_nobody_sees_or_changes_what_is_not_theirs(alices: World, stranger: Callable[[World], Client]):
    client, before = stranger(alices), picture(alices)
    secrets, form = secrets_of(alices), form_body(alices)
    let_in, leaks = [], []

    for route in all_routes():
        if audience(route) == DOOR and stranger is staff_of_the_door:
            continue
        address = route.address(alices)
        for method in API_METHODS if is_of_programs(address) else PAGE_METHODS:
            answer = ask(client, method, address, form)
            if not is_turned_away(answer, route, stranger):
                let_in.append((method, route.pattern, answer.status_code))
            # The page of a payment says what is paid for, to whoever knows its id.
            if route.name != "sandbox:pay" and any(word in answer.content for word in secrets):
                leaks.append((method, route.pattern))

    assert let_in == []
    assert leaks == []
    assert picture(alices) == before


def test_the_same_addresses_open_for_those_they_are_for(alices: World):
    """Otherwise the matrix would be clean because its addresses lead nowhere."""
    owner, office = Client(), Client()
    owner.force_login(alices.alice)
    office.force_login(make_user(is_staff=True, is_superuser=True))
    form, shut = form_body(alices), []

    for route in all_routes():
        who = {OWNER: owner, ACCOUNT: owner, DOOR: office, OFFICE: office}.get(audience(route))
        if who is None or ask(who, "GET", route.address(alices), form).status_code in {200, 302}:
            continue
        if ask(who, "POST", route.address(alices), form).status_code not in {200, 201, 302, 400, 409}:
            shut.append(route.pattern)

    # Nobody adds or deletes such rows in the office, and of some there are none.
    assert [pattern for pattern in shut if not pattern.startswith("admin/")] == []
    assert len(shut) <= 30, shut


def is_of_programs(address: str) -> bool:
    return address.startswith(("/api/", "/webhooks/"))


def ask(client: Client, method: str, address: str, form: dict[str, Any]) -> Any:
    """The request, with a body that would do something, were it let in."""
    if method in {"GET", "DELETE"}:
        return client.generic(method, address)
    if not is_of_programs(address):
        return client.post(address, form)
    members = {"check-in": ["code", "door"], "refunds": ["tickets"], "payments": [], "extend": []}
    wanted = members.get(address.rstrip("/").rpartition("/")[2], ["name", "email"])
    body = {name: form[name] for name in wanted}
    return client.generic(method, address, json.dumps(body), content_type=JSON)


def form_body(world: World) -> dict[str, Any]:
    """Something for every form there is; what a form does not know it ignores."""
    return {
        "tickets": [world.ticket_id],
        "amount": "30.00",
        "name": "Changed",
        "email": "mallory@example.org",
        "code": BookingItem.objects.get(booking=world.booked, ticket_id=world.ticket_id).code,
        "door": "Mallory's",
        "title": world.event.title,
        "reason": "Because",
        "action": "delete_selected",
        "_selected_action": [world.booked.pk],
        "post": "yes",
        "card_number": "0",
    }


def is_turned_away(answer: Any, route: Route, stranger: Callable[[World], Client]) -> bool:
    """Whether the answer keeps out whoever has no business there; and no answer is ever a 500."""
    status = answer.status_code
    who = audience(route)
    if status >= 500:
        return False
    if who == ANYBODY or status == 405:
        return True
    if who == OWNER:
        return status == 404
    if who == ACCOUNT:
        is_known = stranger not in {anonymous, other_guest, other_program}
        return is_known or is_sent_to_sign_in(answer)
    if who == OFFICE and stranger in {staff_without_rights, staff_of_the_door} and route.name in HALL:
        return status in {200, 302, 404}
    return status in {401, 403, 404} or is_sent_to_sign_in(answer)


def is_sent_to_sign_in(answer: Any) -> bool:
    where = answer.headers.get("Location", "")
    return answer.status_code == 302 and where.split("?")[0] in {"/accounts/login/", "/admin/login/"}


def picture(world: World) -> dict[str, list[Any]]:
    """Every row that is Alice's, the guest's or the house's, as it is in the database."""
    bookings = [booking.pk for booking in world.own_bookings]
    of_bookings = Q(booking__in=bookings)
    rows = {
        Booking: Booking.objects.filter(pk__in=bookings),
        BookingItem: BookingItem.objects.filter(of_bookings),
        Payment: Payment.objects.filter(of_bookings),
        Refund: Refund.objects.filter(of_bookings),
        Mail: Mail.objects.filter(of_bookings),
        PaymentEntry: PaymentEntry.objects.all(),
        Ticket: Ticket.objects.filter(booking_id__in=bookings),
        Event: Event.objects.all(),
        ApiKey: ApiKey.objects.filter(pk=world.api_key.pk),
        User: User.objects.filter(pk=world.alice.pk),
        Scan: Scan.objects.filter(pk=world.scan.pk),
    }
    return {
        model.__name__: [
            model_to_dict(row, [field.name for field in model._meta.fields]) for row in found.order_by("pk")
        ]
        for model, found in rows.items()
    }


def secrets_of(world: World) -> list[bytes]:
    items = BookingItem.objects.filter(booking=world.booked, refund=None)
    words = [ADA, world.alice.email, world.booked.reference, world.held.reference]
    words += [item.code or "" for item in items] + [sign_code(item) for item in items]
    assert all(words)
    return [word.encode() for word in words]
