"""Holding: what a hold takes, refuses, extends and gives back."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from uuid import uuid4

import pytest
from django.db import OperationalError, connection
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from bookings import exceptions, payments, services
from bookings.models import Booking
from bookings.services import Buyer, hold_best_available, hold_tickets
from events import locks, moments
from events.models import Event, Seat, Ticket
from events.pictures import picture_of
from events.raw_clients import raw_client
from tests.factories import (
    make_event,
    make_general_admission,
    make_seated,
    make_seated_event,
    make_user,
    ticket_ids,
)
from tests.utils import assert_audit_is_clean, let_hold_lapse

GUEST = Buyer(email="guest@example.org")
OTHER = Buyer(email="other@example.org")

pytestmark = pytest.mark.django_db


def states(event: Event) -> list[str]:
    return list(event.tickets.order_by("position").values_list("status", flat=True))


def test_hold_reserves_exactly_the_wanted_tickets():
    event = make_seated_event(seats=4, price="12.50")
    wanted = ticket_ids(event)[1:3]

    held = hold_tickets(event=event, ticket_ids=wanted, buyer=GUEST)

    booking = Booking.objects.get()
    assert states(event) == ["available", "reserved", "reserved", "available"]
    assert list(booking.items.values_list("ticket_id", "price")) == [(i, Decimal("12.50")) for i in wanted]
    assert (booking.total, booking.currency, booking.status) == (Decimal("25.00"), "EUR", "reserved")
    assert booking.has_access_token(held.access_token)
    assert not booking.has_access_token("another")
    assert set(event.tickets.filter(booking_id=booking.pk).values_list("reserved_until", flat=True)) == {
        booking.expires_at
    }
    assert timedelta(seconds=598) < booking.expires_at - timezone.now() <= timedelta(seconds=600)
    assert_audit_is_clean()


def test_hold_has_its_whole_time_however_long_its_transaction_has_lasted():
    event = make_seated_event()
    began = let_time_pass()

    booking = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=GUEST).booking

    assert booking.expires_at >= began + timedelta(seconds=600.2)


@pytest.mark.parametrize("is_seated", [True, False])
def test_what_lapsed_since_the_transaction_began_can_be_held(is_seated: bool):
    event = make_event()
    tier = make_seated(event, seats=1) if is_seated else make_general_admission(event, 1)
    first = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=GUEST).booking
    began = let_time_pass()
    Ticket.objects.filter(booking_id=first.pk).update(reserved_until=began + timedelta(seconds=0.1))
    raw_client("locks").flushdb()

    held = hold_best_available(event=event, price_tier_id=tier.pk, quantity=1, buyer=Buyer())

    assert [ticket.ticket_id for ticket in held.tickets] == ticket_ids(event)


def test_what_lapses_in_a_moment_cannot_be_held_yet():
    event = make_seated_event(seats=1)
    first = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=GUEST).booking
    Ticket.objects.filter(booking_id=first.pk).update(reserved_until=Now() + timedelta(seconds=3))
    raw_client("locks").flushdb()

    with pytest.raises(exceptions.TicketsUnavailable):
        hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=Buyer())


def test_sale_that_began_since_the_transaction_did_is_open():
    event = make_seated_event()
    event.on_sale_at = let_time_pass() + timedelta(seconds=0.1)
    event.save()

    assert hold_tickets(event=event, ticket_ids=ticket_ids(event)[:1], buyer=GUEST).tickets


def let_time_pass() -> datetime:
    """Let 0.2 s go by in the database, and say when the transaction began."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now(), pg_sleep(0.2)")
        return cursor.fetchone()[0]


@pytest.mark.django_db(transaction=True)
def test_hold_keeps_its_locks_for_what_is_left_and_no_longer():
    event = make_seated_event(seats=2)
    ids = ticket_ids(event)

    held = hold_tickets(event=event, ticket_ids=ids, buyer=GUEST)

    assert locks.owners(event.pk) == dict.fromkeys(ids, held.booking.pk)
    assert locks.kept_beyond_lease(event.pk, ids) == set(ids)
    lives = locks.ask(lambda c: c.execute_command("HPTTL", locks.lock_key(event.pk), "FIELDS", 2, *ids))
    assert all(590_000 < life <= 600_000 for life in lives)


