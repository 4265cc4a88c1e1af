"""Cancelling an event: everybody has the money back, once, whatever happens to the job."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from bookings import cancellations, payments
from bookings.cancellations import (
    CancellationPlan,
    Money,
    cancel_event,
    cancellation_progress,
    plan_cancellation,
    run_cancellations,
)
from bookings.models import (
    Booking,
    BookingItem,
    CancellationProblem,
    EventCancellation,
    Payment,
    PaymentEntry,
    Refund,
)
from bookings.outbox.models import Mail
from bookings.payments import reconcile_payments, settle_payment, start_payment
from bookings.refunds import finish_refunds, request_refund
from bookings.sandbox.models import SandboxIntent, SandboxRefund
from bookings.services import Buyer, hold_tickets
from events.exceptions import WrongStatus
from events.models import Event, Ticket
from tests.bookings.buying import buy
from tests.factories import make_event, make_general_admission, make_seated_event, make_staff
from tests.utils import assert_audit_is_clean, let_hold_lapse, run_together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def event() -> Event:
    return make_seated_event(seats=8, price="10.00")


def buyer(number: int) -> Buyer:
    return Buyer(email=f"buyer{number}@example.org")


def sell(event: Event, bookings: int, *, tickets: int = 1) -> list[Booking]:
    return [buy(event, tickets, buyer(number)) for number in range(bookings)]


def hold(event: Event, who: Buyer) -> Booking:
    free = event.tickets.available().order_by("position").values_list("pk", flat=True)
    return hold_tickets(event=event, ticket_ids=list(free[:1]), buyer=who).booking


def at_the_gateway(booking: Booking) -> Payment:
    """A buyer on the gateway's page."""
    return start_payment(booking_id=booking.pk)


def pay_there(payment: Payment) -> None:
    SandboxIntent.objects.filter(pk=payment.gateway_reference).update(status="authorised")


def statuses(*rows: Booking) -> list[str]:
    found = dict(Booking.objects.filter(pk__in=[row.pk for row in rows]).values_list("pk", "status"))
    return [found[row.pk] for row in rows]


def given_back() -> list[Decimal]:
    """What the gateway gave back, refund by refund."""
    return list(SandboxRefund.objects.order_by("amount").values_list("amount", flat=True))


def mailed() -> list[str]:
    mails = Mail.objects.filter(kind="event_cancelled").order_by("booking__email")
    return list(mails.values_list("booking__email", flat=True))


def assert_everybody_has_the_money_back() -> None:
    assert not Booking.objects.filter(status__in=["booked", "reserved"]).exists()
    assert not Refund.objects.exclude(status="done").exists()
    taken = Payment.objects.exclude(captured=0)
    assert [payment.captured - payment.refunded for payment in taken] == [0] * len(taken)
    assert not Ticket.objects.exclude(booking_id=None).exists()
    assert_audit_is_clean()


# --- What it comes to -------------------------------------------------------------------


def test_plan_says_what_then_happens(event):
    make_general_admission(event, 4, price="0.00", name="Free")
    free = event.tickets.filter(price_tier__name="Free").values_list("pk", flat=True)
    sell(event, 2, tickets=2)
    buy(event, [free[0]], buyer(8))
    partly = buy(event, 2, buyer(9))
    request_refund(
        booking_id=partly.pk,
        ticket_ids=[partly.items.order_by("pk")[0].ticket_id],
        origin=Refund.Origin.STAFF,
    )
    nameless = buy(event, 1, Buyer(address="192.0.2.1"))
    at_the_gateway(hold(event, buyer(10)))
    finish_refunds()

    plan = plan_cancellation(event)
    assert plan == CancellationPlan(
        bookings=5,
        tickets=7,
        money=[Money(Decimal("60.00"), "EUR")],
        free_bookings=1,
        without_address=1,
        holds=1,
        open_payments=1,
    )
    assert Refund.objects.count() == 1

    cancel_event(event, by=None)
    run_cancellations()
    finish_refunds()

    refunds = Refund.objects.filter(origin="cancellation")
    assert refunds.count() == plan.bookings
    assert sum(refund.amount for refund in refunds) == plan.money[0].amount
    assert BookingItem.objects.filter(refund__in=refunds).count() == plan.tickets
    assert len(mailed()) == plan.bookings - plan.without_address
    assert statuses(nameless, partly) == ["cancelled", "cancelled"]


