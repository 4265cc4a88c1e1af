"""Paying: authorised, booked, captured; or voided, and the buyer never charged."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from bookings import exceptions, payments, services
from bookings.audit import find_violations
from bookings.gateways import GatewayError, GatewayRefused
from bookings.models import Booking, Payment, PaymentEntry, Refund
from bookings.payments import settle_payment, start_payment
from bookings.refunds import finish_refunds
from bookings.sandbox.gateway import SandboxGateway
from bookings.sandbox.models import SandboxIntent, SandboxNotice
from bookings.services import Buyer, hold_tickets
from events import locks
from events.models import Event
from tests.factories import make_seated_event, ticket_ids
from tests.utils import assert_audit_is_clean, let_hold_lapse, reloaded

GUEST = Buyer(email="guest@example.org")

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def event() -> Event:
    return make_seated_event(seats=3, price="10.00")


@pytest.fixture
def booking(event) -> Booking:
    return hold_tickets(event=event, ticket_ids=ticket_ids(event)[:2], buyer=GUEST).booking


def take_over(booking: Booking, quantity: int = 1) -> Booking:
    """Another buyer takes lapsed tickets of a booking."""
    ids = list(booking.items.values_list("ticket_id", flat=True))[:quantity]
    let_hold_lapse(booking)
    locks.release(booking.event_id, ids, booking.pk)
    return hold_tickets(event=booking.event, ticket_ids=ids, buyer=Buyer(email="quick@example.org")).booking


def intent_of(payment: Payment) -> SandboxIntent:
    return SandboxIntent.objects.get(idempotency_key=str(payment.pk))


def refunded_at_gateway(payment: Payment) -> Decimal:
    return sum((refund.amount for refund in intent_of(payment).refunds.all()), Decimal(0))


def test_payment_row_is_written_before_the_gateway_hears_of_it(booking, monkeypatch):
    seen = []

    def create(self, order):
        seen.append((list(Payment.objects.values_list("pk", "status")), connection.in_atomic_block))
        raise GatewayError("refused")

    monkeypatch.setattr(SandboxGateway, "create", create)
    with pytest.raises(exceptions.GatewayUnavailable):
        start_payment(booking_id=booking.pk)

    payment = Payment.objects.get()
    assert seen == [([(payment.pk, "pending")], False)]
    monkeypatch.undo()
    assert start_payment(booking_id=booking.pk).pk == payment.pk
    assert reloaded(payment).redirect_url.endswith(f"/sandbox/pay/{payment.gateway_reference}/")


def test_second_click_gets_the_first_payment(booking):
    first, second = start_payment(booking_id=booking.pk), start_payment(booking_id=booking.pk)

    assert (first.pk, first.redirect_url) == (second.pk, second.redirect_url)
    assert SandboxIntent.objects.count() == 1


def test_two_pages_for_one_payment_are_never_both_shown(booking, monkeypatch):
    """The address is corrected and "pay" clicked again, while the gateway is slow with the first click."""
    create_for_real, shown = SandboxGateway.create, []

    def be_slow(self, order):
        monkeypatch.setattr(SandboxGateway, "create", create_another)
        shown.append(start_payment(booking_id=booking.pk).redirect_url)
        return create_for_real(self, order)

    def create_another(self, order):
        return create_for_real(self, replace(order, key=f"{order.key}-again"))

    monkeypatch.setattr(SandboxGateway, "create", be_slow)
    payment = start_payment(booking_id=booking.pk)

    assert SandboxIntent.objects.count() == 2
    assert shown == [payment.redirect_url]
    assert payment.redirect_url.endswith(f"/sandbox/pay/{reloaded(payment).gateway_reference}/")


def test_page_that_comes_after_the_payment_was_closed_is_not_shown(booking, monkeypatch):
    create_for_real = SandboxGateway.create

    def be_slow(self, order):
        services.release_hold(booking_id=booking.pk)
        settle_payment(Payment.objects.get().pk)
        return create_for_real(self, order)

    monkeypatch.setattr(SandboxGateway, "create", be_slow)
    payment = start_payment(booking_id=booking.pk)

    assert (payment.status, payment.redirect_url) == ("voided", "")


def test_payment_that_was_closed_while_the_reconciler_told_of_it_stays_closed(booking, monkeypatch):
    create_for_real = SandboxGateway.create

    def be_away(self, order):
        raise GatewayError("away")

    def be_slow(self, order):
        services.release_hold(booking_id=booking.pk)
        settle_payment(Payment.objects.get().pk)
        return create_for_real(self, order)

    monkeypatch.setattr(SandboxGateway, "create", be_away)
    with pytest.raises(exceptions.GatewayUnavailable):
        start_payment(booking_id=booking.pk)
    monkeypatch.setattr(SandboxGateway, "create", be_slow)

    payment = settle_payment(Payment.objects.get().pk)

    assert (payment.status, payment.problem) == ("voided", "")


def test_payment_that_has_ended_needs_no_person_when_the_gateway_is_away(booking, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)
    settle_payment(payment.pk)
    Payment.objects.update(updated_at=timezone.now() - timedelta(hours=2))

    payments.put_off(payment.pk, GatewayError("away"))

    assert reloaded(payment).problem == ""


def test_authorised_payment_books_the_tickets_and_then_takes_the_money(booking, event, pay_with_card):
    payment = start_payment(booking_id=booking.pk)

    response = pay_with_card(payment)
    assert (response.status_code, response.url) == (302, payment.return_url)
    assert intent_of(payment).status == "authorised"
    settle_payment(payment.pk)

    assert reloaded(booking).status == "booked"
    assert booking.booked_at is not None
    assert list(event.tickets.order_by("position").values_list("status", "booking_id")) == [
        ("booked", booking.pk),
        ("booked", booking.pk),
        ("available", None),
    ]
    assert (reloaded(payment).status, payment.decision) == ("captured", "capture")
    assert intent_of(payment).status == "captured"
    codes = list(booking.items.values_list("code", flat=True))
    assert [len(code) for code in codes] == [16, 16]
    assert len(set(codes)) == 2
    assert locks.owners(event.pk) == {}
    assert_audit_is_clean()


def test_settling_again_changes_nothing(booking, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)
    settle_payment(payment.pk)
    codes = list(booking.items.values_list("code", flat=True))

    settle_payment(payment.pk)

    assert list(booking.items.values_list("code", flat=True)) == codes
    assert SandboxNotice.objects.filter(kind="payment.captured").count() == 1


def test_declined_payment_keeps_the_hold_and_can_be_tried_again(booking, pay_with_card):
    declined = start_payment(booking_id=booking.pk)
    pay_with_card(declined, "4000000000009995")

    second = start_payment(booking_id=booking.pk)

    assert (reloaded(declined).status, declined.reason) == ("declined", "insufficient funds")
    assert reloaded(booking).status == "reserved"
    assert second.pk != declined.pk
    pay_with_card(second)
    settle_payment(second.pk)
    assert reloaded(booking).status == "booked"
    assert_audit_is_clean()


def test_card_that_asks_for_a_second_confirmation(booking, pay_with_card, client):
    payment = start_payment(booking_id=booking.pk)

    assert pay_with_card(payment, "4000000000003220").status_code == 200
    settle_payment(payment.pk)
    assert reloaded(booking).status == "reserved"

    client.post(payment.redirect_url, {"confirmation": "accept"})
    settle_payment(payment.pk)
    assert reloaded(booking).status == "booked"


def test_unknown_card_is_refused_on_the_page_and_decides_nothing(booking, pay_with_card):
    payment = start_payment(booking_id=booking.pk)

    response = pay_with_card(payment, "1234")

    assert response.status_code == 400
    assert b'value="1234"' in response.content
    assert intent_of(payment).status == "open"


def test_late_payment_books_when_the_tickets_are_still_its_own(booking, event, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    let_hold_lapse(booking)

    pay_with_card(payment)
    settle_payment(payment.pk)

    assert (reloaded(booking).status, reloaded(payment).status) == ("booked", "captured")
    assert_audit_is_clean()


def test_late_payment_takes_swept_tickets_again_while_they_are_free(booking, event, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    let_hold_lapse(booking)
    services.sweep_expired_holds()
    assert reloaded(booking).status == "expired"

    pay_with_card(payment)
    settle_payment(payment.pk)

    assert reloaded(booking).status == "booked"
    assert event.tickets.filter(booking_id=booking.pk, status="booked").count() == 2
    assert_audit_is_clean()


@pytest.mark.parametrize("is_swept", [False, True])
def test_late_payment_for_a_ticket_that_is_gone_is_voided_and_books_nothing(
    booking, event, pay_with_card, is_swept
):
    payment = start_payment(booking_id=booking.pk)
    winner = take_over(booking, quantity=1)
    if is_swept:
        services.sweep_expired_holds()

    pay_with_card(payment)
    settle_payment(payment.pk)

    assert (reloaded(payment).status, payment.decision) == ("voided", "void")
    assert payment.reason == "The hold had run out, and the tickets went to someone else."
    assert intent_of(payment).status == "voided"
    assert reloaded(booking).status == "expired"
    assert list(event.tickets.order_by("position").values_list("status", "booking_id")) == [
        ("reserved", winner.pk),
        ("available", None),
        ("available", None),
    ]
    assert_audit_is_clean()


def test_late_charge_by_a_gateway_that_cannot_authorise_is_refunded(booking, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    take_over(booking)
    pay_with_card(payment)
    SandboxIntent.objects.update(status=SandboxIntent.Status.CAPTURED)

    settle_payment(payment.pk)

    assert (reloaded(payment).status, payment.captured) == ("captured", Decimal("20.00"))
    refund = Refund.objects.get()
    assert (refund.origin, refund.amount, refund.reason) == ("late_payment", Decimal("20.00"), payment.reason)
    assert_audit_is_clean()
    assert finish_refunds() == 1
    assert (reloaded(payment).status, refunded_at_gateway(payment)) == ("refunded", Decimal("20.00"))
    assert_audit_is_clean()


def test_payment_of_a_released_booking_is_voided(booking, event, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    services.release_hold(booking_id=booking.pk)

    pay_with_card(payment)
    settle_payment(payment.pk)

    assert reloaded(payment).status == "voided"
    assert set(event.tickets.values_list("status", flat=True)) == {"available"}
    assert_audit_is_clean()


def test_payment_for_a_cancelled_event_is_voided(booking, event, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    Event.objects.update(status=Event.Status.CANCELLED)

    pay_with_card(payment)
    settle_payment(payment.pk)

    assert (reloaded(payment).status, payment.reason) == ("voided", "The event was cancelled.")
    assert_audit_is_clean()


def test_payment_of_another_amount_is_voided(booking, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    SandboxIntent.objects.update(amount=Decimal("1.00"))

    pay_with_card(payment)
    settle_payment(payment.pk)

    assert (reloaded(payment).status, reloaded(booking).status) == ("voided", "reserved")


def test_booking_paid_for_cannot_be_paid_again(booking, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)
    settle_payment(payment.pk)

    with pytest.raises(exceptions.AlreadyBooked):
        start_payment(booking_id=booking.pk)

    assert Payment.objects.count() == 1


def test_starting_to_pay_for_what_was_just_authorised_finds_it_booked(booking, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)

    with pytest.raises(exceptions.AlreadyBooked):
        start_payment(booking_id=booking.pk)

    assert reloaded(payment).status == "captured"


def test_payment_cannot_start_on_a_hold_that_ran_out(booking):
    let_hold_lapse(booking)

    with pytest.raises(exceptions.HoldExpired):
        start_payment(booking_id=booking.pk)

    assert Payment.objects.count() == 0


def test_booking_that_costs_nothing_is_booked_without_a_gateway():
    event = make_seated_event(seats=1, price="0.00")
    booking = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=GUEST).booking

    payment = start_payment(booking_id=booking.pk)

    assert (payment.status, reloaded(booking).status) == ("captured", "booked")
    assert SandboxIntent.objects.count() == 0
    assert_audit_is_clean()


def test_worker_that_dies_between_authorised_and_captured_is_finished_by_the_timetable(
    booking, pay_with_card, monkeypatch
):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)

    def die(self, reference, *, key):
        raise SystemExit

    monkeypatch.setattr(SandboxGateway, "capture", die)
    with pytest.raises(SystemExit):
        settle_payment(payment.pk)
    assert (reloaded(booking).status, reloaded(payment).status) == ("booked", "authorised")
    monkeypatch.undo()

    assert payments.finish_payments() == 1
    assert payments.finish_payments() == 0
    assert (reloaded(payment).status, intent_of(payment).status) == ("captured", "captured")
    assert_audit_is_clean()


def test_gateway_that_fails_is_asked_again_later_and_not_at_once(booking, pay_with_card, monkeypatch):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)

    def fail(self, reference, *, key):
        raise GatewayError("down")

    monkeypatch.setattr(SandboxGateway, "capture", fail)
    settle_payment(payment.pk)
    monkeypatch.undo()

    assert (reloaded(payment).status, payment.attempts) == ("authorised", 1)
    assert payment.next_attempt_at > timezone.now()
    assert payments.finish_payments() == 0
    Payment.objects.update(next_attempt_at=timezone.now())
    assert payments.finish_payments() == 1
    assert reloaded(payment).status == "captured"


def test_reconciler_books_without_any_notice(booking, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment, notice="never")
    assert SandboxNotice.objects.count() == 0
    assert payments.reconcile_payments() == 0
    Payment.objects.update(created_at=timezone.now() - timedelta(minutes=3))

    assert payments.reconcile_payments() == 1

    assert (reloaded(booking).status, reloaded(payment).status) == ("booked", "captured")
    assert_audit_is_clean()


def test_reconciler_closes_a_payment_that_nobody_makes(booking, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    Payment.objects.update(created_at=timezone.now() - timedelta(hours=2))
    let_hold_lapse(booking, seconds=3700)

    payments.reconcile_payments()

    assert (reloaded(payment).status, intent_of(payment).status) == ("voided", "voided")


def test_reconciler_closes_a_payment_that_the_gateway_never_took(booking, monkeypatch):
    def refuse(self, order):
        raise GatewayError("amount too small")

    monkeypatch.setattr(SandboxGateway, "create", refuse)
    with pytest.raises(exceptions.GatewayUnavailable):
        start_payment(booking_id=booking.pk)
    Payment.objects.update(created_at=timezone.now() - timedelta(hours=2))
    let_hold_lapse(booking, seconds=3700)

    payments.reconcile_payments()

    assert Payment.objects.get().status == "voided"


def test_reconciler_goes_on_with_a_payment_that_never_reached_the_gateway(booking, monkeypatch):
    def fail(self, order):
        raise GatewayError("down")

    monkeypatch.setattr(SandboxGateway, "create", fail)
    with pytest.raises(exceptions.GatewayUnavailable):
        start_payment(booking_id=booking.pk)
    monkeypatch.undo()
    Payment.objects.update(created_at=timezone.now() - timedelta(minutes=3))

    payments.reconcile_payments()

    payment = Payment.objects.get()
    assert payment.gateway_reference == intent_of(payment).pk


def test_payment_of_a_gateway_that_is_gone_does_not_hold_up_the_others(event, booking, pay_with_card):
    other = hold_tickets(
        event=event, ticket_ids=ticket_ids(event)[2:], buyer=Buyer(email="b@example.org")
    ).booking
    stranded, healthy = (start_payment(booking_id=b.pk) for b in (booking, other))
    for payment in (stranded, healthy):
        pay_with_card(payment)
    Payment.objects.filter(pk=stranded.pk).update(gateway="gone")
    Payment.objects.update(created_at=timezone.now() - timedelta(minutes=3))

    payments.reconcile_payments()

    assert (reloaded(stranded).status, reloaded(healthy).status) == ("pending", "captured")
    assert stranded.next_attempt_at > timezone.now()


def test_fault_that_nobody_thought_of_does_not_hold_up_the_others(event, booking, pay_with_card, monkeypatch):
    other = hold_tickets(
        event=event, ticket_ids=ticket_ids(event)[2:], buyer=Buyer(email="b@example.org")
    ).booking
    broken, healthy = (start_payment(booking_id=b.pk) for b in (booking, other))
    for payment in (broken, healthy):
        pay_with_card(payment)
    retrieve = SandboxGateway.retrieve

    def fail_for_one(self, reference):
        if reference == broken.gateway_reference:
            raise RuntimeError("surprise")
        return retrieve(self, reference)

    monkeypatch.setattr(SandboxGateway, "retrieve", fail_for_one)
    Payment.objects.update(created_at=timezone.now() - timedelta(minutes=3))

    assert payments.reconcile_payments() == 2

    assert (reloaded(broken).status, reloaded(healthy).status) == ("pending", "captured")
    assert broken.next_attempt_at > timezone.now()


def test_books_say_each_step_once(booking, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)

    settle_payment(payment.pk)
    settle_payment(payment.pk)

    assert list(payment.entries.values_list("kind", "amount")) == [
        ("authorised", Decimal("20.00")),
        ("captured", Decimal("20.00")),
    ]
    assert (reloaded(payment).captured, payment.refunded) == (Decimal("20.00"), 0)


def test_entry_in_the_books_can_be_neither_changed_nor_deleted(booking, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)
    settle_payment(payment.pk)

    for change in (
        lambda: PaymentEntry.objects.update(amount=1),
        lambda: PaymentEntry.objects.all()._raw_delete("default"),
    ):
        with pytest.raises(IntegrityError, match="entries in the books are never changed"):
            change()

    assert payment.entries.count() == 2


def test_gateway_that_refuses_hands_the_payment_to_a_person_at_once(booking, pay_with_card, monkeypatch):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)

    def refuse(self, reference, *, key):
        raise GatewayRefused("the key may not capture")

    monkeypatch.setattr(SandboxGateway, "capture", refuse)
    settle_payment(payment.pk)
    assert (reloaded(payment).status, payment.problem) == ("authorised", "the key may not capture")
    monkeypatch.undo()

    settle_payment(payment.pk)

    assert (reloaded(payment).status, payment.problem) == ("captured", "")


def test_gateway_that_is_away_for_an_hour_hands_the_payment_to_a_person(booking, pay_with_card, monkeypatch):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)

    def be_away(self, reference):
        raise GatewayError("away")

    monkeypatch.setattr(SandboxGateway, "retrieve", be_away)
    settle_payment(payment.pk)
    assert reloaded(payment).problem == ""
    Payment.objects.update(updated_at=timezone.now() - timedelta(minutes=61))
    settle_payment(payment.pk)

    assert (reloaded(payment).status, payment.problem) == ("pending", "away")


def test_charge_of_another_amount_is_handed_to_a_person_and_books_nothing(booking, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)
    SandboxIntent.objects.update(status="captured", amount=Decimal("1.00"))

    settle_payment(payment.pk)

    assert (reloaded(payment).status, reloaded(booking).status) == ("pending", "reserved")
    assert payment.problem == "1.00 EUR was taken instead of 20.00 EUR"


def test_payment_captured_by_hand_while_it_was_to_be_voided_is_refunded(booking, pay_with_card, monkeypatch):
    payment = start_payment(booking_id=booking.pk)
    take_over(booking)
    pay_with_card(payment)
    void = SandboxGateway.void

    def void_too_late(self, reference, *, key):
        SandboxIntent.objects.filter(pk=reference).update(status="captured")
        return void(self, reference, key=key)

    monkeypatch.setattr(SandboxGateway, "void", void_too_late)
    settle_payment(payment.pk)
    assert (reloaded(payment).status, payment.decision) == ("captured", "void")

    assert (payments.finish_payments(), finish_refunds()) == (0, 1)

    assert (reloaded(payment).status, refunded_at_gateway(payment)) == ("refunded", Decimal("20.00"))
    assert_audit_is_clean()


def test_authorisation_that_ran_out_before_the_capture_is_told_by_the_audit(
    booking, pay_with_card, monkeypatch
):
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)
    capture = SandboxGateway.capture

    def capture_too_late(self, reference, *, key):
        SandboxIntent.objects.filter(pk=reference).update(status="voided")
        return capture(self, reference, key=key)

    monkeypatch.setattr(SandboxGateway, "capture", capture_too_late)
    settle_payment(payment.pk)

    assert (reloaded(payment).status, payments.finish_payments()) == ("voided", 0)
    assert payment.problem == "The booking is booked, but its money was let go before it could be taken."
    assert find_violations() == [
        f"I3 booking {booking.reference} (booked): tickets and fees for 20.00, but 0 taken or due to be taken"
    ]


def test_late_payment_cannot_be_used_to_pass_the_limit(event, pay_with_card):
    Event.objects.update(max_tickets_per_booking=2)
    event.refresh_from_db()
    ids = ticket_ids(event)
    late = hold_tickets(event=event, ticket_ids=ids[:2], buyer=GUEST).booking
    payment = start_payment(booking_id=late.pk)
    let_hold_lapse(late)
    hold_tickets(event=event, ticket_ids=ids[2:], buyer=GUEST)

    pay_with_card(payment)
    settle_payment(payment.pk)

    assert (reloaded(payment).status, reloaded(late).status) == ("voided", "reserved")
    assert payment.reason == "With your other tickets it would have been more than one buyer may have."
    assert_audit_is_clean()


def test_late_payment_for_an_event_that_is_over_is_voided(booking, event, pay_with_card):
    payment = start_payment(booking_id=booking.pk)
    let_hold_lapse(booking)
    yesterday = timezone.now() - timedelta(days=1)
    Event.objects.update(starts_at=yesterday, ends_at=yesterday)

    pay_with_card(payment)
    settle_payment(payment.pk)

    assert (reloaded(payment).status, payment.reason) == ("voided", "The event was over.")


def test_payment_for_a_cancelled_event_is_not_begun(booking):
    Event.objects.update(status=Event.Status.CANCELLED)

    with pytest.raises(exceptions.NotOnSale):
        start_payment(booking_id=booking.pk)

    assert Payment.objects.count() == 0


def test_free_payment_whose_tickets_are_gone_ends():
    event = make_seated_event(seats=1, price="0.00")
    booking = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=GUEST).booking
    payment = Payment.objects.create(booking=booking, gateway=payments.FREE, amount=0, currency="EUR")
    take_over(booking)

    settle_payment(payment.pk)

    assert (reloaded(payment).status, payment.decision) == ("voided", "void")
    assert payments.finish_payments() == 0
    assert_audit_is_clean()
