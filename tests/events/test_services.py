"""Publishing and the other changes that an organiser makes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.utils import timezone

from bookings import payments
from bookings.models import Booking, BookingItem, Payment
from bookings.sandbox.models import SandboxIntent
from bookings.services import Buyer, hold_tickets, sweep_expired_holds
from events import services
from events.exceptions import (
    ImpossibleTimes,
    NothingForSale,
    QuantityTooLow,
    TicketsTaken,
    UnclearPrice,
    WrongStatus,
)
from events.models import Event, PriceTier, Seat, Ticket, Venue
from events.services import NewDate
from events.signals import event_moved
from tests.factories import make_event, make_user, make_venue
from tests.utils import assert_audit_is_clean, let_hold_lapse

pytestmark = pytest.mark.django_db


def make_seats(venue: Venue, section: str, *, rows: int = 2, seats: int = 3, category: str = "") -> None:
    Seat.objects.bulk_create(
        Seat(
            venue=venue,
            guid=f"{section}-{row}-{number}",
            section=section,
            row="ABC"[row],
            number=str(number + 1),
            category=category,
            row_index=row,
            place=number,
        )
        for row in range(rows)
        for number in range(seats)
    )


def make_tier(event: Event, name: str, **fields: Any) -> PriceTier:
    fields = {"price": Decimal("20.00"), "is_seated": "quantity" not in fields} | fields
    return PriceTier.objects.create(event=event, name=name, **fields)


def make_hall() -> Event:
    """A draft with six stalls seats, six balcony seats, and ten standing places."""
    event = make_event(status="draft")
    make_seats(event.venue, "Stalls")
    make_seats(event.venue, "Balcony", category="cheap")
    make_tier(event, "Best", sections=["Stalls"], position=1)
    make_tier(event, "CHEAP", position=2)
    make_tier(event, "Standing", quantity=10, position=0)
    return event


def take(ticket: Ticket, status: str = "booked", *, minutes: int = 10) -> Ticket:
    """Give the ticket to a buyer, the way the services leave the rows."""
    until = timezone.now() + timedelta(minutes=minutes)
    booking = Booking.objects.create(
        event=ticket.event,
        status=status,
        booked_at=timezone.now() if status == "booked" else None,
        account=make_user(),
        expires_at=until,
        total=ticket.price_tier.price,
        currency="EUR",
    )
    BookingItem.objects.create(
        booking=booking, ticket=ticket, price_tier=ticket.price_tier, price=ticket.price_tier.price
    )
    ticket.status = status
    ticket.booking_id = booking.pk
    ticket.reserved_until = until if status == "reserved" else None
    ticket.save()
    return ticket


def seat_facts(event: Event) -> list[tuple[Any, ...]]:
    return list(
        event.tickets.order_by("position").values_list(
            "position", "price_tier__name", "seat__section", "seat__row", "seat__number"
        )
    )


def test_publish_event_makes_one_ticket_per_place_in_order() -> None:
    event = make_hall()

    made = services.publish_event(event)

    facts = seat_facts(event)
    assert made == 22
    assert [fact[0] for fact in facts] == list(range(22))
    assert facts[:4] == [
        (0, "Best", "Stalls", "A", "1"),
        (1, "Best", "Stalls", "A", "2"),
        (2, "Best", "Stalls", "A", "3"),
        (3, "Best", "Stalls", "B", "1"),
    ]
    assert facts[6] == (6, "CHEAP", "Balcony", "A", "1")
    assert [fact[1:] for fact in facts[12:]] == [("Standing", None, None, None)] * 10
    assert set(event.tickets.values_list("status", flat=True)) == {"available"}
    event.refresh_from_db()
    assert event.status == "published"


def test_publish_event_again_changes_nothing() -> None:
    event = make_hall()
    services.publish_event(event)
    before = list(event.tickets.order_by("id").values())

    assert services.publish_event(event) == 0

    assert list(event.tickets.order_by("id").values()) == before


def test_publish_event_in_small_batches_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "BATCH", 4)
    event, steps = make_hall(), []

    services.publish_event(event, progress=lambda done, total: steps.append((done, total)))

    assert steps == [(4, 22), (8, 22), (12, 22), (16, 22), (20, 22), (22, 22)]
    assert [fact[0] for fact in seat_facts(event)] == list(range(22))


@pytest.mark.django_db(transaction=True)
def test_publish_event_finishes_a_run_that_broke_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "BATCH", 4)
    event = make_hall()

    def die(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        services.publish_event(event, progress=die)
    event.refresh_from_db()
    assert (event.status, event.tickets.count()) == ("draft", 4)

    assert services.publish_event(event) == 18
    assert [fact[0] for fact in seat_facts(event)] == list(range(22))


def test_publish_event_appends_new_seats_and_keeps_positions() -> None:
    event = make_hall()
    services.publish_event(event)
    before = seat_facts(event)
    make_seats(event.venue, "Box", rows=1, seats=2, category="Cheap")
    event.price_tiers.filter(name="Standing").update(quantity=11)

    assert services.publish_event(event) == 3

    facts = seat_facts(event)
    assert facts[:22] == before
    assert facts[22:] == [
        (22, "CHEAP", "Box", "A", "1"),
        (23, "CHEAP", "Box", "A", "2"),
        (24, "Standing", None, None, None),
    ]


def test_publish_event_drops_seats_no_longer_sold() -> None:
    event = make_hall()
    services.publish_event(event)
    event.tickets.all()
    event.price_tiers.filter(name="CHEAP").update(sections=["Balcony"])
    Seat.objects.filter(section="Stalls", row="B").update(section="Rear")

    services.publish_event(event)

    assert event.tickets.filter(seat__section="Rear").count() == 0
    assert event.tickets.count() == 19


@pytest.mark.parametrize("status", ["reserved", "booked"])
def test_publish_event_refuses_to_drop_a_taken_seat(status: str) -> None:
    event = make_hall()
    services.publish_event(event)
    take(event.tickets.get(seat__section="Stalls", seat__row="B", seat__number="2"), status)
    Seat.objects.filter(section="Stalls", row="B").update(section="Rear")

    with pytest.raises(TicketsTaken, match=r"1 ticket is reserved or booked .*: Rear, row B, seat 2"):
        services.publish_event(event)

    assert event.tickets.count() == 22


def test_publish_event_keeps_back_a_dropped_seat_that_was_once_held() -> None:
    event = make_hall()
    services.publish_event(event)
    held = take(
        event.tickets.get(seat__section="Stalls", seat__row="B", seat__number="2"), "reserved", minutes=-1
    )
    Seat.objects.filter(section="Stalls", row="B").update(section="Rear")

    services.publish_event(event)
    services.publish_event(event)

    held.refresh_from_db()
    assert (held.status, held.booking_id, held.reserved_until) == ("blocked", None, None)
    assert event.tickets.count() == 20


def test_publish_event_moves_only_untouched_tickets_to_another_tier() -> None:
    event = make_hall()
    services.publish_event(event)
    booked = take(event.tickets.get(seat__section="Balcony", seat__row="A", seat__number="1"))
    services.block_tickets(event.tickets.filter(position=7))
    event.price_tiers.filter(name="Best").update(sections=["Stalls", "Balcony"])
    event.price_tiers.filter(name="CHEAP").update(is_seated=False, quantity=5)

    services.publish_event(event)

    assert event.tickets.filter(seat__isnull=False, price_tier__name="Best").count() == 11
    booked.refresh_from_db()
    assert booked.price_tier.name == "CHEAP"
    assert event.tickets.get(position=7).status == "blocked"


def test_publish_event_shrinks_general_admission_from_the_end() -> None:
    event = make_hall()
    services.publish_event(event)
    event.price_tiers.filter(name="Standing").update(quantity=4)

    services.publish_event(event)

    positions = event.tickets.filter(price_tier__name="Standing").values_list("position", flat=True)
    assert list(positions.order_by("position")) == [12, 13, 14, 15]


def test_publish_event_shrinks_general_admission_once_where_places_were_held() -> None:
    event = make_hall()
    services.publish_event(event)
    standing = event.tickets.filter(price_tier__name="Standing")
    for ticket in standing:
        take(ticket, "reserved", minutes=-1)
    event.price_tiers.filter(name="Standing").update(quantity=4)

    services.publish_event(event)
    services.publish_event(event)

    assert standing.filter(status="blocked").count() == 6
    assert standing.available().count() == 4


def test_publish_event_refuses_a_quantity_below_what_is_taken() -> None:
    event = make_hall()
    services.publish_event(event)
    for ticket in event.tickets.filter(price_tier__name="Standing")[:3]:
        take(ticket)
    event.price_tiers.filter(name="Standing").update(quantity=2)

    with pytest.raises(QuantityTooLow, match=r"3 tickets of “Standing” .* cannot be 2"):
        services.publish_event(event)

    assert event.tickets.count() == 22


def test_publish_event_refuses_a_cancelled_event() -> None:
    event = make_hall()
    Event.objects.update(status="cancelled")

    with pytest.raises(WrongStatus):
        services.publish_event(event)


class LatePayment:
    """A payment that begins to book a hold's tickets in a thread of its own, as the hold runs out.

    It commits once somebody waits for its rows, or when it is told that nobody does.
    """

    def __init__(self, ticket: Ticket, monkeypatch: pytest.MonkeyPatch) -> None:
        buyer = Buyer(email="late@example.org")
        self.booking = hold_tickets(event=ticket.event, ticket_ids=[ticket.pk], buyer=buyer).booking
        self.payment = payments.start_payment(booking_id=self.booking.pk)
        SandboxIntent.objects.update(status="authorised")
        self.has_taken, self.may_commit = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run)
        self._take_tickets = payments._take_tickets
        monkeypatch.setattr(payments, "_take_tickets", self._take_and_wait)

    def begin(self) -> None:
        self.thread.start()
        assert self.has_taken.wait(timeout=10)

    def finish(self) -> None:
        self.may_commit.set()
        self.thread.join(timeout=10)

    def _run(self) -> None:
        try:
            if Ticket.objects.filter(booking_id=self.booking.pk).exists():
                let_hold_lapse(self.booking)
            payments.settle_payment(self.payment.pk)
        finally:
            connections.close_all()

    def _take_and_wait(self, booking: Booking) -> bool:
        taken = self._take_tickets(booking)
        self.has_taken.set()
        deadline = time.monotonic() + 10
        while not (self.may_commit.is_set() or is_waited_for() or time.monotonic() > deadline):
            time.sleep(0.01)
        return taken


def is_waited_for() -> bool:
    """Whether another connection waits for a row that this one has locked."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
        return cursor.fetchone() is not None


