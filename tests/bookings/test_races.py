"""Races on real threads and real transactions: whatever happens at once, nothing is sold twice.

Each ends with the audit. The last test takes the guard away and shows that the race is real.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from functools import partial

import pytest
from django.db import connection, transaction

from bookings import exceptions, payments, reserving, services
from bookings.audit import find_violations
from bookings.models import Booking, Payment
from bookings.payments import settle_payment, start_payment
from bookings.sandbox.models import SandboxIntent
from bookings.services import Buyer, HeldBooking, hold_best_available, hold_tickets
from events import locks
from events.models import Ticket
from events.pictures import _take_picture
from tests.factories import make_event, make_general_admission, make_seated_event, make_user, ticket_ids
from tests.utils import assert_audit_is_clean, let_hold_lapse, run_together

pytestmark = pytest.mark.django_db(transaction=True)


def buyer(number: int) -> Buyer:
    return Buyer(email=f"buyer{number}@example.org")


def held(results: list) -> list[HeldBooking]:
    return [result for result in results if isinstance(result, HeldBooking)]


def refusals(results: list) -> set[type]:
    return {type(result) for result in results if not isinstance(result, HeldBooking)}


def accidents(results: list) -> list[Exception]:
    """The errors that are no refusal of the box office's: a deadlock, a timeout, a bug."""
    return [
        result
        for result in results
        if isinstance(result, Exception) and not isinstance(result, exceptions.BoxOfficeError)
    ]


@pytest.fixture(params=["locks", "no locks"])
def _with_and_without_cache(request, monkeypatch):
    """The same race twice: with the cache's locks, and with a cache that never answers."""
    if request.param == "no locks":
        monkeypatch.setattr(locks.breaker, "allows_call", lambda: False)


def assert_one_winner(crowd: int) -> None:
    event = make_seated_event(seats=1)
    seat = ticket_ids(event)

    results = run_together(
        [partial(hold_tickets, event=event, ticket_ids=seat, buyer=buyer(n)) for n in range(crowd)]
    )

    winners = held(results)
    assert len(winners) == 1
    assert refusals(results) == {exceptions.TicketsUnavailable}
    assert event.tickets.get().booking_id == winners[0].booking.pk
    assert Booking.objects.count() == 1
    assert_audit_is_clean()


def test_two_hundred_buyers_for_one_seat_have_one_winner():
    assert_one_winner(200)


def test_one_seat_has_one_winner_by_the_database_alone(monkeypatch):
    monkeypatch.setattr(locks.breaker, "allows_call", lambda: False)
    assert_one_winner(40)


@pytest.mark.usefixtures("_with_and_without_cache")
def test_hundred_buyers_for_overlapping_pairs_neither_deadlock_nor_hold_half():
    event = make_seated_event(seats=41)
    ids = ticket_ids(event)
    pairs = [ids[n : n + 2] for n in range(40)]
    wishes = [random.sample(pairs[n % 40], 2) for n in range(100)]

    results = run_together(
        [partial(hold_tickets, event=event, ticket_ids=wish, buyer=buyer(n)) for n, wish in enumerate(wishes)]
    )

    winners = held(results)
    assert refusals(results) <= {exceptions.TicketsUnavailable}
    assert winners
    assert event.tickets.filter(status="reserved").count() == 2 * len(winners)
    assert {winner.booking.items.count() for winner in winners} == {2}
    assert_audit_is_clean()


def test_last_general_admission_tickets_go_to_as_many_as_there_are():
    event = make_event()
    tier = make_general_admission(event, 50)

    results = run_together(
        [
            partial(hold_best_available, event=event, price_tier_id=tier.pk, quantity=1, buyer=buyer(n))
            for n in range(64)
        ]
    )

    assert len(held(results)) == 50
    assert refusals(results) == {exceptions.TicketsUnavailable}
    assert event.tickets.filter(status="reserved").count() == 50
    assert_audit_is_clean()


@pytest.mark.usefixtures("_with_and_without_cache")
@pytest.mark.parametrize("one_process", [True, False])
def test_best_available_for_many_at_once_sells_every_pair_once(monkeypatch, one_process):
    event = make_seated_event(rows=5, seats=8)
    tier = event.price_tiers.get()
    if not one_process:
        # Each chooses for itself, and all are sent to the same seats.
        monkeypatch.setattr(services, "recent_picture_of", _take_picture)

    results = run_together(
        [
            partial(hold_best_available, event=event, price_tier_id=tier.pk, quantity=2, buyer=buyer(n))
            for n in range(24)
        ]
    )

    # A pair of any row that is left can be held.
    assert len(held(results)) == 20
    assert refusals(results) == {exceptions.TicketsUnavailable}
    assert event.tickets.filter(status="reserved").count() == 40
    assert_audit_is_clean()


