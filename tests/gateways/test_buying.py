"""The whole path with Stripe: from the hold to tickets and money, through everything that goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from bookings.books import record
from bookings.exceptions import GatewayUnavailable
from bookings.gateways.stripe import http
from bookings.models import Booking, Payment, PaymentEntry, PaymentNotice, Refund
from bookings.notices import apply_notices
from bookings.payments import finish_payments, reconcile_payments, settle_payment, start_payment
from bookings.reconciling import find_differences, reconcile_with_gateways
from bookings.refunds import carry_out_refund, finish_refunds, request_refund
from bookings.services import Buyer, hold_tickets, release_hold
from events import locks
from events.models import Event
from tests.factories import make_seated_event, ticket_ids
from tests.gateways.houses import ASKING_CARD, DECLINED_CARD
from tests.utils import assert_audit_is_clean, let_hold_lapse, reloaded

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("stripe_settings", "watched")]

GUEST = Buyer(email="guest@example.org")
# What a turn of ours may take at a gateway that hangs, with what the machine itself needs.
AT_MOST = http.BUDGET_SECONDS + 1


@pytest.fixture
def watched(monkeypatch) -> Iterator[None]:
    """No request to the gateway is made while a transaction is open; at the end the audit is clean, and
    the gateway's records say what the books say."""
    in_transaction: list[str] = []
    request = http.BudgetedClient.request

    def watch(self: http.BudgetedClient, method: str, url: str, *facts: Any, **more: Any) -> Any:
        if connection.in_atomic_block:
            in_transaction.append(f"{method} {url}")
        return request(self, method, url, *facts, **more)

    monkeypatch.setattr(http.BudgetedClient, "request", watch)
    yield
    assert in_transaction == []
    assert_audit_is_clean()
    since = timezone.now() - timedelta(hours=1)
    found = find_differences("stripe", since=since, in_flight=timedelta(0))
    assert [difference.sentence for difference in found] == []


@pytest.fixture
def event() -> Event:
    return make_seated_event(seats=3, price="10.00")


@pytest.fixture
def booking(event) -> Booking:
    return hold_tickets(event=event, ticket_ids=ticket_ids(event)[:2], buyer=GUEST).booking


@pytest.fixture
def notices_over_http(live_server, strict_stripe) -> Iterator[None]:
    """The stand-in sends its notices to us, as Stripe does."""
    address = live_server.url + reverse("payment-webhook", args=["stripe"])
    strict_stripe.tell("configure", webhook_url=address)
    yield
    strict_stripe.tell("reset")


