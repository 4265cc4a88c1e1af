"""Giving tickets back: on sale at once, the code dead, the money given back once and for certain."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from bookings import exceptions, refunds
from bookings.gateways import GatewayError, GatewayRefund, GatewayRefused, RefundState
from bookings.models import Booking, Payment, PaymentEntry, Refund
from bookings.outbox.models import Mail
from bookings.payments import start_payment
from bookings.refunds import carry_out_refund, finish_refunds, quote_refund, request_refund
from bookings.sandbox.gateway import SandboxGateway
from bookings.sandbox.models import SandboxIntent, SandboxRefund
from bookings.services import Buyer, hold_tickets
from events.models import Event, Ticket
from tests.bookings.buying import GUEST, buy
from tests.factories import make_seated_event, make_staff, ticket_ids
from tests.utils import assert_audit_is_clean, reloaded, run_together

Origin = Refund.Origin

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def event() -> Event:
    return make_seated_event(seats=3, price="10.00")


@pytest.fixture
def booking(event) -> Booking:
    return buy(event, 2)


def own_ids(booking: Booking) -> list[int]:
    return list(booking.items.order_by("ticket_id").values_list("ticket_id", flat=True))


def make_due() -> None:
    Refund.objects.update(next_attempt_at=timezone.now())


def test_one_ticket_goes_back_and_the_other_stays(booking, event):
    staff = make_staff()
    returned, kept = own_ids(booking)

    refund = request_refund(
        booking_id=booking.pk, ticket_ids=[returned], origin=Origin.STAFF, by=staff, reason="Ill"
    )

    assert (refund.amount, refund.fee, refund.status) == (Decimal("10.00"), 0, "requested")
    assert (refund.requested_by, refund.reason) == (staff, "Ill")
    assert list(refund.items.values_list("ticket_id", flat=True)) == [returned]
    assert (Ticket.objects.get(pk=returned).status, Ticket.objects.get(pk=kept).status) == (
        "available",
        "booked",
    )
    assert reloaded(booking).status == "booked"
    assert_audit_is_clean()

    assert finish_refunds() == 1
    assert finish_refunds() == 0

    payment = Payment.objects.get()
    assert (payment.status, payment.captured, payment.refunded) == ("captured", 20, 10)
    assert reloaded(refund).status == "done"
    assert list(SandboxRefund.objects.values_list("idempotency_key", "amount")) == [(str(refund.pk), 10)]
    assert_audit_is_clean()


def test_returned_ticket_can_be_bought_by_another_at_once(booking, event):
    returned = own_ids(booking)[:1]
    request_refund(booking_id=booking.pk, ticket_ids=returned, origin=Origin.STAFF)

    other = hold_tickets(event=event, ticket_ids=returned, buyer=Buyer(email="next@example.org")).booking

    assert Ticket.objects.get(pk=returned[0]).booking_id == other.pk
    assert_audit_is_clean()


def test_booking_of_which_nothing_is_left_is_refunded(booking):
    request_refund(booking_id=booking.pk, origin=Origin.STAFF)
    finish_refunds()

    assert reloaded(booking).status == "refunded"
    assert Payment.objects.get().status == "refunded"
    with pytest.raises(exceptions.BookingClosed):
        request_refund(booking_id=booking.pk, origin=Origin.STAFF)
    assert Refund.objects.count() == 1
    assert_audit_is_clean()


def test_part_after_part_ends_as_the_whole(booking):
    for ticket_id in own_ids(booking):
        request_refund(booking_id=booking.pk, ticket_ids=[ticket_id], origin=Origin.STAFF)
        finish_refunds()

    assert (reloaded(booking).status, Payment.objects.get().status) == ("refunded", "refunded")
    assert [refund.amount for refund in Refund.objects.all()] == [10, 10]
    assert_audit_is_clean()


@pytest.mark.parametrize("wanted", [[], ["same", "same"], ["foreign"]])
def test_tickets_that_make_no_sense_are_refused_and_nothing_changes(booking, event, wanted):
    own, foreign = own_ids(booking)[0], ticket_ids(event)[2]
    wished = [{"same": own, "foreign": foreign}[word] for word in wanted]

    with pytest.raises(exceptions.InvalidTickets):
        request_refund(booking_id=booking.pk, ticket_ids=wished, origin=Origin.STAFF)

    assert (Refund.objects.count(), reloaded(booking).status) == (0, "booked")


def test_ticket_cannot_be_returned_twice(booking):
    returned = own_ids(booking)[:1]
    request_refund(booking_id=booking.pk, ticket_ids=returned, origin=Origin.STAFF)

    with pytest.raises(exceptions.InvalidTickets):
        request_refund(booking_id=booking.pk, ticket_ids=returned, origin=Origin.STAFF)

    assert Refund.objects.count() == 1


def test_hold_has_nothing_to_give_back(event):
    hold = hold_tickets(event=event, ticket_ids=ticket_ids(event)[:1], buyer=GUEST).booking

    with pytest.raises(exceptions.BookingClosed):
        request_refund(booking_id=hold.pk, origin=Origin.STAFF)

    assert reloaded(hold).status == "reserved"


# --- What buyers may do -----------------------------------------------------------------


def allow_returns(event: Event, **rules) -> None:
    Event.objects.filter(pk=event.pk).update(**rules)


def tomorrow():
    return timezone.now() + timedelta(days=1)


def yesterday():
    return timezone.now() - timedelta(days=1)


def test_buyer_pays_the_fee_and_never_more_than_the_price(booking, event):
    allow_returns(event, refunds_until=tomorrow(), refund_fee="3.00")
    first, second = own_ids(booking)
    refund = request_refund(booking_id=booking.pk, ticket_ids=[first], origin=Origin.BUYER)
    assert (refund.amount, refund.fee) == (Decimal("7.00"), Decimal("3.00"))

    allow_returns(event, refund_fee="50.00")
    refund = request_refund(booking_id=booking.pk, ticket_ids=[second], origin=Origin.BUYER)
    assert (refund.amount, refund.fee) == (0, Decimal("10.00"))

    finish_refunds()
    assert set(Refund.objects.values_list("status", flat=True)) == {"done"}
    assert (Payment.objects.get().refunded, SandboxRefund.objects.count()) == (7, 1)
    assert_audit_is_clean()


def test_buyer_returns_without_a_fee_while_a_postponement_allows_it(booking, event):
    allow_returns(event, refunds_until=yesterday(), free_refunds_until=tomorrow(), refund_fee="3.00")

    assert quote_refund(reloaded(booking), None, Origin.BUYER).amount == Decimal("20.00")

    allow_returns(event, refunds_until=tomorrow(), free_refunds_until=yesterday())
    later = Booking.objects.get(pk=booking.pk)
    assert quote_refund(later, None, Origin.BUYER).amount == Decimal("14.00")


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({}, "Tickets for this event cannot be returned."),
        (
            {"refunds_until": timezone.now() - timedelta(seconds=1)},
            "The time to return tickets for this event is over.",
        ),
    ],
)
def test_buyer_outside_the_rules_is_told_why(booking, event, rules, reason):
    allow_returns(event, **rules)

    with pytest.raises(exceptions.NotRefundable, match=reason):
        request_refund(booking_id=booking.pk, origin=Origin.BUYER)

    assert (Refund.objects.count(), reloaded(booking).status) == (0, "booked")


def test_fee_is_not_kept_of_a_cancelled_event(booking, event):
    allow_returns(event, refund_fee=Decimal("3.00"), refunds_until=tomorrow())
    Event.objects.filter(pk=event.pk).update(status=Event.Status.CANCELLED)

    refund = request_refund(booking_id=booking.pk, origin=Origin.BUYER)

    assert (refund.amount, refund.fee) == (20, 0)


def test_ticket_that_was_used_can_be_given_back_by_staff_alone(booking, event):
    allow_returns(event, refunds_until=tomorrow())
    booking.items.update(checked_in_at=timezone.now())

    with pytest.raises(exceptions.NotRefundable):
        request_refund(booking_id=booking.pk, origin=Origin.BUYER)
    request_refund(booking_id=booking.pk, origin=Origin.STAFF)

    assert reloaded(booking).status == "refunded"


def test_returned_tickets_do_not_count_towards_the_limit(event):
    allow_returns(event, max_tickets_per_booking=2)
    event.refresh_from_db()
    booking = buy(event, 2)
    returned = own_ids(booking)[:1]
    request_refund(booking_id=booking.pk, ticket_ids=returned, origin=Origin.STAFF)

    again = hold_tickets(event=event, ticket_ids=returned, buyer=GUEST).booking

    assert again.status == "reserved"


# --- Races ------------------------------------------------------------------------------


def test_twenty_refunds_at_once_give_the_money_back_once(booking):
    ids = own_ids(booking)

    results = run_together(
        [lambda: request_refund(booking_id=booking.pk, ticket_ids=ids, origin=Origin.STAFF)] * 20
    )
    run_together([finish_refunds] * 4)

    assert sum(isinstance(result, Refund) for result in results) == 1
    assert list(SandboxRefund.objects.values_list("amount", flat=True)) == [20]
    assert list(PaymentEntry.objects.filter(kind="refunded").values_list("amount", flat=True)) == [20]
    assert_audit_is_clean()


# --- The gateway ------------------------------------------------------------------------


def test_gateway_is_called_outside_of_any_transaction(booking, monkeypatch):
    seen = []
    refund_for_real = SandboxGateway.refund

    def watch(self, reference, **details):
        seen.append(connection.in_atomic_block)
        return refund_for_real(self, reference, **details)

    monkeypatch.setattr(SandboxGateway, "refund", watch)
    request_refund(booking_id=booking.pk, origin=Origin.STAFF)
    finish_refunds()

    assert seen == [False]


def test_answer_that_was_lost_after_the_gateway_acted_is_found_and_not_paid_twice(booking, monkeypatch):
    refund_for_real = SandboxGateway.refund

    def act_and_time_out(self, reference, **details):
        refund_for_real(self, reference, **details)
        raise GatewayError("timed out")

    monkeypatch.setattr(SandboxGateway, "refund", act_and_time_out)
    refund = request_refund(booking_id=booking.pk, origin=Origin.STAFF)
    finish_refunds()
    assert (reloaded(refund).status, refund.attempts) == ("requested", 1)

    def forget_the_key(self, reference, *, key, **details):
        return refund_for_real(self, reference, key=f"new-{key}", **details)

    # A day later the gateway has forgotten the key: only its records say that it acted.
    monkeypatch.setattr(SandboxGateway, "refund", forget_the_key)
    make_due()
    finish_refunds()

    assert reloaded(refund).status == "done"
    assert list(SandboxRefund.objects.values_list("amount", flat=True)) == [20]
    assert_audit_is_clean()


def test_refund_that_the_gateway_is_still_working_on_waits(booking, monkeypatch):
    def answer(state: RefundState):
        def refunds_of(self, reference):
            key = str(Refund.objects.get().pk)
            return [GatewayRefund(key=key, state=state, amount=Decimal(20))]

        return refunds_of

    refund = request_refund(booking_id=booking.pk, origin=Origin.STAFF)
    monkeypatch.setattr(SandboxGateway, "refunds", answer(RefundState.PENDING))
    finish_refunds()
    assert (reloaded(refund).status, refund.problem) == ("requested", "")

    monkeypatch.setattr(SandboxGateway, "refunds", answer(RefundState.DONE))
    make_due()
    finish_refunds()
    assert (reloaded(refund).status, Payment.objects.get().refunded) == ("done", 20)


def test_refund_that_failed_is_handed_to_a_person_and_tried_under_a_new_key(booking, monkeypatch):
    def fail(self, reference, *, amount, currency, key):
        return GatewayRefund(key=key, state=RefundState.FAILED, amount=amount, reason="account closed")

    refund = request_refund(booking_id=booking.pk, origin=Origin.STAFF)
    monkeypatch.setattr(SandboxGateway, "refund", fail)
    finish_refunds()
    assert (reloaded(refund).status, refund.problem) == ("requested", "account closed")
    assert refund.next_attempt_at > timezone.now() + timedelta(hours=23)
    assert refunds.finish_refunds_of(refund.payment) == 0
    monkeypatch.undo()

    def failed_before(self, reference):
        key = str(refund.pk)
        return [GatewayRefund(key=key, state=RefundState.FAILED, amount=Decimal(20))]

    monkeypatch.setattr(SandboxGateway, "refunds", failed_before)
    refunds.carry_out_refund(refund.pk)

    assert (reloaded(refund).status, refund.problem) == ("done", "")
    assert SandboxRefund.objects.get().idempotency_key == f"{refund.pk}:1"


def test_refund_that_another_worker_has_done_is_not_handed_to_a_person(booking, monkeypatch):
    refund = request_refund(booking_id=booking.pk, origin=Origin.STAFF)
    refund_for_real = SandboxGateway.refund

    def be_slower_than_another(self, reference, **details):
        monkeypatch.setattr(SandboxGateway, "refund", refund_for_real)
        finish_refunds()
        raise GatewayRefused("that key is in use")

    monkeypatch.setattr(SandboxGateway, "refund", be_slower_than_another)
    carry_out_refund(refund.pk)

    assert (reloaded(refund).status, refund.problem) == ("done", "")


def test_refund_of_money_that_was_not_taken_yet_takes_it_first(event, monkeypatch):
    def be_away(self, reference, *, key):
        raise GatewayError("away")

    monkeypatch.setattr(SandboxGateway, "capture", be_away)
    booking = buy(event, 2)
    refund = request_refund(booking_id=booking.pk, origin=Origin.STAFF)
    finish_refunds()
    assert (reloaded(refund).status, Payment.objects.get().status) == ("requested", "authorised")
    monkeypatch.undo()

    make_due()
    finish_refunds()

    assert (reloaded(refund).status, Payment.objects.get().status) == ("done", "refunded")
    assert_audit_is_clean()


def test_refund_of_money_that_was_never_taken_has_nothing_to_give(event, monkeypatch):
    def lapse(self, reference, *, key):
        SandboxIntent.objects.filter(pk=reference).update(status="voided")
        raise GatewayRefused("the authorisation ran out")

    monkeypatch.setattr(SandboxGateway, "capture", lapse)
    booking = buy(event, 2)
    refund = request_refund(booking_id=booking.pk, origin=Origin.STAFF)

    finish_refunds()

    assert (reloaded(refund).status, Payment.objects.get().status) == ("done", "voided")
    assert SandboxRefund.objects.count() == 0
    assert_audit_is_clean()


def test_free_tickets_are_given_back_without_a_gateway():
    event = make_seated_event(seats=1, price="0.00")
    booking = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=GUEST).booking
    start_payment(booking_id=booking.pk)

    refund = request_refund(booking_id=booking.pk, origin=Origin.STAFF)
    finish_refunds()

    assert (reloaded(refund).status, reloaded(booking).status) == ("done", "refunded")
    assert event.tickets.get().status == "available"
    assert_audit_is_clean()


def test_buyer_is_mailed_once_and_not_at_all_where_nothing_happened(booking, event):
    with pytest.raises(exceptions.NotRefundable):
        request_refund(booking_id=booking.pk, origin=Origin.BUYER)
    assert Mail.objects.filter(kind="refunded").count() == 0

    refund = request_refund(booking_id=booking.pk, origin=Origin.STAFF, reason="Ill")

    mail = Mail.objects.get(kind="refunded")
    assert (mail.facts["amount"], mail.facts["reason"]) == ("20.00", "Ill")
    assert mail.facts["refund"] == str(refund.pk)