@pytest.mark.usefixtures("_with_and_without_cache")
def test_best_available_refuses_nobody_while_processes_choose_the_same(monkeypatch):
    """Each of two processes sells what the other's picture shows as free."""
    event = make_seated_event(rows=25, seats=40)
    tier = event.price_tiers.get()
    own_picture = threading.local()
    pictures = itertools.cycle([_take_picture(event.slug), _take_picture(event.slug)])
    monkeypatch.setattr(services, "recent_picture_of", lambda _slug: own_picture.kept)

    def hold_ten(name: str) -> list[HeldBooking]:
        own_picture.kept = next(pictures)
        return [
            hold_best_available(
                event=event, price_tier_id=tier.pk, quantity=2, buyer=Buyer(email=f"{name}{n}@example.org")
            )
            for n in range(10)
        ]

    results = run_together([partial(hold_ten, name) for name in "abcdefghijklmnop"])

    assert [type(result) for result in results] == [list] * 16
    assert event.tickets.filter(status="reserved").count() == 320
    assert_audit_is_clean()


def test_one_buyer_in_many_windows_stays_within_the_limit():
    event = make_seated_event(seats=30, max_tickets_per_booking=4)
    ids = ticket_ids(event)
    account = Buyer(account=make_user())

    results = run_together(
        [
            partial(hold_tickets, event=event, ticket_ids=ids[2 * n : 2 * n + 2], buyer=account)
            for n in range(15)
        ]
    )

    assert len(held(results)) == 2
    assert refusals(results) == {exceptions.LimitExceeded}
    assert event.tickets.filter(status="reserved").count() == 4
    assert_audit_is_clean()


