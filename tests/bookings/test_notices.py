"""The inbox: a notice is stored once, applied once, and never dropped."""

from __future__ import annotations

import itertools
import json
import time

import pytest
from django.utils import timezone

from bookings import exceptions, notices
from bookings.attention import dismiss_payment
from bookings.gateways import GatewayError, GatewayRefund, RefundState
from bookings.models import Booking, Payment, PaymentNotice, Refund
from bookings.payments import settle_payment, start_payment
from bookings.refunds import finish_refunds, request_refund
from bookings.sandbox.gateway import SandboxGateway
from bookings.sandbox.signing import sign
from bookings.services import Buyer, hold_tickets
from tests.factories import make_seated_event, ticket_ids
from tests.utils import assert_audit_is_clean, reloaded

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def booking() -> Booking:
    event = make_seated_event(seats=2, price="10.00")
    buyer = Buyer(email="guest@example.org")
    return hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=buyer).booking


def send_notice(
    payment: Payment, *, notice_id: str = "evt_1", stamp: int | None = None, header: str = ""
) -> None:
    body = json.dumps(
        {"id": notice_id, "type": "payment.authorised", "payment": payment.gateway_reference}
    ).encode()
    header = header or sign(body, timestamp=int(time.time()) if stamp is None else stamp)
    notices.store_notice(gateway="sandbox", body=body, headers={"Sandbox-Signature": header})


def make_due() -> None:
    PaymentNotice.objects.update(next_attempt_at=timezone.now())


def test_notice_is_stored_once_and_applied_once(booking, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)

    send_notice(payment)
    send_notice(payment)
    assert PaymentNotice.objects.count() == 1
    assert reloaded(booking).status == "reserved"

    assert notices.apply_notices() == 1
    assert notices.apply_notices() == 0
    assert reloaded(booking).status == "booked"
    assert PaymentNotice.objects.get().outcome == "The payment is captured."


def test_refund_that_came_back_after_it_was_done_is_handed_to_a_person(booking, pay_with_card, monkeypatch):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)
    settle_payment(payment.pk)
    refund = request_refund(booking_id=booking.pk, origin=Refund.Origin.STAFF)
    finish_refunds()
    send_notice(payment)
    notices.apply_notices()
    assert reloaded(payment).problem == ""

    def came_back(self, reference):
        reason = "account closed"
        return [GatewayRefund(str(refund.pk), RefundState.FAILED, refund.amount, reason)]

    monkeypatch.setattr(SandboxGateway, "refunds", came_back)
    send_notice(payment, notice_id="evt_2")
    notices.apply_notices()

    told = f"Refund {refund.pk} of 20.00 was done, and came back: account closed"
    assert reloaded(payment).problem == told
    dismiss_payment(payment.pk)
    send_notice(payment, notice_id="evt_3")
    notices.apply_notices()
    assert reloaded(payment).problem == ""


@pytest.mark.parametrize(
    "order", list(itertools.permutations(["authorised", "captured", "declined", "voided"]))
)
def test_notices_in_any_order_end_in_the_same_state(booking, pay_with_card, order):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)

    for kind in order:
        for _copy in range(2):
            send_notice(payment, notice_id=f"evt_{kind}")
            notices.apply_notices()

    assert (reloaded(booking).status, reloaded(payment).status) == ("booked", "captured")
    assert set(PaymentNotice.objects.values_list("status", flat=True)) == {"applied"}
    assert_audit_is_clean()


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=1",
        "v1=abc",
        "t=abc,v1=abc",
        "t=٣,v1=abc",
        "t=NOW,v1=0000000000000000000000000000000000000000000000000000000000000000",
        "t=NOW,v1=é",
        "t=NOW,NOW",
        "t=99999999999999999999999999999999,v1=a",
    ],
)
def test_forged_notice_is_refused_and_not_stored(booking, header):
    payment = start_payment(booking_id=booking.pk)

    with pytest.raises(exceptions.InvalidNotice):
        send_notice(payment, header=header.replace("NOW", str(int(time.time()))) or "nothing")

    assert PaymentNotice.objects.count() == 0