def test_hold_of_a_taken_ticket_holds_nothing_and_names_what_is_gone_and_what_is_near():
    event = make_seated_event(seats=6)
    ids = ticket_ids(event)
    hold_tickets(event=event, ticket_ids=ids[:1], buyer=GUEST)
    locks.release(event.pk, ids[:1], Booking.objects.get().pk)

    with pytest.raises(exceptions.TicketsUnavailable) as refusal:
        hold_tickets(event=event, ticket_ids=ids[:2], buyer=Buyer(email="other@example.org"))

    assert refusal.value.unavailable == ids[:1]
    assert refusal.value.suggestion == ids[1:3]
    assert Booking.objects.count() == 1
    assert states(event) == ["reserved"] + ["available"] * 5
    assert locks.owners(event.pk) == {}


def test_hold_of_a_locked_ticket_does_not_write_to_the_database(django_assert_num_queries):
    event = make_seated_event(seats=3)
    ids = ticket_ids(event)
    hold_tickets(event=event, ticket_ids=ids, buyer=GUEST)

    # A picture of the hall is taken, for something near; the tickets themselves are not asked about.
    with django_assert_num_queries(3), pytest.raises(exceptions.TicketsUnavailable) as refusal:
        hold_tickets(event=event, ticket_ids=ids[:1], buyer=Buyer(email="other@example.org"))

    assert refusal.value.unavailable == ids[:1]
    assert refusal.value.suggestion == []


def test_lapsed_hold_can_be_taken_at_once_without_a_sweeper():
    event = make_seated_event(seats=2)
    first = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=GUEST).booking
    let_hold_lapse(first)
    locks.release(event.pk, ticket_ids(event), first.pk)

    second = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=GUEST).booking

    assert set(event.tickets.values_list("booking_id", flat=True)) == {second.pk}
    assert_audit_is_clean()


@pytest.mark.parametrize(
    "fields",
    [
        {"status": Event.Status.DRAFT},
        {"status": Event.Status.CANCELLED},
        {"status": Event.Status.POSTPONED},
        {"off_sale_at": timezone.now() - timedelta(minutes=1)},
        {"starts_at": timezone.now() - timedelta(minutes=1)},
    ],
)
def test_hold_outside_the_sale_is_refused(fields):
    event = make_seated_event(seats=1, **fields)

    with pytest.raises(exceptions.NotOnSale) as refusal:
        hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=GUEST)

    assert refusal.value.on_sale_at is None
    assert states(event) == ["available"]


def test_hold_before_the_sale_says_when_it_begins():
    on_sale_at = timezone.now() + timedelta(days=1)
    event = make_seated_event(seats=1, on_sale_at=on_sale_at)

    with pytest.raises(exceptions.NotOnSale) as refusal:
        hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=GUEST)

    assert refusal.value.on_sale_at == on_sale_at


def test_hold_of_another_events_ticket_is_refused():
    event, other = make_seated_event(seats=1), make_seated_event(seats=1)

    with pytest.raises(exceptions.InvalidTickets):
        hold_tickets(event=event, ticket_ids=ticket_ids(event) + ticket_ids(other), buyer=GUEST)

    assert (states(event), states(other)) == (["available"], ["available"])


@pytest.mark.parametrize("ids", [[], [1, 1]])
def test_hold_of_no_ticket_or_one_twice_is_refused(ids):
    with pytest.raises(exceptions.InvalidTickets):
        hold_tickets(event=make_seated_event(), ticket_ids=ids, buyer=GUEST)


def test_blocked_ticket_cannot_be_held():
    event = make_seated_event(seats=1)
    event.tickets.update(status=Ticket.Status.BLOCKED)

    with pytest.raises(exceptions.TicketsUnavailable):
        hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=GUEST)

    assert states(event) == ["blocked"]


