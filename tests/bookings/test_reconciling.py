"""The books beside the gateway's own records: what differs is mended, or handed to a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from bookings.attention import dismiss_payment
from bookings.audit import compare_with_gateways
from bookings.gateways import GatewayError, GatewayRefund, GatewayRefused, RefundState
from bookings.models import Booking, Payment, Refund
from bookings.payments import settle_payment, start_payment
from bookings.reconciling import reconcile_with_gateways
from bookings.refunds import finish_refunds, request_refund
from bookings.sandbox.gateway import SandboxGateway
from bookings.sandbox.models import SandboxIntent, SandboxRefund
from bookings.services import Buyer, hold_tickets
from tests.factories import make_seated_event, ticket_ids
from tests.utils import assert_audit_is_clean, let_hold_lapse, reloaded

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def booking() -> Booking:
    event = make_seated_event(seats=2, price="10.00")
    buyer = Buyer(email="guest@example.org")
    return hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=buyer).booking


@pytest.fixture
def paid(booking, pay_with_card) -> Payment:
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)
    settle_payment(payment.pk)
    return grown_old(payment)


def grown_old(payment: Payment) -> Payment:
    """The payment, changed so long ago that nothing about it can be on its way."""
    Payment.objects.update(updated_at=timezone.now() - timedelta(minutes=6))
    payment.refresh_from_db()
    return payment


def test_books_that_agree_are_left_alone(paid):
    request_refund(booking_id=paid.booking_id, origin=Refund.Origin.STAFF)
    finish_refunds()
    grown_old(paid)

    assert (reconcile_with_gateways(), compare_with_gateways()) == (0, [])


def test_authorised_and_not_booked_is_booked(booking, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment, notice="never")
    grown_old(payment)
    assert compare_with_gateways() == [
        (
            f"sandbox {payment.gateway_reference}, payment {payment.pk}: "
            "the gateway says authorised 20.00 EUR, the books pending"
        )
    ]

    assert reconcile_with_gateways() == 1

    assert (reloaded(payment).status, reloaded(booking).status) == ("captured", "booked")
    grown_old(payment)
    assert (reconcile_with_gateways(), compare_with_gateways()) == (0, [])


def test_booked_and_not_captured_is_captured(booking, pay_with_card, monkeypatch):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)

    def act_and_die(self, reference, *, key):
        SandboxIntent.objects.filter(pk=reference).update(status="captured")
        raise SystemExit

    monkeypatch.setattr(SandboxGateway, "capture", act_and_die)
    with pytest.raises(SystemExit):
        settle_payment(payment.pk)
    monkeypatch.undo()
    assert reloaded(payment).status == "authorised"
    grown_old(payment)

    assert reconcile_with_gateways() == 1

    assert reloaded(payment).status == "captured"
    assert_audit_is_clean()


def test_captured_and_lost_is_given_back(booking, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment, "4000000000000002")
    settle_payment(payment.pk)
    assert reloaded(payment).status == "declined"
    SandboxIntent.objects.update(status="captured")
    grown_old(payment)

    assert reconcile_with_gateways() == 1

    assert (reloaded(payment).status, payment.captured) == ("captured", 20)
    finish_refunds()
    assert (reloaded(payment).status, SandboxRefund.objects.get().amount) == ("refunded", 20)
    assert reloaded(booking).status == "reserved"
    assert_audit_is_clean()
    grown_old(payment)
    assert reconcile_with_gateways() == 0


def test_money_taken_late_for_booked_tickets_pays_for_them(booking, pay_with_card, monkeypatch):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)

    def lapse(self, reference, *, key):
        SandboxIntent.objects.filter(pk=reference).update(status="voided")
        raise GatewayRefused("the authorisation ran out")

    monkeypatch.setattr(SandboxGateway, "capture", lapse)
    settle_payment(payment.pk)
    assert (reloaded(payment).status, reloaded(booking).status) == ("voided", "booked")
    SandboxIntent.objects.update(status="captured")
    grown_old(payment)

    assert reconcile_with_gateways() == 1

    assert (reloaded(payment).status, payment.problem) == ("captured", "")
    assert (Refund.objects.count(), reloaded(booking).status) == (0, "booked")
    assert_audit_is_clean()


def test_money_taken_late_for_tickets_that_were_given_back_goes_back_too(booking, pay_with_card, monkeypatch):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)

    def lapse(self, reference, *, key):
        SandboxIntent.objects.filter(pk=reference).update(status="voided")
        raise GatewayRefused("the authorisation ran out")

    monkeypatch.setattr(SandboxGateway, "capture", lapse)
    settle_payment(payment.pk)
    refund = request_refund(booking_id=booking.pk, origin=Refund.Origin.STAFF)
    finish_refunds()
    assert (reloaded(refund).status, reloaded(payment).status) == ("done", "voided")
    SandboxIntent.objects.update(status="captured")
    grown_old(payment)

    assert reconcile_with_gateways() == 1
    assert (reloaded(payment).captured, reloaded(refund).status) == (20, "requested")
    finish_refunds()

    assert (reloaded(payment).status, reloaded(refund).status) == ("refunded", "done")
    assert SandboxRefund.objects.get().amount == 20
    assert_audit_is_clean()


def test_stray_authorisation_is_let_go(booking):
    payment = start_payment(booking_id=booking.pk)
    let_hold_lapse(booking, seconds=3700)
    settle_payment(payment.pk)
    assert reloaded(payment).status == "voided"
    SandboxIntent.objects.update(status="authorised")
    grown_old(payment)

    assert reconcile_with_gateways() == 1

    assert SandboxIntent.objects.get().status == "voided"
    assert reconcile_with_gateways() == 0


def test_refund_asked_and_not_done_is_done(paid, monkeypatch):
    refund = request_refund(booking_id=paid.booking_id, origin=Refund.Origin.STAFF)
    refund_for_real = SandboxGateway.refund

    def act_and_time_out(self, reference, **details):
        refund_for_real(self, reference, **details)
        raise GatewayError("timed out")

    monkeypatch.setattr(SandboxGateway, "refund", act_and_time_out)
    finish_refunds()
    monkeypatch.undo()
    grown_old(paid)
    assert [line.partition(": ")[2] for line in compare_with_gateways()] == [
        "the gateway gave back 20.00 EUR, the books 0.00"
    ]

    assert reconcile_with_gateways() == 1

    assert (reloaded(refund).status, reloaded(paid).status) == ("done", "refunded")
    assert SandboxRefund.objects.count() == 1


def test_refund_that_the_gateway_is_still_working_on_needs_no_person(paid, monkeypatch):
    refund = request_refund(booking_id=paid.booking_id, origin=Refund.Origin.STAFF)
    refund_for_real = SandboxGateway.refund

    def be_at_it(self, reference, **details):
        return replace(refund_for_real(self, reference, **details), state=RefundState.PENDING)

    def still_at_it(self, reference):
        return [GatewayRefund(str(refund.pk), RefundState.PENDING, refund.amount)]

    monkeypatch.setattr(SandboxGateway, "refund", be_at_it)
    finish_refunds()
    monkeypatch.setattr(SandboxGateway, "refunds", still_at_it)
    grown_old(paid)

    reconcile_with_gateways()

    assert (reloaded(refund).status, refund.problem, reloaded(paid).problem) == ("requested", "", "")


def test_money_given_back_by_hand_is_handed_to_a_person(paid):
    SandboxRefund.objects.create(
        intent_id=paid.gateway_reference, idempotency_key="by hand", amount=Decimal("5.00")
    )

    reconcile_with_gateways()

    assert reloaded(paid).problem == "the gateway gave back 5.00 EUR, the books 0.00"
    assert (paid.status, paid.refunded) == ("captured", 0)


def test_difference_that_a_person_dealt_with_is_told_again_only_when_it_is_another(paid):
    def give_back_by_hand(key: str) -> None:
        SandboxRefund.objects.create(
            intent_id=paid.gateway_reference, idempotency_key=key, amount=Decimal("5.00")
        )

    give_back_by_hand("first")
    reconcile_with_gateways()
    dismiss_payment(paid.pk)
    reconcile_with_gateways()
    assert reloaded(paid).problem == ""

    give_back_by_hand("second")
    reconcile_with_gateways()

    assert reloaded(paid).problem == "the gateway gave back 10.00 EUR, the books 0.00"


def test_second_charge_for_one_payment_is_handed_to_a_person(paid, monkeypatch):
    twin = SandboxIntent.objects.create(
        idempotency_key="twin", amount=20, currency="EUR", status="captured", return_url="http://x.example/"
    )
    list_for_real = SandboxGateway.payments_since

    def list_with_twin(self, start):
        for theirs in list_for_real(self, start):
            yield theirs if theirs.key != "twin" else type(theirs)(**vars(theirs) | {"key": str(paid.pk)})

    monkeypatch.setattr(SandboxGateway, "payments_since", list_with_twin)

    assert reconcile_with_gateways() == 1

    assert reloaded(paid).problem == f"the gateway says captured 20.00 EUR for a second time ({twin.pk})"


def test_payment_that_the_books_do_not_have_is_told_by_the_audit():
    key = "5f0c9a8e-3c2b-4a58-9a1f-6f0e2a7d1b11"
    intent = SandboxIntent.objects.create(
        idempotency_key=key, amount=20, currency="EUR", status="captured", return_url="http://x.example/"
    )
    event = make_seated_event(seats=1)
    booking = hold_tickets(
        event=event, ticket_ids=ticket_ids(event), buyer=Buyer(email="a@example.org")
    ).booking
    start_payment(booking_id=booking.pk)

    assert compare_with_gateways() == [
        (
            f"sandbox {intent.pk}, payment {key}: "
            "the gateway says captured 20.00 EUR, and the books have no such payment"
        )
    ]
    assert reconcile_with_gateways() == 1
    assert SandboxIntent.objects.get(pk=intent.pk).status == "captured"


def test_what_changed_just_now_is_passed_over(booking, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment, notice="never")

    assert (reconcile_with_gateways(), compare_with_gateways()) == (0, [])


def test_audit_command_compares_with_the_gateway_when_asked(booking, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment, notice="never")
    grown_old(payment)

    call_command("audit")
    out = StringIO()
    with pytest.raises(SystemExit) as stopped:
        call_command("audit", "--gateway", stdout=out)

    assert stopped.value.code == 1
    assert out.getvalue().startswith(f"sandbox {payment.gateway_reference}, payment {payment.pk}: ")


def test_audit_command_says_when_the_gateway_does_not_answer(booking, monkeypatch):
    start_payment(booking_id=booking.pk)

    def be_away(self, start):
        raise GatewayError("away")

    monkeypatch.setattr(SandboxGateway, "payments_since", be_away)

    with pytest.raises(CommandError, match="The gateway's records cannot be read: away"):
        call_command("audit", "--gateway")
