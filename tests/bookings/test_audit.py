"""The audit: each check reports its own violation, and ordinary life is none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from bookings import audit, payments, services
from bookings.gateways import get_gateway
from bookings.models import Booking, BookingItem, Payment, PaymentNotice, Refund
from bookings.refunds import request_refund
from bookings.sandbox.models import SandboxIntent
from bookings.services import Buyer, hold_tickets
from events import locks
from events.models import Ticket
from tests.factories import make_seated_event, ticket_ids
from tests.utils import assert_audit_is_clean, let_hold_lapse

pytestmark = pytest.mark.django_db

Violation = Callable[[], str]
CASES: dict[str, Violation] = {}


def breaks(sentence: str) -> Callable[[Violation], Violation]:
    """Marks what breaks the check of that sentence, and returns the line that must tell of it."""

    def register(violation: Violation) -> Violation:
        assert sentence not in CASES
        CASES[sentence] = violation
        return violation

    return register


def held(*, price: str = "30.00", tickets: int = 1) -> Booking:
    """A live hold of some tickets of an event that has one more."""
    event = make_seated_event(seats=tickets + 1, price=price)
    buyer = Buyer(email="guest@example.org")
    return hold_tickets(event=event, ticket_ids=ticket_ids(event)[:tickets], buyer=buyer).booking


def paid(answer: str = "authorised", *, tickets: int = 1) -> Booking:
    """A booking about whose payment the gateway was asked."""
    booking = held(tickets=tickets)
    payment = payments.start_payment(booking_id=booking.pk)
    SandboxIntent.objects.update(status=answer)
    payments.settle_payment(payment.pk)
    booking.refresh_from_db()
    return booking


def paid_but_not_taken() -> Booking:
    """A booking whose money is authorised and was not taken, as the gateway was gone."""
    booking = held()
    payment = payments.start_payment(booking_id=booking.pk)
    SandboxIntent.objects.update(status="authorised")
    found = get_gateway("sandbox").retrieve(payment.gateway_reference)
    payments._apply(payment.pk, found)
    booking.refresh_from_db()
    return booking


def ticket_of(booking: Booking) -> Ticket:
    return Ticket.objects.get(booking_id=booking.pk)


def long_ago(**age: float) -> datetime:
    return timezone.now() - timedelta(**age)


# --- I1 ---------------------------------------------------------------------------------


@breaks("I1 {0}: ticket {1} is {2}, but its booking {3} is {4}")
def booked_ticket_of_a_booking_that_was_given_up() -> str:
    booking = held()
    Booking.objects.update(status="released")
    slug, ticket = booking.event.slug, ticket_of(booking)
    return f"I1 {slug}: ticket {ticket.pk} is reserved, but its booking {booking.reference} is released"


@breaks("I1 ticket {0} belongs to booking {1}, which has no item for it")
def ticket_of_a_booking_without_an_item_for_it() -> str:
    booking = held()
    other = booking.event.tickets.get(status="available")
    until = booking.expires_at
    Ticket.objects.filter(pk=other.pk).update(status="reserved", booking_id=booking.pk, reserved_until=until)
    return f"I1 ticket {other.pk} belongs to booking {booking.reference}, which has no item for it"


@breaks("I1 ticket {0} still belongs to booking {1}, which gave it back")
def returned_ticket_that_was_not_let_go() -> str:
    booking = paid(tickets=2)
    tickets = list(Ticket.objects.filter(booking_id=booking.pk).order_by("pk"))
    request_refund(booking_id=booking.pk, ticket_ids=[tickets[0].pk], origin=Refund.Origin.STAFF)
    Ticket.objects.filter(pk=tickets[0].pk).update(status="booked", booking_id=booking.pk)
    return f"I1 ticket {tickets[0].pk} still belongs to booking {booking.reference}, which gave it back"


@breaks("I1 booking {0} has ticket {1} of another event")
def ticket_of_another_event() -> str:
    booking = held()
    Booking.objects.update(event=make_seated_event(seats=1))
    return f"I1 booking {booking.reference} has ticket {ticket_of(booking).pk} of another event"


# --- I2 ---------------------------------------------------------------------------------


@breaks("I2 booking {0} is booked, but its ticket {1} is {2}")
def booked_booking_whose_ticket_was_taken_off_sale() -> str:
    booking = paid()
    ticket = ticket_of(booking)
    Ticket.objects.filter(pk=ticket.pk).update(status="blocked", booking_id=None)
    return f"I2 booking {booking.reference} is booked, but its ticket {ticket.pk} is blocked"


@breaks("I2 booking {0} is booked and has no tickets")
def booked_booking_without_tickets() -> str:
    booking = held(price="0.00")
    payments.start_payment(booking_id=booking.pk)
    Ticket.objects.update(status="available", booking_id=None)
    BookingItem.objects.all().delete()
    return f"I2 booking {booking.reference} is booked and has no tickets"


@breaks("I2 booking {0} is booked, but its ticket {1} has no code")
def booked_ticket_without_a_code() -> str:
    booking = paid()
    BookingItem.objects.update(code=None)
    return f"I2 booking {booking.reference} is booked, but its ticket {ticket_of(booking).pk} has no code"


# --- I3 ---------------------------------------------------------------------------------


@breaks("I3 booking {0} ({1}): tickets and fees for {2}, but {3} taken or due to be taken")
def booking_that_is_paid_twice() -> str:
    booking = paid()
    Refund.objects.create(
        booking=booking, payment=Payment.objects.get(), origin="staff", amount="10.00", currency="EUR"
    )
    return (
        f"I3 booking {booking.reference} (booked): "
        "tickets and fees for 30.00, but 20.00 taken or due to be taken"
    )


@breaks("I3 booking {0}: its total is {1}, its items cost {2}")
def total_that_is_not_the_sum_of_its_items() -> str:
    booking = held()
    BookingItem.objects.update(price="29.00")
    return f"I3 booking {booking.reference}: its total is 30.00, its items cost 29.00"


@breaks("I3 payment {0} is {1} {2}, its booking {3} {4}")
def payment_in_another_currency() -> str:
    payment = payments.start_payment(booking_id=held().pk)
    Payment.objects.update(currency="USD")
    return f"I3 payment {payment.pk} is 30.00 USD, its booking 30.00 EUR"


@breaks("I3 payment {0} says {1}, {2} taken, {3} given back; its entries say {4}, {5}, {6}")
def payment_that_was_changed_beside_the_books() -> str:
    paid()
    Payment.objects.update(captured="29.00")
    pk = Payment.objects.get().pk
    return f"I3 payment {pk} says captured, 29.00 taken, 0.00 given back; its entries say captured, 30.00, 0"


@breaks("I3 refund {0} gives back {1} and keeps {2}, its tickets cost {3}")
def refund_that_gives_back_less_than_the_ticket() -> str:
    booking = paid(tickets=2)
    tickets = Ticket.objects.filter(booking_id=booking.pk).values_list("pk", flat=True)
    first, _second = [
        request_refund(booking_id=booking.pk, ticket_ids=[pk], origin=Refund.Origin.STAFF)
        for pk in list(tickets)
    ]
    BookingItem.objects.update(refund=first)
    return f"I3 refund {first.pk} gives back 30.00 and keeps 0.00, its tickets cost 60.00"


# --- I4 ---------------------------------------------------------------------------------


@breaks("I4 ticket {0} is reserved until {1}, its booking {2} only until {3}")
def ticket_reserved_for_longer_than_its_hold() -> str:
    booking = held()
    Ticket.objects.filter(status="reserved").update(reserved_until=F("reserved_until") + timedelta(minutes=1))
    ticket = ticket_of(booking)
    return (
        f"I4 ticket {ticket.pk} is reserved until {ticket.reserved_until}, "
        f"its booking {booking.reference} only until {booking.expires_at}"
    )


@breaks("I4 booking {0} is a live hold, but its ticket {1} is not reserved for it")
def live_hold_whose_ticket_is_on_sale() -> str:
    booking = held()
    ticket = ticket_of(booking)
    services.free_tickets([ticket.pk])
    return f"I4 booking {booking.reference} is a live hold, but its ticket {ticket.pk} is not reserved for it"


# --- I5 ---------------------------------------------------------------------------------


@breaks("I5 payment {0} of booking {1}: {2}, to {3}, and not done for an hour")
def money_that_is_never_taken() -> str:
    booking = paid_but_not_taken()
    Payment.objects.update(updated_at=long_ago(minutes=61))
    payment = Payment.objects.get()
    return (
        f"I5 payment {payment.pk} of booking {booking.reference}: "
        "authorised, to capture, and not done for an hour"
    )


@breaks("I5 refund {0} of booking {1} was asked for at {2}, and is not done for a day")
def refund_that_never_goes() -> str:
    booking = paid()
    refund = request_refund(booking_id=booking.pk, origin=Refund.Origin.STAFF)
    requested_at = long_ago(hours=25)
    Refund.objects.update(requested_at=requested_at)
    return (
        f"I5 refund {refund.pk} of booking {booking.reference} "
        f"was asked for at {requested_at}, and is not done for a day"
    )


@breaks("I5 refund {0} of {1} is done, and no entry says that the money went")
def refund_that_is_called_done() -> str:
    refund = request_refund(booking_id=paid().pk, origin=Refund.Origin.STAFF)
    Refund.objects.update(status="done", done_at=timezone.now())
    return f"I5 refund {refund.pk} of {refund.amount} is done, and no entry says that the money went"


@breaks("I5 payment {0} of booking {1} has been open since {2}")
def payment_that_nobody_ever_closed() -> str:
    booking = held()
    payment = payments.start_payment(booking_id=booking.pk)
    let_hold_lapse(booking, seconds=3 * 60 * 60 + 60)
    return f"I5 payment {payment.pk} of booking {booking.reference} has been open since {payment.created_at}"


@breaks("I5 payment {0} was taken for booking {1}, which is {2}")
def money_taken_for_a_booking_that_ran_out() -> str:
    booking = held(price="0.00")
    payment = payments.start_payment(booking_id=booking.pk)
    Ticket.objects.update(status="available", booking_id=None)
    Booking.objects.update(status="expired", booked_at=None)
    return f"I5 payment {payment.pk} was taken for booking {booking.reference}, which is expired"


@breaks("I5 payment {0} took {1} for nothing, and {2} is promised back")
def money_taken_for_nothing() -> str:
    booking = held()
    payment = payments.start_payment(booking_id=booking.pk)
    services.release_hold(booking_id=booking.pk)
    SandboxIntent.objects.update(status="captured")
    payments.settle_payment(payment.pk)
    Refund.objects.all().delete()
    return f"I5 payment {payment.pk} took 30.00 for nothing, and 0 is promised back"


@breaks("I5 payment {0} is decided about, and no entry says that it was authorised")
def decision_about_money_that_nobody_authorised() -> str:
    payment = payments.start_payment(booking_id=held().pk)
    Payment.objects.update(decision="void")
    return f"I5 payment {payment.pk} is decided about, and no entry says that it was authorised"


@breaks("I5 notice {0} from {1} has waited since {2}")
def notice_that_nobody_applied() -> str:
    notice = PaymentNotice.objects.create(gateway="sandbox", provider_id="n1", reference="r1", payload={})
    received_at = long_ago(minutes=61)
    PaymentNotice.objects.filter(pk=notice.pk).update(received_at=received_at)
    return f"I5 notice n1 from sandbox has waited since {received_at}"


# --- The tests --------------------------------------------------------------------------


@pytest.mark.parametrize("sentence", CASES)
def test_check_reports_its_violation_and_no_other_check_does(sentence: str) -> None:
    line = CASES[sentence]()

    assert audit.find_violations() == [line]


def test_every_check_has_its_violation() -> None:
    assert list(CASES) == list(audit.CHECKS)


def test_live_hold_without_items_is_reported() -> None:
    booking = held()
    Ticket.objects.update(status="available", booking_id=None, reserved_until=None)
    BookingItem.objects.all().delete()

    assert audit.find_violations() == [
        f"I3 booking {booking.reference}: its total is 30.00, its items cost 0"
    ]


def test_what_is_still_on_its_way_is_no_violation() -> None:
    paid_but_not_taken()
    Payment.objects.update(updated_at=long_ago(minutes=59))
    PaymentNotice.objects.create(gateway="sandbox", provider_id="n1", reference="r1", payload={})
    PaymentNotice.objects.update(received_at=long_ago(minutes=59))

    assert_audit_is_clean()


def test_ordinary_life_breaks_nothing() -> None:
    held()
    assert_audit_is_clean()

    let_hold_lapse(held())
    assert_audit_is_clean()
    services.sweep_expired_holds()
    assert_audit_is_clean()

    services.release_hold(booking_id=held().pk)
    assert_audit_is_clean()

    assert paid("declined").status == "reserved"
    assert_audit_is_clean()

    assert paid().status == "booked"
    assert_audit_is_clean()

    free = held(price="0.00")
    payments.start_payment(booking_id=free.pk)
    free.refresh_from_db()
    assert free.status == "booked"
    assert_audit_is_clean()


def test_late_payment_that_is_voided_breaks_nothing() -> None:
    late = held()
    payment = payments.start_payment(booking_id=late.pk)
    seat = [ticket_of(late).pk]
    let_hold_lapse(late)
    locks.release(late.event_id, seat, late.pk)
    hold_tickets(event=late.event, ticket_ids=seat, buyer=Buyer(email="quick@example.org"))
    SandboxIntent.objects.update(status="authorised")

    assert payments.settle_payment(payment.pk).status == "voided"

    assert_audit_is_clean()