def drop_a_seat(event: Event) -> Ticket:
    ticket = event.tickets.get(seat__section="Stalls", seat__row="B", seat__number="3")
    Seat.objects.filter(section="Stalls", row="B").update(section="Rear")
    return ticket


def offer_one_place_less(event: Event) -> Ticket:
    for ticket in event.tickets.filter(position__in=range(12, 21)):
        take(ticket, "reserved")
    event.price_tiers.filter(name="Standing").update(quantity=9)
    return event.tickets.get(position=21)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("change", "lock"), [(drop_a_seat, 1), (offer_one_place_less, 2)])
def test_publish_event_leaves_a_ticket_to_a_payment_that_comes_at_the_same_moment(
    change: Callable[[Event], Ticket], lock: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hold is live when the free tickets are locked, and has run out when they are taken off sale."""
    event = make_hall()
    services.publish_event(event)
    ticket = change(event)
    late = LatePayment(ticket, monkeypatch)
    lock_in_order, locks_taken = services._lock_in_order, []

    def lock_and_be_overtaken(*args: Any) -> list[int]:
        ids = lock_in_order(*args)
        locks_taken.append(ids)
        if len(locks_taken) == lock:
            late.begin()
        return ids

    monkeypatch.setattr(services, "_lock_in_order", lock_and_be_overtaken)

    with pytest.raises((TicketsTaken, QuantityTooLow)):
        services.publish_event(event)
    late.finish()

    ticket.refresh_from_db()
    assert (ticket.status, ticket.booking_id) == ("booked", late.booking.pk)
    assert Payment.objects.get().status == "captured"
    assert_audit_is_clean()


def test_publish_event_refuses_an_event_with_nothing_for_sale() -> None:
    event = make_event(status="draft")

    with pytest.raises(NothingForSale, match="add a price tier first"):
        services.publish_event(event)

    event.refresh_from_db()
    assert event.status == "draft"


def test_publish_event_refuses_a_section_the_venue_lacks() -> None:
    event = make_hall()
    make_tier(event, "Typo", sections=["Stals"])

    with pytest.raises(NothingForSale, match="“Typo” lists a section that the venue does not have: Stals"):
        services.publish_event(event)


def test_publish_event_refuses_a_tier_that_sells_no_seat() -> None:
    event = make_hall()
    make_tier(event, "Nowhere")

    with pytest.raises(NothingForSale, match="“Nowhere” sells no seat"):
        services.publish_event(event)


def test_publish_event_refuses_a_section_of_two_tiers() -> None:
    event = make_hall()
    make_tier(event, "Second", sections=["Stalls"])

    with pytest.raises(UnclearPrice, match="“Stalls” is claimed by more than one price tier: Second, Best"):
        services.publish_event(event)


def test_block_tickets_changes_available_ones_only() -> None:
    event = make_hall()
    services.publish_event(event)
    tickets = list(event.tickets.order_by("position")[:3])
    take(tickets[0])
    take(tickets[1], "reserved")

    assert services.block_tickets(event.tickets.filter(position__lt=3)) == 1

    statuses = event.tickets.order_by("position").values_list("status", flat=True)[:3]
    assert list(statuses) == ["booked", "reserved", "blocked"]


@pytest.mark.django_db(transaction=True)
def test_block_tickets_leaves_one_that_was_held_while_it_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    event = make_hall()
    services.publish_event(event)
    ticket = event.tickets.get(position=0)
    late = LatePayment(ticket, monkeypatch)
    let_hold_lapse(late.booking)
    sweep_expired_holds()
    late.begin()

    changed = services.block_tickets(event.tickets.filter(position__lt=2))
    late.finish()

    ticket.refresh_from_db()
    assert (changed, ticket.status, ticket.booking_id) == (1, "booked", late.booking.pk)
    assert_audit_is_clean()


def test_publish_event_leaves_an_event_cancelled_that_was_cancelled_meanwhile() -> None:
    event = make_hall()

    def cancel_elsewhere(*_progress: int) -> None:
        Event.objects.filter(pk=event.pk).update(status="cancelled")

    with pytest.raises(WrongStatus, match="cancelled"):
        services.publish_event(event, progress=cancel_elsewhere)

    event.refresh_from_db()
    assert event.status == "cancelled"


def test_unblock_tickets_puts_them_on_sale_again() -> None:
    event = make_hall()
    services.publish_event(event)
    services.block_tickets(event.tickets.filter(position=0))

    assert services.unblock_tickets(event.tickets.filter(position__lt=2)) == 1

    assert event.tickets.filter(status="available").count() == 22


def test_postpone_and_cancel_stop_the_sale() -> None:
    event = make_hall()
    services.publish_event(event)

    services.postpone_event(event)
    event.refresh_from_db()
    assert event.status == "postponed"

    services.cancel_event(event)
    event.refresh_from_db()
    assert event.status == "cancelled"


def test_publish_event_refuses_a_postponed_event() -> None:
    event = make_hall()
    services.publish_event(event)
    services.postpone_event(event)

    with pytest.raises(WrongStatus, match="new date"):
        services.publish_event(event)

    event.refresh_from_db()
    assert event.status == "postponed"


def test_set_new_date_moves_the_end_of_the_sale_and_puts_it_on_sale_again() -> None:
    day = timedelta(days=1)
    event = make_event(status="postponed")
    start = event.starts_at
    Event.objects.update(off_sale_at=start - day, refunds_until=start - 7 * day)

    services.set_new_date(event, NewDate(start + 3 * day, start + 4 * day, start + 2 * day))

    event.refresh_from_db()
    assert (event.starts_at, event.ends_at, event.doors_at) == (
        start + 3 * day,
        start + 4 * day,
        start + 2 * day,
    )
    assert (event.off_sale_at, event.refunds_until) == (start + 2 * day, start - 4 * day)
    assert event.status == "published"


def test_set_new_date_never_shortens_the_time_to_return_tickets() -> None:
    event = make_event()
    promised = event.starts_at - timedelta(days=7)
    Event.objects.update(refunds_until=promised)

    earlier = event.starts_at - timedelta(days=3)
    services.set_new_date(event, NewDate(earlier, earlier + timedelta(hours=2)))

    event.refresh_from_db()
    assert event.refunds_until == promised


def test_set_new_date_refuses_impossible_times_and_changes_nothing() -> None:
    event = make_event(status="postponed")

    with pytest.raises(ImpossibleTimes):
        services.set_new_date(event, NewDate(event.ends_at, event.starts_at))

    event.refresh_from_db()
    assert event.status == "postponed"


def test_save_event_keeps_the_status_that_it_has_by_now() -> None:
    event = make_event()
    Event.objects.update(status="cancelled")

    event.title = "Renamed"
    services.save_event(event)

    event.refresh_from_db()
    assert (event.title, event.status) == ("Renamed", "cancelled")


def test_save_event_tells_what_moved_and_only_that() -> None:
    event, heard = make_event(), []
    start = event.starts_at

    def hear(before: Event, event: Event, **_signal: object) -> None:
        heard.append((before.starts_at, event.starts_at))

    event_moved.connect(hear)
    try:
        event.summary = "Another"
        assert not services.save_event(event)
        event.starts_at -= timedelta(hours=1)
        assert services.save_event(event)
        assert not services.save_event(make_event(starts_at=start))
    finally:
        event_moved.disconnect(hear)

    assert heard == [(start, start - timedelta(hours=1))]


def test_postpone_refuses_a_draft() -> None:
    event = make_hall()

    with pytest.raises(WrongStatus, match="draft"):
        services.postpone_event(event)


def test_clone_event_copies_all_but_tickets() -> None:
    event = make_hall()
    event.source_key = "import:1"
    event.save()
    services.publish_event(event)

    first, second = services.clone_event(event), services.clone_event(event)

    assert [first.slug, second.slug] == [f"{event.slug}-2", f"{event.slug}-3"]
    first.refresh_from_db()
    assert (first.status, first.source_key, first.tickets.count()) == ("draft", None, 0)
    names = first.price_tiers.order_by("position").values_list("name", "quantity", "sections")
    assert list(names) == [("Standing", 10, []), ("Best", None, ["Stalls"]), ("CHEAP", None, [])]
    assert event.tickets.count() == 22


def test_publish_event_command_tells_what_is_not_sold(capsys: pytest.CaptureFixture[str]) -> None:
    event = make_hall()
    make_seats(event.venue, "Box", rows=1, seats=2)

    call_command("publish_event", event.slug)

    assert capsys.readouterr().out == (
        f"{event} is published: 22 new tickets, 22 in all.\n"
        "No price tier sells 2 of the venue's seats (Box).\n"
    )


def test_publish_event_command_refuses_with_the_reason() -> None:
    event = make_event(status="draft", venue=make_venue())

    with pytest.raises(CommandError, match="Nothing is for sale yet"):
        call_command("publish_event", event.slug)
    with pytest.raises(CommandError, match="There is no event “nowhere”"):
        call_command("publish_event", "nowhere")