def somebody_waits_for_a_buyer() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
            WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"""
        )
        return cursor.fetchone()[0] > 0


def test_hold_that_waited_for_its_buyer_counts_what_was_held_meanwhile():
    event = make_seated_event(seats=3, max_tickets_per_booking=2)
    ids = ticket_ids(event)
    account = Buyer(account=make_user())
    has_held = threading.Event()

    def hold_and_linger() -> None:
        with transaction.atomic():
            hold_tickets(event=event, ticket_ids=ids[:2], buyer=account)
            has_held.set()
            deadline = time.monotonic() + 30
            while not somebody_waits_for_a_buyer():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            # Whoever waits for the buyer has locked no ticket yet.
            event.tickets.select_for_update(nowait=True).get(pk=ids[2])

    def hold_another() -> HeldBooking:
        has_held.wait(timeout=30)
        return hold_tickets(event=event, ticket_ids=ids[2:], buyer=account)

    lingering, another = run_together([hold_and_linger, hold_another])

    assert lingering is None
    assert isinstance(another, exceptions.LimitExceeded)
    assert_audit_is_clean()


def test_double_click_on_pay_makes_one_payment():
    event = make_seated_event(seats=1)
    booking = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=buyer(1)).booking

    results = run_together([partial(start_payment, booking_id=booking.pk)] * 8)

    assert len({payment.pk for payment in results}) == 1
    assert len({payment.redirect_url for payment in results}) == 1
    assert (Payment.objects.count(), SandboxIntent.objects.count()) == (1, 1)


def authorised_payment(booking: Booking) -> Payment:
    payment = start_payment(booking_id=booking.pk)
    SandboxIntent.objects.filter(pk=payment.gateway_reference).update(status="authorised")
    return payment


def test_payment_settled_by_many_at_once_books_once():
    event = make_seated_event(seats=2)
    booking = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=buyer(1)).booking
    payment = authorised_payment(booking)

    results = run_together([partial(settle_payment, payment.pk)] * 8)

    assert {result.status for result in results} <= {"authorised", "captured"}
    payments.finish_payments()
    assert Payment.objects.get().status == "captured"
    assert Booking.objects.get().status == "booked"
    assert_audit_is_clean()


@pytest.mark.parametrize("round_number", range(8))
def test_confirm_against_sweeper_against_release_against_another_buyer(round_number):
    """A lapsed hold that is paid, swept, given up and wanted by others, all in the same moment."""
    event = make_seated_event(seats=2)
    ids = ticket_ids(event)
    booking = hold_tickets(event=event, ticket_ids=ids, buyer=buyer(0)).booking
    payment = authorised_payment(booking)
    let_hold_lapse(booking)
    locks.release(event.pk, ids, booking.pk)
    calls = [
        partial(settle_payment, payment.pk),
        services.sweep_expired_holds,
        partial(services.release_hold, booking_id=booking.pk),
        *(partial(hold_tickets, event=event, ticket_ids=ids[n % 2 :], buyer=buyer(n + 1)) for n in range(4)),
    ]
    random.Random(round_number).shuffle(calls)

    results = run_together(calls)

    assert accidents(results) == []
    services.sweep_expired_holds()
    payments.finish_payments()
    booking.refresh_from_db()
    payment.refresh_from_db()
    assert (booking.status, payment.status) in {
        ("booked", "captured"),
        ("expired", "voided"),
        ("released", "voided"),
    }
    assert (event.tickets.filter(booking_id=booking.pk).count() == 2) == (booking.status == "booked")
    assert_audit_is_clean()


def test_hold_that_runs_out_while_it_is_paid_goes_to_one_of_the_two():
    for round_number in range(5):
        event = make_seated_event(seats=1)
        seat = ticket_ids(event)
        late = hold_tickets(event=event, ticket_ids=seat, buyer=buyer(1)).booking
        payment = authorised_payment(late)
        let_hold_lapse(late)
        locks.release(event.pk, seat, late.pk)

        results = run_together(
            [
                partial(settle_payment, payment.pk),
                partial(hold_tickets, event=event, ticket_ids=seat, buyer=buyer(2)),
            ][:: 1 if round_number % 2 else -1]
        )

        assert accidents(results) == []
        payment.refresh_from_db()
        ticket = event.tickets.get()
        assert (ticket.status, ticket.booking_id == late.pk, payment.status) in {
            ("booked", True, "captured"),
            ("reserved", False, "voided"),
        }
    assert_audit_is_clean()


def test_three_sweepers_at_once_close_each_hold_once():
    event = make_seated_event(seats=20)
    for n, ticket_id in enumerate(ticket_ids(event)):
        let_hold_lapse(hold_tickets(event=event, ticket_ids=[ticket_id], buyer=buyer(n)).booking)

    results = run_together([services.sweep_expired_holds] * 3)
    services.sweep_expired_holds()

    assert sum(results) == 20
    assert set(Booking.objects.values_list("status", flat=True)) == {"expired"}
    assert set(event.tickets.values_list("status", flat=True)) == {"available"}
    assert_audit_is_clean()


def test_opposite_orders_of_the_same_seats_do_not_deadlock():
    event = make_seated_event(seats=10)
    ids = ticket_ids(event)
    for _round in range(5):
        results = run_together(
            [
                partial(hold_tickets, event=event, ticket_ids=ids[:: 1 if n % 2 else -1], buyer=buyer(n))
                for n in range(16)
            ]
        )
        assert len(held(results)) == 1
        assert refusals(results) == {exceptions.TicketsUnavailable}
        services.release_hold(booking_id=held(results)[0].booking.pk)
    assert_audit_is_clean()


def test_control_without_the_guard_the_same_seat_is_sold_twice(monkeypatch):
    """Takes the condition out of the statement that reserves: the race must then appear.

    Otherwise the tests above would pass for want of a race, and prove nothing.
    """
    monkeypatch.setattr(locks.breaker, "allows_call", lambda: False)
    unguarded = reserving.HOLD_CERTAIN_TICKETS.replace(reserving.IS_AVAILABLE, "true")
    monkeypatch.setattr(reserving, "HOLD_CERTAIN_TICKETS", unguarded)
    event = make_seated_event(seats=1)

    results = run_together(
        [partial(hold_tickets, event=event, ticket_ids=ticket_ids(event), buyer=buyer(n)) for n in range(2)]
    )

    assert len(held(results)) == 2
    assert Ticket.objects.count() == 1
    violations = find_violations()
    assert len(violations) == 1
    assert "is a live hold, but its ticket" in violations[0]


def test_hold_waits_for_no_lock_longer_than_the_role_allows():
    """The engine's role, not the code, is what bounds a wait: see `ticketing/local`."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone()[0] == "2s"