def test_limit_counts_all_live_and_booked_bookings_of_an_account():
    event = make_seated_event(seats=6, max_tickets_per_booking=3)
    ids = ticket_ids(event)
    buyer = Buyer(account=make_user(), email="a@example.org")
    hold_tickets(event=event, ticket_ids=ids[:2], buyer=buyer)

    with pytest.raises(exceptions.LimitExceeded) as refusal:
        hold_tickets(event=event, ticket_ids=ids[2:4], buyer=buyer)
    assert refusal.value.limit == 3

    hold_tickets(event=event, ticket_ids=ids[2:3], buyer=buyer)
    hold_tickets(event=event, ticket_ids=ids[3:6], buyer=Buyer(account=make_user()))
    assert states(event) == ["reserved"] * 6


def test_limit_counts_booked_tickets_after_their_hold_is_over():
    event = make_seated_event(seats=4, price="0.00", max_tickets_per_booking=3)
    ids = ticket_ids(event)
    booking = hold_tickets(event=event, ticket_ids=ids[:2], buyer=GUEST).booking
    payments.start_payment(booking_id=booking.pk)
    Booking.objects.update(expires_at=timezone.now() - timedelta(minutes=1))

    with pytest.raises(exceptions.LimitExceeded):
        hold_tickets(event=event, ticket_ids=ids[2:], buyer=GUEST)
    hold_tickets(event=event, ticket_ids=ids[2:3], buyer=GUEST)

    assert states(event) == ["booked", "booked", "reserved", "available"]


def test_limit_forgets_lapsed_and_released_holds():
    event = make_seated_event(seats=3, max_tickets_per_booking=1)
    ids = ticket_ids(event)
    let_hold_lapse(hold_tickets(event=event, ticket_ids=ids[:1], buyer=GUEST).booking)
    released = hold_tickets(event=event, ticket_ids=ids[1:2], buyer=GUEST).booking
    services.release_hold(booking_id=released.pk)

    hold_tickets(event=event, ticket_ids=ids[2:], buyer=GUEST)

    assert Booking.objects.open_holds().count() == 1


def test_limit_of_a_nameless_buyer_is_by_network_address(settings):
    settings.HOLD_TICKETS_PER_ADDRESS = 3
    event = make_seated_event(seats=6)
    ids = ticket_ids(event)
    here = Buyer(address="192.0.2.1")
    hold_tickets(event=event, ticket_ids=ids[:2], buyer=here)

    with pytest.raises(exceptions.LimitExceeded) as refusal:
        hold_tickets(event=event, ticket_ids=ids[2:4], buyer=here)

    assert refusal.value.limit == 3
    hold_tickets(event=event, ticket_ids=ids[2:4], buyer=Buyer(address="192.0.2.2"))


def test_what_an_address_let_lapse_counts_on_for_half_an_hour(settings):
    settings.HOLD_TICKETS_PER_ADDRESS = 2
    event = make_seated_event(seats=4)
    ids = ticket_ids(event)
    here = Buyer(address="192.0.2.1")
    lapsed = hold_tickets(event=event, ticket_ids=ids[:2], buyer=here).booking
    let_hold_lapse(lapsed)

    with pytest.raises(exceptions.LimitExceeded):
        hold_tickets(event=event, ticket_ids=ids[2:3], buyer=here)
    services.sweep_expired_holds()
    with pytest.raises(exceptions.LimitExceeded):
        hold_tickets(event=event, ticket_ids=ids[2:3], buyer=here)

    let_hold_lapse(lapsed, seconds=30 * 60)
    assert hold_tickets(event=event, ticket_ids=ids[2:], buyer=here).booking.is_hold


def test_what_an_address_gave_back_counts_no_more(settings):
    settings.HOLD_TICKETS_PER_ADDRESS = 2
    event = make_seated_event(seats=4)
    ids = ticket_ids(event)
    here = Buyer(address="192.0.2.1")
    held = hold_tickets(event=event, ticket_ids=ids[:2], buyer=here).booking
    services.release_hold(booking_id=held.pk)

    assert hold_tickets(event=event, ticket_ids=ids[2:], buyer=here).booking.is_hold