def timed(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


def finish_everything() -> None:
    """What the timetable does, with nothing put off until later."""
    for rows in (Payment, Refund, PaymentNotice):
        rows.objects.update(next_attempt_at=timezone.now())
    Payment.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    apply_notices()
    reconcile_payments()
    finish_payments()
    finish_refunds()


def wait_for_notices(strict_stripe, quantity: int) -> None:
    """Until so many different notices have been taken."""
    for _ in range(200):
        if len(set(strict_stripe.tell("notices")["taken"])) >= quantity:
            return
        time.sleep(0.05)
    raise AssertionError(strict_stripe.tell("notices"))


def assert_booked_and_captured_once(strict_stripe, booking: Booking, payment: Payment) -> None:
    assert (reloaded(booking).status, reloaded(payment).status) == ("booked", "captured")
    lines = strict_stripe.ledger()
    moved = [line for line in lines if line["captured"] or line["status"] == "requires_capture"]
    told = [(line["payment"], line["captured"], line["refunded"]) for line in moved]
    assert told == [(str(payment.pk), 2000, 0)]
    kinds = PaymentEntry.objects.filter(payment=payment).order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["authorised", "captured"]


# --- Without faults ---------------------------------------------------------------------


def test_buyer_pays_and_a_notice_books(strict_stripe, notices_over_http, booking):
    payment = start_payment(booking_id=booking.pk)
    assert payment.redirect_url == f"{strict_stripe.url}/pay/{payment.gateway_reference}"

    strict_stripe.pay(payment.gateway_reference)
    wait_for_notices(strict_stripe, 4)
    apply_notices()

    assert_booked_and_captured_once(strict_stripe, booking, payment)
    wait_for_notices(strict_stripe, 6)
    apply_notices()
    outcomes = PaymentNotice.objects.order_by("kind").values_list("kind", "status", "outcome")
    assert list(outcomes) == [
        (kind, "applied", "The payment is captured.")
        for kind in (
            "charge.captured",
            "charge.succeeded",
            "checkout.session.completed",
            "payment_intent.amount_capturable_updated",
            "payment_intent.created",
            "payment_intent.succeeded",
        )
    ]


@pytest.mark.parametrize("mode", ["twice", "late", "shuffled"])
def test_notices_in_disorder_end_the_same(strict_stripe, notices_over_http, booking, mode: str):
    strict_stripe.tell("configure", notices=mode, notice_delay=0.5)
    payment = start_payment(booking_id=booking.pk)
    strict_stripe.pay(payment.gateway_reference, DECLINED_CARD)
    strict_stripe.pay(payment.gateway_reference)

    wait_for_notices(strict_stripe, 6)
    apply_notices()
    wait_for_notices(strict_stripe, 8)
    finish_everything()

    assert_booked_and_captured_once(strict_stripe, booking, payment)
    assert PaymentNotice.objects.count() == 8
    assert set(PaymentNotice.objects.values_list("status", flat=True)) == {"applied"}


def test_without_any_notice_the_timetable_books(strict_stripe, booking):
    payment = start_payment(booking_id=booking.pk)
    strict_stripe.pay(payment.gateway_reference)
    finish_everything()

    assert_booked_and_captured_once(strict_stripe, booking, payment)


def test_bank_that_asks_holds_nothing_up(strict_stripe, booking):
    payment = start_payment(booking_id=booking.pk)
    strict_stripe.pay(payment.gateway_reference, ASKING_CARD)
    settle_payment(payment.pk)
    assert (reloaded(booking).status, reloaded(payment).status) == ("reserved", "pending")

    strict_stripe.tell("answer_bank", session=payment.gateway_reference, yes=True)
    settle_payment(payment.pk)

    assert_booked_and_captured_once(strict_stripe, booking, payment)


def test_declined_buyer_tries_again_on_the_page_that_is_still_open(strict_stripe, booking):
    payment = start_payment(booking_id=booking.pk)
    strict_stripe.pay(payment.gateway_reference, DECLINED_CARD)

    again = start_payment(booking_id=booking.pk)
    assert (again.pk, again.redirect_url) == (payment.pk, payment.redirect_url)
    strict_stripe.pay(payment.gateway_reference)
    settle_payment(payment.pk)

    assert_booked_and_captured_once(strict_stripe, booking, payment)
    assert len(strict_stripe.requests(path="sessions", method="POST")) == 1


def test_new_attempt_has_a_new_key_and_never_the_old_one(strict_stripe, booking):
    first = start_payment(booking_id=booking.pk)
    strict_stripe.pay(first.gateway_reference, DECLINED_CARD)
    strict_stripe.tell("expire", session=first.gateway_reference)

    second = start_payment(booking_id=booking.pk)
    strict_stripe.pay(second.gateway_reference)
    settle_payment(second.pk)

    assert reloaded(first).status == "voided"
    assert_booked_and_captured_once(strict_stripe, booking, second)
    ordered = [one for one in strict_stripe.requests(method="POST") if one["path"] == "/v1/checkout/sessions"]
    assert [one["key"] for one in ordered] == [str(first.pk), str(second.pk)]


def test_second_click_orders_one_page(strict_stripe, booking):
    first, second = start_payment(booking_id=booking.pk), start_payment(booking_id=booking.pk)

    assert first.redirect_url == second.redirect_url
    assert len(strict_stripe.requests(path="sessions", method="POST")) == 1


def test_payment_that_comes_after_the_tickets_went_takes_no_money(strict_stripe, booking, event):
    payment = start_payment(booking_id=booking.pk)
    let_hold_lapse(booking)
    taken = list(booking.items.values_list("ticket_id", flat=True))[:1]
    locks.release(event.pk, taken, booking.pk)
    hold_tickets(event=event, ticket_ids=taken, buyer=Buyer(email="quick@example.org"))

    strict_stripe.pay(payment.gateway_reference)
    settle_payment(payment.pk)

    assert reloaded(payment).status == "voided"
    (line,) = strict_stripe.ledger()
    assert (line["status"], line["captured"]) == ("canceled", 0)


def test_page_of_a_booking_that_was_given_up_is_closed(strict_stripe, booking):
    payment = start_payment(booking_id=booking.pk)
    release_hold(booking_id=booking.pk)
    finish_everything()

    assert reloaded(payment).status == "voided"
    assert strict_stripe.pay(payment.gateway_reference) == "closed"
    assert strict_stripe.ledger() == []


def test_money_that_was_taken_and_lost_is_found_without_notices_and_given_back(
    strict_stripe, booking, gateway
):
    payment = start_payment(booking_id=booking.pk)
    strict_stripe.pay(payment.gateway_reference)
    # What a crash, or a hand in the dashboard, can leave behind: taken there, let go in the books.
    record(payment, PaymentEntry.Kind.VOIDED)
    release_hold(booking_id=booking.pk)
    gateway.capture(payment.gateway_reference, key="by-hand")
    Payment.objects.update(updated_at=timezone.now() - timedelta(hours=1))

    assert reconcile_with_gateways() == 1
    finish_everything()
    assert reconcile_with_gateways() == 0

    (line,) = strict_stripe.ledger()
    assert (line["captured"], line["refunded"]) == (2000, 2000)
    assert (reloaded(payment).status, payment.refunded, payment.problem) == ("refunded", 20, "")


# --- With faults ------------------------------------------------------------------------

# More than one call makes in its time; what outlasts them is mended later.
MANY = 12
FAULTS = [
    {"kind": "lag", "seconds": 10, "times": 1},
    {"kind": "refuse", "times": MANY},
    {"kind": "drop", "times": MANY, "method": "POST"},
    {"kind": "error_before", "times": MANY},
    {"kind": "error_kept", "times": 1, "method": "POST"},
    {"kind": "error_after", "times": 1, "method": "POST"},
    {"kind": "bad_gateway", "times": MANY, "method": "POST"},
    {"kind": "rate_limit", "times": MANY},
]


@pytest.fixture(params=FAULTS, ids=lambda fault: fault["kind"])
def fault(request) -> dict[str, Any]:
    return request.param


def test_page_that_cannot_be_ordered_is_ordered_later_and_paid_once(strict_stripe, booking, fault):
    strict_stripe.fail(**fault)
    started = time.monotonic()
    with suppress(GatewayUnavailable):
        start_payment(booking_id=booking.pk)
    assert time.monotonic() - started < AT_MOST

    strict_stripe.tell("calm")
    payment = start_payment(booking_id=booking.pk)
    strict_stripe.pay(payment.gateway_reference)
    settle_payment(payment.pk)

    assert Payment.objects.count() == 1
    assert_booked_and_captured_once(strict_stripe, booking, payment)


def test_money_that_cannot_be_captured_is_captured_later_and_once(strict_stripe, booking, fault):
    payment = start_payment(booking_id=booking.pk)
    strict_stripe.pay(payment.gateway_reference)
    strict_stripe.fail(**{"path": "/capture", **fault})

    assert timed(lambda: settle_payment(payment.pk)) < AT_MOST
    assert reloaded(booking).status == "booked"
    strict_stripe.tell("calm")
    strict_stripe.tell("forget_keys")
    finish_everything()

    assert_booked_and_captured_once(strict_stripe, booking, payment)
    used = {one["key"].removesuffix("-2") for one in strict_stripe.requests(path="/capture")}
    assert used == {f"capture-{payment.pk}"}


def test_refund_that_cannot_be_made_is_made_later_and_once(strict_stripe, booking, fault):
    payment = start_payment(booking_id=booking.pk)
    strict_stripe.pay(payment.gateway_reference)
    settle_payment(payment.pk)
    ticket = booking.items.values_list("ticket_id", flat=True)[:1]
    refund = request_refund(booking_id=booking.pk, ticket_ids=list(ticket), origin=Refund.Origin.STAFF)
    strict_stripe.fail(**{"path": "/v1/refunds", "method": "POST", **fault})

    assert timed(lambda: carry_out_refund(refund.pk)) < AT_MOST
    strict_stripe.tell("calm")
    # A day later the keys are no protection any more.
    strict_stripe.tell("forget_keys")
    finish_everything()

    (line,) = strict_stripe.ledger()
    assert (line["captured"], line["refunded"], len(line["refund_ids"])) == (2000, 1000, 1)
    assert (reloaded(refund).status, reloaded(payment).refunded) == ("done", 10)


def test_two_failures_and_then_an_answer_take_one_turn(strict_stripe, booking):
    for path in ("/v1/checkout/sessions", "/capture"):
        strict_stripe.fail("error_before", times=2, path=path, method="POST")
    payment = start_payment(booking_id=booking.pk)
    strict_stripe.pay(payment.gateway_reference)
    settle_payment(payment.pk)

    assert_booked_and_captured_once(strict_stripe, booking, payment)
    captures = strict_stripe.requests(path="/capture")
    assert [one["status"] for one in captures] == [500, 500, 200]
    assert {one["key"] for one in captures} == {f"capture-{payment.pk}"}