def test_plan_and_progress_take_as_many_queries_for_three_bookings_as_for_one(django_assert_num_queries):
    for bookings in (1, 3):
        event = make_seated_event(seats=5)
        sell(event, bookings)

        with django_assert_num_queries(3):
            plan_cancellation(event)

        job = cancel_event(event, by=None)
        run_cancellations()
        Refund.objects.update(problem="The card is closed.")
        with django_assert_num_queries(7):
            assert cancellation_progress(job).done == bookings


# --- The step and the job ---------------------------------------------------------------


def test_cancelling_gives_everybody_the_money_back(event):
    staff = make_staff()
    sold = sell(event, 3, tickets=2)

    job = cancel_event(event, by=staff, reason="The singer\nis ill.")
    assert (job.event.status, job.bookings_total, job.status) == ("cancelled", 3, "running")
    run_cancellations()
    finish_refunds()

    job.refresh_from_db()
    assert statuses(*sold) == ["cancelled"] * 3
    assert given_back() == [Decimal("20.00")] * 3
    assert mailed() == ["buyer0@example.org", "buyer1@example.org", "buyer2@example.org"]
    refund = Refund.objects.first()
    assert (refund.reason, refund.requested_by, refund.fee) == ("The singer is ill.", staff, 0)
    assert (job.status, job.finished_at is not None) == ("done", True)
    assert_everybody_has_the_money_back()


def test_fee_of_returned_tickets_is_not_kept_of_cancelled_ones(event):
    Event.objects.update(refund_fee=3, refunds_until=event.starts_at)
    booking = buy(event, 2)
    returned = booking.items.order_by("pk")[0].ticket_id
    request_refund(booking_id=booking.pk, ticket_ids=[returned], origin=Refund.Origin.BUYER)

    cancel_event(event, by=None)
    run_cancellations()
    finish_refunds()

    assert given_back() == [Decimal("7.00"), Decimal("10.00")]
    assert statuses(booking) == ["cancelled"]
    assert_audit_is_clean()


def test_free_booking_is_cancelled_and_its_buyer_told():
    event = make_event()
    make_general_admission(event, 2, price="0.00")
    booking = buy(event, 1, buyer(1))

    cancel_event(event, by=None)
    run_cancellations()
    finish_refunds()

    assert (statuses(booking), given_back(), mailed()) == (["cancelled"], [], ["buyer1@example.org"])
    assert_everybody_has_the_money_back()


def test_hold_ends_and_its_payment_is_closed(event):
    booking = hold(event, buyer(1))
    payment = at_the_gateway(booking)

    job = cancel_event(event, by=None)
    run_cancellations()
    assert statuses(booking) == ["released"]
    job.refresh_from_db()
    assert job.status == "running"

    settle_payment(payment.pk)
    run_cancellations()
    job.refresh_from_db()
    payment.refresh_from_db()
    assert (payment.status, job.status) == ("voided", "done")
    assert SandboxIntent.objects.get().status == "voided"


@pytest.mark.parametrize("has_run", [False, True])
def test_payment_made_while_the_event_is_cancelled_is_not_taken(event, has_run):
    booking = hold(event, buyer(1))
    payment = at_the_gateway(booking)
    pay_there(payment)

    cancel_event(event, by=None)
    if has_run:
        run_cancellations()
    settle_payment(payment.pk)
    run_cancellations()

    payment.refresh_from_db()
    assert (payment.status, payment.reason) == ("voided", "The event was cancelled.")
    assert statuses(booking) == ["released"]
    assert EventCancellation.objects.get().status == "done"
    assert_everybody_has_the_money_back()


def test_late_payment_of_a_lapsed_hold_is_waited_for(event):
    booking = hold(event, buyer(1))
    payment = at_the_gateway(booking)
    let_hold_lapse(booking)
    cancel_event(event, by=None)
    run_cancellations()
    assert EventCancellation.objects.get().status == "running"

    pay_there(payment)
    Payment.objects.update(created_at=timezone.now() - payments.RECONCILE_AFTER)
    reconcile_payments()
    run_cancellations()

    assert EventCancellation.objects.get().status == "done"
    assert_everybody_has_the_money_back()