def test_guests_with_e_mail_are_bounded_by_network_address_too(settings):
    settings.HOLD_TICKETS_PER_ADDRESS = 1
    event = make_general_admission(make_event(), 12).event
    ids = ticket_ids(event)

    def made_up(number: int) -> Buyer:
        return Buyer(email=f"made-up-{number}@example.org", address="192.0.2.1")

    for number in range(10):
        hold_tickets(event=event, ticket_ids=ids[number : number + 1], buyer=made_up(number))
    with pytest.raises(exceptions.LimitExceeded) as refusal:
        hold_tickets(event=event, ticket_ids=ids[10:11], buyer=made_up(10))

    assert refusal.value.limit == 10
    # Who gives none is counted apart, and accounts not at all.
    hold_tickets(event=event, ticket_ids=ids[10:11], buyer=Buyer(address="192.0.2.1"))
    hold_tickets(event=event, ticket_ids=ids[11:], buyer=Buyer(account=make_user(), address="192.0.2.1"))


def test_general_admission_goes_back_to_what_was_returned_behind_the_last_sale():
    event = make_event()
    tier = make_general_admission(event, 6)
    first, *_rest = [
        hold_best_available(event=event, price_tier_id=tier.pk, quantity=2, buyer=Buyer()) for _ in range(3)
    ]
    services.release_hold(booking_id=first.booking.pk)

    again = hold_best_available(event=event, price_tier_id=tier.pk, quantity=2, buyer=Buyer())

    assert {held.ticket_id for held in again.tickets} == {held.ticket_id for held in first.tickets}


def test_general_admission_takes_unsold_tickets_and_then_lapsed_ones():
    event = make_event()
    tier = make_general_admission(event, 3)
    ids = ticket_ids(event)
    let_hold_lapse(hold_tickets(event=event, ticket_ids=ids[:2], buyer=Buyer()).booking)

    held = hold_best_available(event=event, price_tier_id=tier.pk, quantity=2, buyer=Buyer())

    assert ids[2] in {ticket.ticket_id for ticket in held.tickets}
    assert_audit_is_clean()


def test_best_available_takes_neighbours_in_the_middle_of_the_front_row():
    event = make_event()
    tier = make_seated(event, rows=2, seats=8)

    held = hold_best_available(event=event, price_tier_id=tier.pk, quantity=4, buyer=GUEST)

    assert list(held.booking.items.values_list("ticket__position", flat=True)) == [2, 3, 4, 5]


def test_best_available_without_neighbours_suggests_what_is_free():
    event = make_seated_event(seats=5)
    ids = ticket_ids(event)
    hold_tickets(event=event, ticket_ids=[ids[1], ids[3]], buyer=GUEST)

    with pytest.raises(exceptions.TicketsUnavailable) as refusal:
        hold_best_available(
            event=event,
            price_tier_id=event.price_tiers.get().pk,
            quantity=2,
            buyer=Buyer(email="b@example.org"),
        )

    assert (refusal.value.available, refusal.value.suggestion) == (3, [ids[0], ids[2]])


def test_best_available_of_a_draft_tells_nothing_of_its_seats():
    event = make_seated_event(seats=1, status=Event.Status.DRAFT)

    with pytest.raises(exceptions.NotOnSale):
        hold_best_available(event=event, price_tier_id=event.price_tiers.get().pk, quantity=2, buyer=GUEST)


def test_best_available_asks_for_no_other_row_than_those_it_holds(django_assert_num_queries):
    event = make_seated_event(rows=5, seats=100)
    tier = event.price_tiers.get()
    hold_best_available(event=event, price_tier_id=tier.pk, quantity=2, buyer=GUEST)

    # The tier, and the hold between a savepoint and its release.
    with django_assert_num_queries(4):
        hold_best_available(event=event, price_tier_id=tier.pk, quantity=2, buyer=OTHER)

    assert event.tickets.filter(status="reserved").count() == 4


