"""What the box office relies on in any gateway: the same assertions for each."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from bookings.exceptions import InvalidNotice
from bookings.gateways import GatewayPayment, GatewayRefused, GatewayState, RefundState
from tests.gateways.houses import (
    ASKING_CARD,
    DECLINED_CARD,
    HOUSES,
    NO_FUNDS_CARD,
    House,
    make_order,
    open_house,
)

pytestmark = pytest.mark.django_db

UNPAID = {GatewayState.OPEN, GatewayState.DECLINED}


@pytest.fixture(params=HOUSES)
def house(request, strict_stripe, stripe_settings) -> House:
    return open_house(request.param, strict_stripe)


@pytest.fixture
def payment(house) -> GatewayPayment:
    return house.gateway.create(make_order())


@pytest.fixture
def captured(house, payment) -> GatewayPayment:
    house.pay(payment)
    return house.gateway.capture(payment.reference, key="capture-1")


def state_of(house: House, payment: GatewayPayment) -> GatewayState:
    return house.gateway.retrieve(payment.reference).state


def test_payment_begins_open_with_a_page_to_pay_on(house):
    order = make_order(amount="12.50", currency="GBP")

    made = house.gateway.create(order)

    assert (made.state, made.amount, made.currency) == (GatewayState.OPEN, Decimal("12.50"), "GBP")
    assert (made.key, made.refunded, made.reason) == (order.key, 0, "")
    assert made.redirect_url.startswith("http")
    assert house.gateway.retrieve(made.reference) == made


def test_same_order_twice_is_one_payment(house):
    order = make_order()

    assert house.gateway.create(order) == house.gateway.create(order)
    assert house.gateway.create(make_order()).reference != house.gateway.create(order).reference


def test_good_card_authorises_and_takes_no_money(house, payment):
    house.pay(payment)

    found = house.gateway.retrieve(payment.reference)
    assert (found.state, found.amount, found.key) == (GatewayState.AUTHORISED, Decimal("49.90"), payment.key)


@pytest.mark.parametrize("card", [DECLINED_CARD, NO_FUNDS_CARD])
def test_card_that_is_declined_authorises_nothing_and_says_why(house, payment, card):
    house.pay(payment, card)

    found = house.gateway.retrieve(payment.reference)
    assert found.state in UNPAID
    assert found.reason
    with pytest.raises(GatewayRefused):
        house.gateway.capture(payment.reference, key="capture-1")
    assert state_of(house, payment) in UNPAID


def test_card_whose_bank_asks_authorises_once_the_buyer_has_answered(house, payment):
    house.pay(payment, ASKING_CARD)
    before = state_of(house, payment)
    house.confirm(payment)

    assert (before, state_of(house, payment)) == (GatewayState.OPEN, GatewayState.AUTHORISED)


def test_capture_takes_the_money_once(house, payment):
    house.pay(payment)

    first = house.gateway.capture(payment.reference, key="capture-1")
    again = house.gateway.capture(payment.reference, key="capture-1")
    much_later = house.gateway.capture(payment.reference, key="capture-2")

    assert (first.state, first.amount) == (GatewayState.CAPTURED, Decimal("49.90"))
    assert first == again == much_later == house.gateway.retrieve(payment.reference)


def test_nothing_is_captured_that_nobody_paid(house, payment):
    with pytest.raises(GatewayRefused):
        house.gateway.capture(payment.reference, key="capture-1")

    assert state_of(house, payment) is GatewayState.OPEN


def test_voided_page_can_be_paid_on_no_more(house, payment):
    voided = house.gateway.void(payment.reference, key="void-1")
    house.pay(payment)

    assert (voided.state, state_of(house, payment)) == (GatewayState.VOIDED, GatewayState.VOIDED)


def test_voided_authorisation_is_let_go_once_and_cannot_be_captured(house, payment):
    house.pay(payment)

    voided = house.gateway.void(payment.reference, key="void-1")
    again = house.gateway.void(payment.reference, key="void-2")
    with pytest.raises(GatewayRefused):
        house.gateway.capture(payment.reference, key="capture-1")

    assert voided == again == house.gateway.retrieve(payment.reference)
    assert (voided.state, voided.refunded) == (GatewayState.VOIDED, 0)


def test_money_that_was_taken_cannot_be_voided(house, captured):
    with pytest.raises(GatewayRefused):
        house.gateway.void(captured.reference, key="void-1")

    assert state_of(house, captured) is GatewayState.CAPTURED


def test_refunds_add_up_and_are_listed_under_their_keys(house, captured):
    part = house.gateway.refund(captured.reference, amount=Decimal("9.90"), currency="EUR", key="r1")
    rest = house.gateway.refund(captured.reference, amount=Decimal("40.00"), currency="EUR", key="r2:1")

    assert (part.key, part.state, part.amount) == ("r1", RefundState.DONE, Decimal("9.90"))
    found = house.gateway.refunds(captured.reference)
    assert sorted(found, key=lambda refund: refund.key) == [part, rest]
    after = house.gateway.retrieve(captured.reference)
    assert (after.state, after.amount, after.refunded) == (
        GatewayState.CAPTURED,
        Decimal("49.90"),
        Decimal("49.90"),
    )


def test_refund_with_the_same_key_is_made_once(house, captured):
    first = house.gateway.refund(captured.reference, amount=Decimal("9.90"), currency="EUR", key="r1")
    second = house.gateway.refund(captured.reference, amount=Decimal("9.90"), currency="EUR", key="r1")

    assert first == second
    assert house.gateway.retrieve(captured.reference).refunded == Decimal("9.90")


def test_no_more_is_refunded_than_was_taken(house, captured):
    house.gateway.refund(captured.reference, amount=Decimal("9.91"), currency="EUR", key="r1")
    with pytest.raises(GatewayRefused):
        house.gateway.refund(captured.reference, amount=Decimal("40.00"), currency="EUR", key="r2")

    assert house.gateway.retrieve(captured.reference).refunded == Decimal("9.91")
    assert [refund.key for refund in house.gateway.refunds(captured.reference)] == ["r1"]


def test_nothing_is_refunded_in_another_currency_or_of_money_that_was_not_taken(house, captured):
    unpaid = house.gateway.create(make_order())
    for reference, currency in [(captured.reference, "USD"), (unpaid.reference, "EUR")]:
        with pytest.raises(GatewayRefused):
            house.gateway.refund(reference, amount=Decimal("1.00"), currency=currency, key="r1")

    assert list(house.gateway.refunds(captured.reference)) == []
    assert list(house.gateway.refunds(unpaid.reference)) == []


def test_payment_that_does_not_exist_is_refused(house, payment):
    unknown = payment.reference[:-1] + ("0" if payment.reference[-1] != "0" else "1")

    with pytest.raises(GatewayRefused):
        house.gateway.retrieve(unknown)


@pytest.mark.parametrize("quantity", [1, 3])
def test_payments_since_a_time_are_told_with_what_became_of_them(house, quantity):
    begun = [house.gateway.create(make_order()) for _ in range(quantity)]
    house.pay(begun[0])
    captured = house.gateway.capture(begun[0].reference, key="capture-1")
    now = datetime.now(tz=UTC)

    found = {one.key: one for one in house.gateway.payments_since(now - timedelta(minutes=1))}

    assert found == {one.key: one for one in [*begun[1:], captured]}
    assert list(house.gateway.payments_since(now + timedelta(minutes=1))) == []


def test_notice_names_its_payment(house, payment):
    body, headers = house.write_notice(payment, sent_at=time.time())

    notice = house.gateway.read_notice(body, headers)

    assert notice.provider_id.startswith("evt_")
    assert notice.kind
    assert notice.key == payment.key or notice.reference == payment.reference


@pytest.mark.parametrize("seconds", [-310, 310])
def test_notice_that_is_stale_or_of_the_future_is_refused(house, payment, seconds: int):
    body, headers = house.write_notice(payment, sent_at=time.time() + seconds)

    with pytest.raises(InvalidNotice):
        house.gateway.read_notice(body, headers)


def test_notice_that_was_changed_on_its_way_is_refused(house, payment):
    body, headers = house.write_notice(payment, sent_at=time.time())

    for changed, told in [
        (body + b" ", headers),
        (body, {}),
        (body, dict.fromkeys(headers, "t=1,v1=")),
        (b"", headers),
    ]:
        with pytest.raises(InvalidNotice):
            house.gateway.read_notice(changed, told)