def test_booking_without_a_capture_yet_is_refunded(event, monkeypatch):
    """The gateway is away between booking and taking the money, and the event is cancelled then."""
    booking = hold(event, buyer(1))
    payment = at_the_gateway(booking)
    pay_there(payment)
    monkeypatch.setattr(payments, "_carry_out", lambda payment: payment)
    settle_payment(payment.pk)
    monkeypatch.undo()
    assert statuses(booking) == ["booked"]

    cancel_event(event, by=None)
    run_cancellations()
    finish_refunds()

    assert_everybody_has_the_money_back()


def test_cancelling_twice_is_refused(event):
    cancel_event(event, by=None)

    with pytest.raises(WrongStatus, match="cancelled"):
        cancel_event(event, by=None)

    assert EventCancellation.objects.count() == 1


def test_draft_cannot_be_cancelled():
    event = make_event(status="draft")

    with pytest.raises(WrongStatus, match="draft"):
        cancel_event(event, by=None)

    assert EventCancellation.objects.count() == 0


def test_event_cancelled_before_without_refunds_can_be_given_to_the_job(event):
    sold = sell(event, 2)
    Event.objects.update(status="cancelled")
    event.refresh_from_db()

    assert cancellations.can_be_cancelled(event)
    cancel_event(event, by=None)
    assert not cancellations.can_be_cancelled(event)
    run_cancellations()
    finish_refunds()

    assert statuses(*sold) == ["cancelled", "cancelled"]
    assert_everybody_has_the_money_back()


def test_other_events_are_left_alone(event):
    other = buy(make_seated_event(seats=2), 1, buyer(9))
    sell(event, 1)

    cancel_event(event, by=None)
    run_cancellations()

    assert statuses(other) == ["booked"]


# --- Killed, doubled, failing -----------------------------------------------------------


class Killed(BaseException):
    """As a signal: nothing catches it."""


@pytest.mark.parametrize("nth", [1, 3, 5])
@pytest.mark.parametrize("is_after", [False, True])
def test_job_that_is_killed_is_taken_up_again(event, monkeypatch, nth, is_after):
    sell(event, 5)
    cancel_event(event, by=None)
    calls = []

    def die(**arguments: Any) -> Refund:
        calls.append(arguments)
        if len(calls) == nth and not is_after:
            raise Killed
        refund = request_refund(**arguments)
        if len(calls) == nth:
            raise Killed
        return refund

    monkeypatch.setattr(cancellations, "request_refund", die)
    with pytest.raises(Killed):
        run_cancellations()
    monkeypatch.undo()
    assert Booking.objects.filter(status="cancelled").count() == nth - 1
    assert Refund.objects.count() == Mail.objects.filter(kind="event_cancelled").count() == nth - 1
    assert_audit_is_clean()

    run_cancellations()
    finish_refunds()

    assert given_back() == [Decimal("10.00")] * 5
    assert PaymentEntry.objects.filter(kind="refunded").count() == 5
    assert len(mailed()) == 5
    assert_everybody_has_the_money_back()


def test_two_workers_refund_each_booking_once(event):
    sell(event, 8)
    cancel_event(event, by=None)

    results = run_together([run_cancellations, run_cancellations, run_cancellations])
    run_together([finish_refunds, finish_refunds])
    run_cancellations()

    assert not [result for result in results if isinstance(result, Exception)]
    assert CancellationProblem.objects.count() == 0
    assert given_back() == [Decimal("10.00")] * 8
    assert EventCancellation.objects.get().status == "done"
    assert_everybody_has_the_money_back()


def test_bad_booking_does_not_stop_the_others(event, monkeypatch):
    bad, *good = sell(event, 3)

    def fail_for_one(**arguments: Any) -> Refund:
        if arguments["booking_id"] == bad.pk:
            raise ArithmeticError("does not add up")
        return request_refund(**arguments)

    job = cancel_event(event, by=None)
    monkeypatch.setattr(cancellations, "request_refund", fail_for_one)
    run_cancellations()

    assert statuses(bad, *good) == ["booked", "cancelled", "cancelled"]
    problem = CancellationProblem.objects.get()
    assert (problem.booking, problem.problem) == (bad, "ArithmeticError: does not add up")
    progress = cancellation_progress(job)
    assert (progress.done, progress.left, progress.unrefunded) == (2, 1, [problem])
    assert progress.money_to_go == [Money(Decimal("30.00"), "EUR")]

    # Not before its pause is over.
    assert run_cancellations() == 0
    monkeypatch.undo()
    CancellationProblem.objects.update(next_attempt_at=timezone.now())
    run_cancellations()
    finish_refunds()

    progress = cancellation_progress(job)
    assert (progress.done, progress.left, progress.needs_a_person) == (3, 0, False)
    assert progress.money_back == [Money(Decimal("30.00"), "EUR")]
    assert_everybody_has_the_money_back()