@pytest.fixture
def keep_picture(monkeypatch) -> Callable[[Event], None]:
    """Choices are made from the picture of this moment, as by a process that hears of nothing for a while."""

    def keep(event: Event) -> None:
        picture = picture_of(event.slug)
        assert picture.counts.ticket_count
        monkeypatch.setattr(services, "recent_picture_of", {event.slug: picture}.__getitem__)

    return keep


@pytest.fixture
def tries(monkeypatch) -> list[int]:
    """How many choices were passed over, for each time that some were tried."""
    numbers = []
    take_first = locks.take_first

    def try_and_tell(*args):
        lock, number = take_first(*args)
        numbers.append(number)
        return lock, number

    monkeypatch.setattr(locks, "take_first", try_and_tell)
    return numbers


def test_best_available_sends_nobody_where_another_was_sent(keep_picture, tries):
    event = make_seated_event(rows=2, seats=8)
    keep_picture(event)
    tier = event.price_tiers.get()

    for number in range(8):
        buyer = Buyer(email=f"{number}@example.org")
        hold_best_available(event=event, price_tier_id=tier.pk, quantity=2, buyer=buyer)

    assert tries == [0] * 8
    assert states(event) == ["reserved"] * 16


def test_best_available_that_is_just_taken_is_followed_by_the_next_best(keep_picture, tries):
    event = make_event()
    tier = make_seated(event, rows=2, seats=20)
    ids = ticket_ids(event)
    # In the second row three seats are free: any two leave one alone.
    event.tickets.filter(pk__in=[*ids[20:28], *ids[31:]]).update(status="blocked")
    keep_picture(event)
    locks.take(event.pk, ids[8:12], uuid4())

    held = hold_best_available(event=event, price_tier_id=tier.pk, quantity=2, buyer=GUEST)

    assert tries != [0]
    assert [ids.index(ticket.ticket_id) for ticket in held.tickets] in ([6, 7], [12, 13])


def test_best_available_without_the_cache_is_found_though_a_rival_always_takes_the_best_first(monkeypatch):
    event = make_seated_event(rows=10, seats=20)

    def a_rival_is_first(_event_id, choices, _booking_id):
        event.tickets.filter(pk__in=choices[0]).update(status="blocked")
        return locks.LockResult.UNKNOWN, 0

    monkeypatch.setattr(locks, "take_first", a_rival_is_first)

    hold_best_available(event=event, price_tier_id=event.price_tiers.get().pk, quantity=2, buyer=GUEST)

    assert states(event).count("reserved") == 2


