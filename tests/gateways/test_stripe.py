"""Our adapter against the strict stand-in: what it asks, what it refuses, and how long it waits."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from bookings.gateways import GatewayError, GatewayPayment, GatewayRefused, GatewayState, RefundState
from bookings.gateways.stripe import http
from bookings.gateways.stripe.minor_units import from_minor, to_minor
from tests.gateways.houses import ASKING_CARD, DECLINED_CARD, make_order
from tests.gateways.strict_stripe.parameters import parse
from tests.utils import run_together

# What a call may take in all, with what the machine itself needs.
AT_MOST = http.BUDGET_SECONDS + 0.7


@pytest.fixture
def payment(gateway) -> GatewayPayment:
    return gateway.create(make_order())


@pytest.fixture
def authorised(gateway, strict_stripe, payment) -> GatewayPayment:
    strict_stripe.pay(payment.reference)
    return gateway.retrieve(payment.reference)


def keys(requests: list[dict[str, Any]]) -> list[str]:
    return [one["key"] for one in requests]


def statuses(requests: list[dict[str, Any]]) -> list[int | None]:
    return [one["status"] for one in requests]


def intent_id(strict_stripe) -> str:
    (line,) = strict_stripe.ledger()
    return line["id"]


# --- Amounts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("49.90", "EUR", 4990),
        ("0.50", "usd", 50),
        ("500.00", "JPY", 500),
        ("5.12", "KWD", 5120),
        ("5.00", "ISK", 500),
        ("7000.00", "UGX", 700_000),
        ("10.45", "HUF", 1045),
        ("99.99", "TWD", 9999),
    ],
)
def test_amount_in_the_smallest_unit_and_back(amount: str, currency: str, minor: int):
    assert to_minor(Decimal(amount), currency) == minor
    assert from_minor(minor, currency) == Decimal(amount)


@pytest.mark.parametrize(
    ("amount", "currency"), [("10.50", "JPY"), ("5.01", "ISK"), ("5.123", "KWD"), ("1.005", "EUR")]
)
def test_amount_that_no_coin_makes_is_refused(amount: str, currency: str):
    with pytest.raises(GatewayRefused):
        to_minor(Decimal(amount), currency)


@pytest.mark.parametrize(("currency", "unit"), [("JPY", "5000"), ("ISK", "500000"), ("KWD", "5000000")])
def test_page_asks_for_the_amount_in_the_smallest_unit(gateway, strict_stripe, currency: str, unit: str):
    made = gateway.create(make_order(amount="5000.00", currency=currency))

    (request,) = strict_stripe.requests()
    assert parse(request["form"])["line_items"][0]["price_data"]["unit_amount"] == unit
    assert (made.amount, made.currency) == (Decimal(5000), currency)


# --- What is asked ----------------------------------------------------------------------


def test_page_is_ordered_once_with_all_that_stripe_shall_know(gateway, strict_stripe):
    order = make_order()
    gateway.create(order)

    (request,) = strict_stripe.requests()
    told = {"booking": order.booking, "payment": order.key}
    assert request["key"] == order.key
    assert parse(request["form"]) == {
        "mode": "payment",
        "allowed_payment_method_types": ["card"],
        "line_items": [
            {
                "quantity": "1",
                "price_data": {
                    "currency": "eur",
                    "unit_amount": "4990",
                    "product_data": {"name": order.description},
                },
            }
        ],
        "payment_intent_data": {
            "capture_method": "manual",
            "description": order.description,
            "metadata": told,
        },
        "adaptive_pricing": {"enabled": "false"},
        "client_reference_id": order.key,
        "metadata": told,
        "success_url": order.return_url,
        "cancel_url": order.return_url,
        "customer_email": order.email,
    }


def test_buyer_without_an_address_is_asked_for_it_by_stripe(gateway, strict_stripe):
    gateway.create(make_order(email=""))

    (request,) = strict_stripe.requests()
    assert "customer_email" not in parse(request["form"])


def test_order_whose_buyer_changed_the_address_gets_a_page_of_its_own(gateway, strict_stripe):
    order = make_order()
    first = gateway.create(order)
    changed = gateway.create(make_order(key=order.key, booking=order.booking, email="new@example.org"))

    assert changed.state is GatewayState.OPEN
    assert (changed.key, changed.reference == first.reference) == (order.key, False)
    assert keys(strict_stripe.requests())[-1] == f"{order.key}-2"


def test_refund_has_one_key_alone(gateway, strict_stripe, authorised):
    gateway.capture(authorised.reference, key="capture-1")
    strict_stripe.fail("error_after", method="POST")
    with pytest.raises(GatewayError):
        gateway.refund(authorised.reference, amount=Decimal("9.90"), currency="EUR", key="r1")

    assert set(keys(strict_stripe.requests(path="refunds", method="POST"))) == {"refund-r1"}
    assert [found.key for found in gateway.refunds(authorised.reference)] == ["r1"]
    assert gateway.retrieve(authorised.reference).refunded == Decimal("9.90")


def test_refund_carries_our_ids_and_its_key(gateway, strict_stripe, authorised):
    gateway.capture(authorised.reference, key="capture-1")
    gateway.refund(authorised.reference, amount=Decimal("9.90"), currency="EUR", key="r1")

    (request,) = strict_stripe.requests(path="refunds", method="POST")
    assert request["key"] == "refund-r1"
    assert parse(request["form"]) == {
        "payment_intent": intent_id(strict_stripe),
        "amount": "990",
        "metadata": {"refund": "r1", "payment": authorised.key},
    }


def test_intent_is_understood_in_place_of_a_page(gateway, strict_stripe, authorised):
    intent = intent_id(strict_stripe)

    found = gateway.retrieve(intent)
    captured = gateway.capture(intent, key="capture-1")
    refund = gateway.refund(intent, amount=Decimal("49.90"), currency="EUR", key="r1")

    assert (found.state, found.key, found.reference) == (GatewayState.AUTHORISED, authorised.key, intent)
    assert (captured.state, refund.state) == (GatewayState.CAPTURED, RefundState.DONE)
    assert gateway.refunds(intent) == [refund]
    assert gateway.retrieve(intent).refunded == Decimal("49.90")


def test_payments_are_listed_over_many_pages(gateway, strict_stripe):
    for _ in range(101):
        gateway.create(make_order())

    found = list(gateway.payments_since(datetime.now(tz=UTC) - timedelta(minutes=5)))

    assert len({payment.key for payment in found}) == 101
    assert len(strict_stripe.requests(path="sessions", method="GET")) == 2


# --- What became of it ------------------------------------------------------------------


def test_decline_is_not_the_end_while_the_page_is_open(gateway, strict_stripe, payment):
    strict_stripe.pay(payment.reference, DECLINED_CARD)
    declined = gateway.retrieve(payment.reference)
    strict_stripe.pay(payment.reference)
    paid = gateway.retrieve(payment.reference)

    assert (declined.state, declined.reason) == (GatewayState.OPEN, "Your card was declined.")
    assert (paid.state, paid.reason) == (GatewayState.AUTHORISED, "")


@pytest.mark.parametrize("card", [None, DECLINED_CARD, ASKING_CARD])
def test_page_that_expired_is_void_whatever_was_tried_there(gateway, strict_stripe, payment, card):
    if card:
        strict_stripe.pay(payment.reference, card)
    strict_stripe.tell("expire", session=payment.reference)

    assert gateway.retrieve(payment.reference).state is GatewayState.VOIDED


def test_page_that_is_paid_in_the_moment_of_closing_it_is_let_go(
    gateway, strict_stripe, payment, monkeypatch
):
    read = gateway._read

    def pay_after_reading(reference: str):
        record = read(reference)
        monkeypatch.undo()
        strict_stripe.pay(payment.reference)
        return record

    monkeypatch.setattr(gateway, "_read", pay_after_reading)
    voided = gateway.void(payment.reference, key="void-1")

    assert voided.state is GatewayState.VOIDED
    (line,) = strict_stripe.ledger()
    assert (line["status"], line["captured"]) == ("canceled", 0)


def test_less_taken_by_hand_than_was_authorised_is_told(gateway, strict_stripe, authorised):
    with http.within_budget():
        gateway._api.payment_intents.capture(intent_id(strict_stripe), {"amount_to_capture": 1000})

    found = gateway.retrieve(authorised.reference)
    assert (found.state, found.amount) == (GatewayState.CAPTURED, Decimal("10.00"))


@pytest.mark.parametrize(
    ("becomes", "state", "refunded"),
    [("succeeded", RefundState.DONE, "9.90"), ("failed", RefundState.FAILED, "0.00")],
)
def test_refund_that_the_bank_still_works_on_is_pending(
    gateway, strict_stripe, authorised, becomes: str, state: RefundState, refunded: str
):
    gateway.capture(authorised.reference, key="capture-1")
    strict_stripe.tell("configure", refunds="pending")
    pending = gateway.refund(authorised.reference, amount=Decimal("9.90"), currency="EUR", key="r1")
    (refund,) = strict_stripe.ledger()[0]["refund_ids"]
    strict_stripe.tell("settle_refund", refund=refund, status=becomes)

    assert pending.state is RefundState.PENDING
    assert [found.state for found in gateway.refunds(authorised.reference)] == [state]
    assert gateway.retrieve(authorised.reference).refunded == Decimal(refunded)


# --- Faults -----------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["error_before", "bad_gateway", "refuse", "drop", "conflict"])
def test_two_failures_and_then_an_answer_are_one_capture_in_one_call(
    gateway, strict_stripe, authorised, fault: str
):
    strict_stripe.fail(fault, times=2, method="POST")
    captured = gateway.capture(authorised.reference, key="capture-1")

    assert captured.state is GatewayState.CAPTURED
    requests = strict_stripe.requests(path="/capture")
    assert keys(requests) == ["capture-1"] * 3
    (line,) = strict_stripe.ledger()
    assert (line["captured"], line["status"]) == (4990, "succeeded")


@pytest.mark.parametrize("fault", ["rate_limit", "error_before", "refuse"])
def test_failure_that_lasts_is_unknown_and_not_refused(gateway, strict_stripe, payment, fault: str):
    strict_stripe.fail(fault, times=9)

    started = time.monotonic()
    with pytest.raises(GatewayError) as raised:
        gateway.retrieve(payment.reference)

    assert type(raised.value) is GatewayError
    assert time.monotonic() - started < AT_MOST


@pytest.mark.parametrize("fault", ["error_kept", "error_after"])
def test_answer_that_stripe_keeps_is_got_around_for_a_new_page(gateway, strict_stripe, fault: str):
    strict_stripe.fail(fault, method="POST")
    order = make_order()

    made = gateway.create(order)

    assert (made.state, made.key) == (GatewayState.OPEN, order.key)
    assert keys(strict_stripe.requests()) == [order.key, order.key, f"{order.key}-2"]
    assert statuses(strict_stripe.requests()) == [500, 500, 200]


def test_page_is_made_though_stripe_failed_and_kept_it_more_than_once(gateway, strict_stripe):
    strict_stripe.fail("error_kept", method="POST", times=3)
    order = make_order()

    assert gateway.create(order).state is GatewayState.OPEN
    used = list(dict.fromkeys(keys(strict_stripe.requests())))
    assert used == [order.key, f"{order.key}-2", f"{order.key}-3"]


@pytest.mark.parametrize("work", ["capture", "void"])
def test_answer_that_stripe_keeps_holds_no_money_up(gateway, strict_stripe, authorised, work: str):
    strict_stripe.fail("error_kept", method="POST")

    done = getattr(gateway, work)(authorised.reference, key="key-1")

    assert done.state.value == {"capture": "captured", "void": "voided"}[work]
    assert keys(strict_stripe.requests(path="payment_intents")) == ["key-1", "key-1", "key-1-2"]


def test_wrong_key_of_ours_refuses_no_payment(gateway, strict_stripe, payment, settings):
    settings.STRIPE_SECRET_KEY = "sk_test_wrong"
    other = type(gateway)()
    with pytest.raises(GatewayError) as raised:
        other.retrieve(payment.reference)
    other.close()

    assert type(raised.value) is GatewayError


@pytest.mark.parametrize("fault", ["lag", "drip"])
@pytest.mark.parametrize("work", ["create", "capture"])
def test_call_ends_within_its_budget_however_slow_the_gateway(
    gateway, strict_stripe, authorised, fault: str, work: str
):
    strict_stripe.fail(fault, seconds=10 if fault == "lag" else 0.2, times=1)
    call = {
        "create": partial(gateway.create, make_order()),
        "capture": partial(gateway.capture, authorised.reference, key="capture-1"),
    }[work]

    started = time.monotonic()
    with pytest.raises(GatewayError) as raised:
        call()

    assert http.BUDGET_SECONDS - 0.5 < time.monotonic() - started < AT_MOST
    assert type(raised.value) is GatewayError


def test_gateway_that_nobody_answers_for_fails_soon(gateway, settings):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        settings.STRIPE_API_BASE = f"http://127.0.0.1:{taken.getsockname()[1]}"
        away = type(gateway)()
        started = time.monotonic()
        with pytest.raises(GatewayError):
            away.create(make_order())
        away.close()

    assert time.monotonic() - started < 2


def test_name_that_nobody_resolves_fails_within_the_budget(gateway, settings, monkeypatch):
    def hang(*_facts: Any, **_more: Any) -> list[Any]:
        time.sleep(10)
        return []

    monkeypatch.setattr(http, "getaddrinfo", hang)
    settings.STRIPE_API_BASE = "http://api.stripe.test"
    away = type(gateway)()
    started = time.monotonic()
    with pytest.raises(GatewayError):
        away.create(make_order())
    away.close()

    assert time.monotonic() - started < AT_MOST


@pytest.mark.django_db(transaction=True)
def test_crowd_at_a_gateway_that_hangs_is_turned_away_at_once(gateway, strict_stripe, payment):
    strict_stripe.fail("lag", seconds=2, times=http.CONCURRENT_CALLS)

    def ask() -> tuple[str, float]:
        started = time.monotonic()
        try:
            gateway.retrieve(payment.reference)
        except GatewayError as error:
            return str(error), time.monotonic() - started
        return "answered", time.monotonic() - started

    answers = run_together([ask] * (http.CONCURRENT_CALLS * 3))

    turned_away = [seconds for said, seconds in answers if said == "too many are asking the gateway at once"]
    assert len(turned_away) == http.CONCURRENT_CALLS * 2
    assert max(turned_away) < http.QUEUE_SECONDS + 0.5
    assert [said for said, _seconds in answers].count("answered") == http.CONCURRENT_CALLS
    assert gateway.retrieve(payment.reference).state is GatewayState.OPEN