@pytest.mark.parametrize("offset", [-301, 310])
def test_notice_with_a_stale_or_future_time_stamp_is_refused(booking, offset):
    payment = start_payment(booking_id=booking.pk)

    with pytest.raises(exceptions.InvalidNotice):
        send_notice(payment, stamp=int(time.time()) + offset)

    assert PaymentNotice.objects.count() == 0


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"{}", b'{"id": 1, "payment": null}'])
def test_signed_nonsense_is_refused(body):
    header = sign(body, timestamp=int(time.time()))

    with pytest.raises(exceptions.InvalidNotice):
        notices.store_notice(gateway="sandbox", body=body, headers={"Sandbox-Signature": header})

    assert PaymentNotice.objects.count() == 0


def test_notice_for_no_payment_of_ours_is_parked_and_can_be_tried_again(booking, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)
    reference, payment.gateway_reference = payment.gateway_reference, "later"
    payment.save()
    send_notice(Payment(gateway_reference=reference))

    for _try in range(notices.UNKNOWN_PAYMENT_ATTEMPTS + 1):
        make_due()
        assert notices.apply_notices() == 1

    notice = PaymentNotice.objects.get()
    assert (notice.status, notice.applied_at) == ("parked", None)
    assert notice.outcome == "UnknownPayment: It names no payment of ours."
    assert reloaded(booking).status == "reserved"
    make_due()
    assert notices.apply_notices() == 0

    Payment.objects.update(gateway_reference=reference)
    notices.retry_notice(notice.pk)

    assert (reloaded(notice).status, notice.outcome) == ("applied", "The payment is captured.")
    assert reloaded(booking).status == "booked"


def test_notice_that_names_our_payment_needs_no_reference(booking, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)
    PaymentNotice.objects.create(
        gateway="sandbox", provider_id="evt_1", payment_key=str(payment.pk), reference="other", payload={}
    )

    notices.apply_notices()

    assert (reloaded(booking).status, PaymentNotice.objects.get().status) == ("booked", "applied")


def test_notice_about_nothing_of_ours_is_done_with_at_once():
    PaymentNotice.objects.create(gateway="sandbox", provider_id="evt_1", kind="customer.created", payload={})

    notices.apply_notices()

    notice = PaymentNotice.objects.get()
    assert (notice.status, notice.outcome) == ("applied", "Concerns no payment.")


def test_notice_waits_while_the_gateway_is_away_and_is_parked_in_the_end(booking, pay_with_card, monkeypatch):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)
    send_notice(payment)

    def be_away(self, reference):
        raise GatewayError("away")

    monkeypatch.setattr(SandboxGateway, "retrieve", be_away)
    notices.apply_notices()
    notice = PaymentNotice.objects.get()
    assert (notice.status, notice.outcome, notice.attempts) == ("waiting", "GatewayError: away", 1)
    assert notice.next_attempt_at > timezone.now()
    PaymentNotice.objects.update(attempts=notices.PARK_AFTER_ATTEMPTS)
    make_due()
    notices.apply_notices()
    assert reloaded(notice).status == "parked"

    monkeypatch.undo()
    notices.retry_notice(notice.pk)
    assert (reloaded(notice).status, reloaded(booking).status) == ("applied", "booked")


def test_fault_that_nobody_thought_of_does_not_hold_up_the_other_notices(booking, pay_with_card, monkeypatch):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)
    send_notice(payment, notice_id="evt_1")
    send_notice(Payment(gateway_reference="strange"), notice_id="evt_2")
    look_up = notices._payment_of

    def look_up_strangely(notice):
        if notice.reference == "strange":
            raise RuntimeError("surprise")
        return look_up(notice)

    monkeypatch.setattr(notices, "_payment_of", look_up_strangely)
    assert notices.apply_notices() == 2

    assert dict(PaymentNotice.objects.values_list("provider_id", "outcome")) == {
        "evt_1": "The payment is captured.",
        "evt_2": "RuntimeError: surprise",
    }
    assert reloaded(booking).status == "booked"
    assert_audit_is_clean()