def test_best_available_is_in_the_front_row_of_whatever_section():
    event = make_event()
    tier = make_seated(event, rows=11, seats=4)
    Seat.objects.filter(venue=event.venue, row_index=10).update(section="Wing", row_index=0)
    ids = ticket_ids(event)

    rows = []
    for buyer in (GUEST, OTHER):
        held = hold_best_available(event=event, price_tier_id=tier.pk, quantity=4, buyer=buyer)
        rows += {ids.index(ticket.ticket_id) // 4 for ticket in held.tickets}

    assert rows == [0, 10]


def test_best_available_that_are_scattered_are_close_in_the_order_of_the_hall():
    event = make_event()
    tier = make_seated(event, rows=4, seats=4)
    Seat.objects.filter(venue=event.venue, row_index__gt=1).update(section="Wing")
    Seat.objects.filter(venue=event.venue, section="Wing").update(row_index=F("row_index") - 2)
    ids = ticket_ids(event)
    free = [ids[0], ids[5], ids[9], ids[15]]
    event.tickets.exclude(pk__in=free).update(status="blocked")

    with pytest.raises(exceptions.TicketsUnavailable) as refusal:
        hold_best_available(event=event, price_tier_id=tier.pk, quantity=3, buyer=GUEST)

    assert (refusal.value.available, refusal.value.suggestion) == (4, free[:3])


@pytest.mark.parametrize(
    "why", [{"on_sale_at": timezone.now() + timedelta(days=1)}, {"status": Event.Status.CANCELLED}]
)
def test_best_available_of_what_is_not_on_sale_says_so_before_how_much_there_is(why):
    event = make_seated_event(seats=1)
    Event.objects.filter(pk=event.pk).update(**why)
    event.refresh_from_db()

    with pytest.raises(exceptions.NotOnSale):
        hold_best_available(event=event, price_tier_id=event.price_tiers.get().pk, quantity=2, buyer=GUEST)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_named", [True, False])
def test_hold_that_cannot_be_committed_gives_its_locks_back(monkeypatch, is_named):
    event = make_seated_event(seats=2)
    hold = partial(hold_best_available, price_tier_id=event.price_tiers.get().pk, quantity=2)
    if is_named:
        hold = partial(hold_tickets, ticket_ids=ticket_ids(event))

    def fail(*_args):
        raise OperationalError

    monkeypatch.setattr(connection, "commit", fail)
    with pytest.raises(OperationalError):
        hold(event=event, buyer=GUEST)
    monkeypatch.undo()

    assert locks.owners(event.pk) == {}
    assert states(event) == ["available", "available"]


@pytest.mark.parametrize("known_by", ["locks", "rows"])
def test_best_available_learns_what_others_took(keep_picture, tries, monkeypatch, known_by):
    event = make_seated_event(rows=4, seats=20)
    ids = ticket_ids(event)
    keep_picture(event)
    if known_by == "locks":
        locks.take(event.pk, ids[:40], uuid4())
    else:
        monkeypatch.setattr(locks.breaker, "allows_call", lambda: False)
        event.tickets.filter(pk__in=ids[:40]).update(status="blocked")
    held = hold_best_available(event=event, price_tier_id=event.price_tiers.get().pk, quantity=2, buyer=GUEST)

    # Without the cache a choice by chance of what is left, which may be in the last row.
    assert {ids.index(ticket.ticket_id) // 20 for ticket in held.tickets} <= {2, 3}
    # Eight choices of the first row, eight of the second, and then what is free.
    assert len(tries) <= 4
    # Whoever chooses next knows.
    picture = services.recent_picture_of(event.slug)
    assert {run.row_index for run in picture.runs_of(event.price_tiers.get().pk, 1)} == {2, 3}


def test_best_available_refuses_nobody_because_of_an_older_picture(keep_picture):
    event = make_seated_event(seats=2)
    first = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=OTHER)
    keep_picture(event)
    services.release_hold(booking_id=first.booking.pk)
    # Given back after the commit, which a test has none of.
    raw_client("locks").flushdb()

    held = hold_best_available(event=event, price_tier_id=event.price_tiers.get().pk, quantity=2, buyer=GUEST)

    assert states(event) == ["reserved", "reserved"]
    assert held.booking.items.count() == 2


def test_best_available_is_of_its_tier_whatever_an_older_picture_says(keep_picture, tries):
    event = make_event()
    stalls = make_seated(event, rows=2, seats=4, name="Stalls")
    balcony = make_seated(event, seats=4, name="Balcony")
    keep_picture(event)
    front_row = ticket_ids(event)[:4]
    event.tickets.filter(pk__in=front_row).update(price_tier=balcony)

    held = hold_best_available(event=event, price_tier_id=stalls.pk, quantity=2, buyer=GUEST)

    assert {ticket.price_tier_id for ticket in held.tickets} == {stalls.pk}
    assert not {ticket.ticket_id for ticket in held.tickets}.intersection(front_row)
    # All of the row are learned at once.
    assert len(tries) == 2


@pytest.mark.parametrize("seats", [2, moments.SMALL_HALL + 1])
def test_best_available_takes_what_others_were_sent_to_rather_than_refuse(seats):
    event = make_seated_event(seats=seats)
    services.recent_picture_of(event.slug).note_suggested(ticket_ids(event))

    hold_best_available(event=event, price_tier_id=event.price_tiers.get().pk, quantity=2, buyer=GUEST)

    assert states(event).count("reserved") == 2


def test_general_admission_takes_any_and_says_how_many_are_left():
    event = make_event()
    tier = make_general_admission(event, 3)
    hold_best_available(event=event, price_tier_id=tier.pk, quantity=2, buyer=GUEST)

    with pytest.raises(exceptions.TicketsUnavailable) as refusal:
        hold_best_available(event=event, price_tier_id=tier.pk, quantity=2, buyer=GUEST)

    assert refusal.value.available == 1
    assert sorted(states(event)) == ["available", "reserved", "reserved"]


def test_general_admission_takes_lapsed_tickets_again():
    event = make_event()
    tier = make_general_admission(event, 2)
    let_hold_lapse(hold_best_available(event=event, price_tier_id=tier.pk, quantity=2, buyer=GUEST).booking)

    again = hold_best_available(event=event, price_tier_id=tier.pk, quantity=2, buyer=GUEST).booking

    assert set(event.tickets.values_list("booking_id", flat=True)) == {again.pk}


def test_extension_gives_ten_more_minutes_as_often_as_the_event_allows():
    event = make_seated_event(seats=1, max_extensions=2)
    booking = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=GUEST).booking

    for _time in range(2):
        extended = services.extend_hold(booking_id=booking.pk)
    with pytest.raises(exceptions.ExtensionLimit):
        services.extend_hold(booking_id=booking.pk)

    assert extended.expires_at == booking.expires_at + timedelta(minutes=20)
    assert extended.extensions_left == 0
    assert event.tickets.get().reserved_until == extended.expires_at
    assert_audit_is_clean()