def test_nothing_is_cancelled_where_the_step_is_rolled_back(event):
    with transaction.atomic():
        cancel_event(event, by=None)
        transaction.set_rollback(True)

    event.refresh_from_db()
    assert (event.status, EventCancellation.objects.count()) == ("published", 0)


# --- Races ------------------------------------------------------------------------------


def test_cancelling_while_payments_are_confirmed_ends_with_the_money_back():
    event = make_seated_event(seats=8, price="10.00")
    paid = [at_the_gateway(hold(event, buyer(number))) for number in range(8)]
    for payment in paid:
        pay_there(payment)

    results = run_together(
        [
            *[partial(settle_payment, payment.pk) for payment in paid],
            partial(cancel_event, event, by=None),
            run_cancellations,
        ]
    )
    run_cancellations()
    payments.finish_payments()
    finish_refunds()
    run_cancellations()

    assert not [result for result in results if isinstance(result, Exception)]
    assert EventCancellation.objects.get().status == "done"
    assert_everybody_has_the_money_back()


def test_payment_confirmed_by_a_transaction_that_read_the_event_before(event, monkeypatch):
    """The narrowest case: it read “published”, the event is cancelled, the job looks, then it commits."""
    payment = at_the_gateway(hold(event, buyer(1)))
    pay_there(payment)
    take_tickets = payments._take_tickets

    def cancelled_meanwhile(booking: Booking) -> bool:
        run_together([partial(cancel_event, event, by=None)])
        run_together([run_cancellations])
        return take_tickets(booking)

    monkeypatch.setattr(payments, "_take_tickets", cancelled_meanwhile)
    settle_payment(payment.pk)
    monkeypatch.undo()
    assert EventCancellation.objects.get().status == "running"
    assert Booking.objects.get().status == "booked"

    CancellationProblem.objects.update(next_attempt_at=timezone.now())
    run_cancellations()
    finish_refunds()

    assert EventCancellation.objects.get().status == "done"
    assert_everybody_has_the_money_back()


def test_staff_refund_at_the_same_moment_gives_the_money_back_once(event):
    booking = buy(event, 2)
    cancel_event(event, by=None)

    run_together(
        [
            partial(request_refund, booking_id=booking.pk, origin=Refund.Origin.STAFF),
            run_cancellations,
        ]
    )
    run_cancellations()
    finish_refunds()

    assert given_back() == [Decimal("20.00")]
    assert_everybody_has_the_money_back()


# --- The command ------------------------------------------------------------------------


def test_command_says_what_it_would_do_and_changes_nothing(event, capsys):
    sell(event, 2)

    call_command("cancel_event", event.slug, "--dry-run")

    event.refresh_from_db()
    assert event.status == "published"
    assert capsys.readouterr().out == (
        f"Cancelling “{event}” gives 2 buyers €20.00 back.\n"
        "  Bookings: 2\n"
        "  Tickets: 2\n"
        "  Bookings that cost nothing: 0\n"
        "  Bookings without an e-mail address, whose buyers you must tell yourself: 0\n"
        "  Holds that end: 0\n"
        "  Payments just being made, which will not be taken: 0\n"
    )


def test_command_cancels_once_the_title_is_typed(event, monkeypatch, capsys):
    sell(event, 2)
    monkeypatch.setattr("builtins.input", lambda _question: "Something else")
    with pytest.raises(CommandError, match="not its title"):
        call_command("cancel_event", event.slug)
    assert Refund.objects.count() == 0

    monkeypatch.setattr("builtins.input", lambda _question: event.title)
    call_command("cancel_event", event.slug, reason="Flooded")
    finish_refunds()

    assert "2 bookings are refunded" in capsys.readouterr().out
    assert given_back() == [Decimal("10.00")] * 2
    assert set(Refund.objects.values_list("reason", flat=True)) == {"Flooded"}
    assert_everybody_has_the_money_back()


def test_command_refuses_what_it_cannot_cancel(event):
    with pytest.raises(CommandError, match="There is no event"):
        call_command("cancel_event", "nowhere")
    cancel_event(event, by=None)
    with pytest.raises(CommandError, match="cancelled already"):
        call_command("cancel_event", event.slug, "--no-input")