def test_extension_of_a_lapsed_hold_is_refused():
    event = make_seated_event(seats=1)
    booking = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=GUEST).booking
    let_hold_lapse(booking)

    with pytest.raises(exceptions.HoldExpired):
        services.extend_hold(booking_id=booking.pk)

    assert not event.tickets.filter(reserved_until__gt=timezone.now()).exists()


def test_extension_of_a_hold_that_lost_a_ticket_while_it_waited_is_refused(monkeypatch):
    event = make_seated_event(seats=2)
    booking = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=GUEST).booking
    lock_live_hold = services.lock_live_hold

    def lock_and_lose_a_ticket(booking_id):
        locked = lock_live_hold(booking_id)
        event.tickets.filter(position=0).update(status="available", booking_id=None, reserved_until=None)
        return locked

    monkeypatch.setattr(services, "lock_live_hold", lock_and_lose_a_ticket)
    with pytest.raises(exceptions.HoldExpired):
        services.extend_hold(booking_id=booking.pk)

    booking.refresh_from_db()
    assert booking.extensions_used == 0


@pytest.mark.django_db(transaction=True)
def test_lock_never_outlives_its_row_however_long_the_hold_waited(monkeypatch):
    event = make_seated_event(seats=1)
    reserve_tickets = services.reserve_tickets

    def reserve_and_wait(*args):
        reserved = reserve_tickets(*args)
        time.sleep(1)
        return reserved

    monkeypatch.setattr(services, "reserve_tickets", reserve_and_wait)
    held = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=GUEST)

    [life] = locks.ask(
        lambda c: c.execute_command("HPTTL", locks.lock_key(event.pk), "FIELDS", 1, *ticket_ids(event))
    )
    left = held.booking.expires_at - services.database_time()
    assert life <= left.total_seconds() * 1000 + 50


@pytest.mark.django_db(transaction=True)
def test_release_gives_tickets_and_locks_back_and_can_be_repeated():
    event = make_seated_event(seats=2)
    booking = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=GUEST).booking

    services.release_hold(booking_id=booking.pk)
    services.release_hold(booking_id=booking.pk)

    booking.refresh_from_db()
    assert booking.status == "released"
    assert states(event) == ["available", "available"]
    assert locks.owners(event.pk) == {}


def test_release_leaves_tickets_that_someone_else_has_meanwhile():
    event = make_seated_event(seats=2)
    ids = ticket_ids(event)
    first = hold_tickets(event=event, ticket_ids=ids, buyer=GUEST).booking
    let_hold_lapse(first)
    locks.release(event.pk, ids, first.pk)
    second = hold_tickets(event=event, ticket_ids=ids[:1], buyer=Buyer(email="b@example.org")).booking

    services.release_hold(booking_id=first.pk)

    assert list(event.tickets.order_by("position").values_list("booking_id", flat=True)) == [second.pk, None]


def test_details_can_be_changed_while_the_hold_lives():
    event = make_seated_event(seats=2)
    ids = ticket_ids(event)
    booking = hold_tickets(event=event, ticket_ids=ids, buyer=Buyer(address="192.0.2.1")).booking

    services.change_details(
        booking_id=booking.pk, email="Ada@Example.org", name="Ada", holder_names={ids[1]: "Grace"}
    )

    booking.refresh_from_db()
    assert (booking.email, booking.name) == ("ada@example.org", "Ada")
    assert list(booking.items.values_list("holder_name", flat=True)) == ["", "Grace"]


def test_details_cannot_be_used_to_pass_the_limit():
    event = make_seated_event(seats=2, max_tickets_per_booking=1)
    ids = ticket_ids(event)
    hold_tickets(event=event, ticket_ids=ids[:1], buyer=GUEST)
    nameless = hold_tickets(event=event, ticket_ids=ids[1:], buyer=Buyer(address="192.0.2.1")).booking

    with pytest.raises(exceptions.LimitExceeded):
        services.change_details(booking_id=nameless.pk, email=GUEST.email)

    nameless.refresh_from_db()
    assert nameless.email == ""


def test_details_cannot_be_emptied_to_pass_the_limit(settings):
    settings.HOLD_TICKETS_PER_ADDRESS = 2
    event = make_seated_event(seats=3)
    ids = ticket_ids(event)
    here = Buyer(address="192.0.2.1")
    named = hold_tickets(event=event, ticket_ids=ids[:1], buyer=here).booking
    services.change_details(booking_id=named.pk, email="ada@example.org")
    hold_tickets(event=event, ticket_ids=ids[1:], buyer=here)

    with pytest.raises(exceptions.LimitExceeded):
        services.change_details(booking_id=named.pk, email="")

    named.refresh_from_db()
    assert named.email == "ada@example.org"


def test_details_of_another_bookings_ticket_are_refused_and_nothing_is_kept():
    event = make_seated_event(seats=2)
    ids = ticket_ids(event)
    booking = hold_tickets(event=event, ticket_ids=ids[:1], buyer=GUEST).booking

    with pytest.raises(exceptions.InvalidTickets):
        services.change_details(booking_id=booking.pk, name="Ada", holder_names={ids[1]: "Mallory"})

    booking.refresh_from_db()
    assert booking.name == ""


@pytest.mark.django_db(transaction=True)
def test_sweeper_closes_lapsed_holds_and_leaves_live_ones():
    event = make_seated_event(seats=3)
    ids = ticket_ids(event)
    lapsed = hold_tickets(event=event, ticket_ids=ids[:2], buyer=GUEST).booking
    live = hold_tickets(event=event, ticket_ids=ids[2:], buyer=GUEST).booking
    let_hold_lapse(lapsed)

    assert services.sweep_expired_holds() == 1
    assert services.sweep_expired_holds() == 0

    lapsed.refresh_from_db()
    live.refresh_from_db()
    assert (lapsed.status, live.status) == ("expired", "reserved")
    assert states(event) == ["available", "available", "reserved"]
    assert_audit_is_clean()


@pytest.mark.django_db(transaction=True)
def test_sweeper_drops_locks_that_outlived_their_hold_but_no_lease():
    event = make_seated_event(seats=3)
    ids = ticket_ids(event)
    held = hold_tickets(event=event, ticket_ids=ids[:1], buyer=GUEST).booking
    ghost = Booking(event=event).pk
    locks.keep(event.pk, [ids[1]], ghost, milliseconds=500_000)
    locks.take(event.pk, [ids[2]], ghost)

    services.sweep_expired_holds()

    assert locks.owners(event.pk) == {ids[0]: held.pk, ids[2]: ghost}
