"""Paying: begin, settle, capture or give back. The buyer is never charged for a ticket that is gone.

What the gateway did is always asked of the gateway itself; a notice or a returning browser only
says when to ask. What it answers is written into the books, once. No call to a gateway is made
inside a transaction.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from bookings.books import promise_refund, record
from bookings.buyers import Buyer, check_limit
from bookings.exceptions import GatewayUnavailable, LimitExceeded, NotOnSale
from bookings.gateways import (
    GatewayError,
    GatewayPayment,
    GatewayRefused,
    GatewayState,
    PaymentOrder,
    get_gateway,
)
from bookings.models import Booking, BookingItem, Payment, PaymentEntry, Refund, make_code
from bookings.outbox.models import Mail
from bookings.outbox.services import queue_mail
from bookings.querysets import PaymentQuerySet
from bookings.retrying import BATCH, back_off, work_through
from bookings.services import (
    close_hold,
    database_time,
    give_back_locks_after_commit,
    lock_booking,
    lock_live_hold,
)
from events.models import Event, Ticket

logger = logging.getLogger(__name__)

Kind = PaymentEntry.Kind

# A booking that costs nothing is paid by this, which is no gateway at all.
FREE = "free"
# How long after its hold a payment page may still be used, before the payment is closed.
ABANDONED_AFTER = timedelta(hours=1)
# Who pays with another card at once needs no mail about the first.
MAIL_FAILURE_AFTER = timedelta(minutes=1)
# A payment that has been open for this long is asked about without waiting for a notice.
RECONCILE_AFTER = timedelta(minutes=2)
# What the gateway has not done for so long is handed to a person, and tried on.
HAND_OVER_AFTER = timedelta(hours=1)


# --- Beginning --------------------------------------------------------------------------


def start_payment(*, booking_id: UUID, return_url: str = "") -> Payment:
    """The payment to send the buyer to. While one is open it is returned again, so that a
    second click pays nothing twice.

    Raises `AlreadyBooked`, `HoldExpired`, `BookingClosed`, `NotOnSale` for an event that was
    cancelled, or `GatewayUnavailable`; after the last the payment is still open, and asking again
    goes on with it.
    """
    open_payment = Payment.objects.filter(booking=booking_id, status=Payment.Status.PENDING).first()
    if open_payment is not None and open_payment.gateway_reference:
        # It may have been declined, and the notice not have come yet.
        settle_payment(open_payment.pk)
    return_url = return_url or settings.SITE_URL + reverse("bookings:returned", args=[booking_id])
    payment = _open_payment(booking_id, return_url)
    if payment.gateway == FREE:
        return settle_or_raise(payment.pk)
    if not payment.redirect_url:
        try:
            _send_to_gateway(payment)
        except GatewayError as error:
            raise GatewayUnavailable from error
    return payment


def _open_payment(booking_id: UUID, return_url: str) -> Payment:
    """The booking's open payment, written before the gateway hears of it."""
    with transaction.atomic():
        booking = lock_live_hold(booking_id)
        if booking.event.status == Event.Status.CANCELLED:
            raise NotOnSale
        payment = booking.payments.filter(status=Payment.Status.PENDING).first()
        if payment is None:
            payment = Payment.objects.create(
                booking=booking,
                gateway=settings.PAYMENT_GATEWAY if booking.total else FREE,
                amount=booking.total,
                currency=booking.currency,
                return_url=return_url,
            )
    return payment


def _send_to_gateway(payment: Payment) -> None:
    """Tell the gateway of a payment; the payment's id is the key, so that twice is once.

    Where the buyer's address was changed between two clicks, the gateway may have made two pages. The
    one that is written down first counts, and the buyer is sent there from both.
    """
    booking = payment.booking
    order = PaymentOrder(
        key=str(payment.pk),
        booking=str(booking.pk),
        amount=payment.amount,
        currency=payment.currency,
        description=f"{settings.SITE_NAME} {booking.reference}",
        email=booking.email,
        return_url=payment.return_url,
    )
    made = get_gateway(payment.gateway).create(order)
    Payment.objects.filter(pk=payment.pk, status=Payment.Status.PENDING, gateway_reference="").update(
        gateway_reference=made.reference, redirect_url=made.redirect_url, updated_at=timezone.now()
    )
    payment.refresh_from_db(fields=["status", "gateway_reference", "redirect_url", "updated_at"])


# --- Settling ---------------------------------------------------------------------------


def settle_payment(payment_id: UUID) -> Payment:
    """Ask the gateway, then book and capture, or give the money back.

    Safe to call at any time, any number of times, from anywhere. A gateway that does not answer
    leaves the payment as it was, due to be asked about again.
    """
    try:
        return settle_or_raise(payment_id)
    except GatewayError as error:
        logger.warning("Payment %s: the gateway does not answer (%s).", payment_id, error)
        return put_off(payment_id, error)


def settle_or_raise(payment_id: UUID) -> Payment:
    """As `settle_payment`, for callers that keep count of their own attempts. Raises `GatewayError`."""
    payment = Payment.objects.select_related("booking").get(pk=payment_id)
    if payment.status == Payment.Status.PENDING:
        payment = _apply(payment_id, _ask_gateway(payment))
    return _carry_out(payment)


def _ask_gateway(payment: Payment) -> GatewayPayment:
    """What the gateway says of the payment; one that nobody will make any more is closed first.

    Raises `GatewayRefused` where money was taken that is not the amount to pay: no rule says
    what to do about that.
    """
    if payment.gateway == FREE:
        return _free(payment, GatewayState.AUTHORISED)
    if not payment.gateway_reference and not _is_abandoned(payment.booking):
        _send_to_gateway(payment)
    if not payment.gateway_reference:
        # Abandoned, now or in the meantime: nobody was ever sent to a page of the gateway's, so nobody
        # can have paid there.
        return _free(payment, GatewayState.VOIDED)
    gateway = get_gateway(payment.gateway)
    found = gateway.retrieve(payment.gateway_reference)
    if found.state is GatewayState.OPEN and _is_abandoned(payment.booking):
        found = gateway.void(payment.gateway_reference, key=f"close-{payment.pk}")
    if found.state is GatewayState.CAPTURED:
        _check_captured_amount(payment, found)
    return found


def _is_abandoned(booking: Booking) -> bool:
    was_given_up = booking.status == Booking.Status.RELEASED
    return was_given_up or booking.expires_at + ABANDONED_AFTER < database_time()


def _check_captured_amount(payment: Payment, found: GatewayPayment) -> None:
    if (found.amount, found.currency) != (payment.amount, payment.currency):
        raise GatewayRefused(
            f"{found.amount} {found.currency} was taken instead of {payment.amount} {payment.currency}"
        )


def _free(payment: Payment, state: GatewayState) -> GatewayPayment:
    """What a gateway would say, for a payment that none was ever told of."""
    return GatewayPayment("", state, payment.amount, payment.currency)


def _apply(payment_id: UUID, found: GatewayPayment) -> Payment:
    """Write down what the gateway said, and decide: the one place where tickets become booked."""
    booking_id = Payment.objects.values_list("booking", flat=True).get(pk=payment_id)
    with transaction.atomic():
        payment = _lock_payment(payment_id, lock_booking(booking_id))
        if payment.status != Payment.Status.PENDING:
            return payment
        match found.state:
            case GatewayState.OPEN:
                back_off(payment)
                payment.save(update_fields=["attempts", "next_attempt_at"])
            case GatewayState.DECLINED | GatewayState.VOIDED:
                _end_unpaid(payment, found)
            case GatewayState.AUTHORISED | GatewayState.CAPTURED:
                _decide(payment, found)
    return payment


def _lock_payment(payment_id: UUID, booking: Booking) -> Payment:
    """The payment, its row locked after its booking's."""
    payment = Payment.objects.select_for_update(no_key=True).get(pk=payment_id)
    payment.booking = booking
    return payment


def _end_unpaid(payment: Payment, found: GatewayPayment) -> None:
    payment.reason, payment.problem = found.reason[:200], ""
    payment.save(update_fields=["reason", "problem"])
    if found.state is GatewayState.DECLINED:
        record(payment, Kind.DECLINED)
        _tell_of_failure(payment)
    else:
        record(payment, Kind.VOIDED)


def _decide(payment: Payment, found: GatewayPayment) -> None:
    """Book, or say why not; then the money is to be taken, or to go back."""
    payment.reason, payment.problem = _book(payment.booking, payment, found), ""
    payment.decision = Payment.Decision.VOID if payment.reason else Payment.Decision.CAPTURE
    payment.attempts, payment.next_attempt_at = 0, timezone.now()
    payment.save(update_fields=["decision", "reason", "problem", "attempts", "next_attempt_at"])
    record(payment, Kind.AUTHORISED)
    if found.state is GatewayState.CAPTURED:
        _record_capture(payment)
    if payment.reason:
        _tell_of_failure(payment)
    else:
        queue_mail(Mail.Kind.BOOKED, payment.booking)


def _tell_of_failure(payment: Payment) -> None:
    queue_mail(
        Mail.Kind.PAYMENT_FAILED,
        payment.booking,
        key=str(payment.pk),
        delay=MAIL_FAILURE_AFTER,
        facts={"reason": payment.reason},
    )


def _record_capture(payment: Payment) -> None:
    """Money was taken; where nothing is bought with it, it is promised back in the same step."""
    record(payment, Kind.CAPTURED)
    if payment.decision == Payment.Decision.VOID and payment.amount:
        promise_refund(
            payment, amount=payment.amount, origin=Refund.Origin.LATE_PAYMENT, reason=payment.reason
        )


def _book(booking: Booking, payment: Payment, found: GatewayPayment) -> str:
    """Book the tickets of a locked booking; returns why not, in words for the buyer, or nothing."""
    if (found.amount, found.currency) != (payment.amount, payment.currency):
        logger.error("Payment %s: %s %s was authorised instead.", payment.pk, found.amount, found.currency)
        return _("The amount was not the one to pay.")
    if booking.status == Booking.Status.BOOKED:
        return _("The booking had been paid for already.")
    if booking.event.status == Event.Status.CANCELLED:
        return _("The event was cancelled.")
    if booking.status not in {Booking.Status.RESERVED, Booking.Status.EXPIRED}:
        return _("The booking had been given up.")
    now = database_time()
    if booking.expires_at <= now and (reason := _why_too_late(booking, now)):
        return reason
    if not _take_tickets(booking):
        if booking.is_hold:
            close_hold(booking, Booking.Status.EXPIRED)
        return _("The hold had run out, and the tickets went to someone else.")
    booking.status = Booking.Status.BOOKED
    booking.booked_at = now
    booking.save(update_fields=["status", "booked_at"])
    return ""


def _why_too_late(booking: Booking, now: datetime) -> str:
    """Why a booking whose hold ran out cannot be booked any more, even if its tickets are free."""
    if booking.event.ends_at <= now:
        return _("The event was over.")
    # Without the network address: whoever pays hoards nothing.
    buyer = Buyer(account=booking.account, email=booking.email)
    try:
        # While it was lapsed it did not count, and the buyer may have bought others.
        check_limit(booking.event, buyer, adding=booking.items.count(), besides=booking.pk)
    except LimitExceeded:
        return _("With your other tickets it would have been more than one buyer may have.")
    return ""


def _take_tickets(booking: Booking) -> bool:
    """Move all of the booking's tickets to booked, or none of them.

    However late it is, a ticket that still belongs to the booking is its own; one that lapsed
    and was freed is taken again; one that someone else has is gone.
    """
    items = list(BookingItem.objects.filter(booking=booking))
    ids = [item.ticket_id for item in items]
    rows = Ticket.objects.filter(pk__in=ids).with_current_status().lock_in_order()
    if not all(row.booking_id == booking.pk or row.current_status == Ticket.Status.AVAILABLE for row in rows):
        return False
    Ticket.objects.filter(pk__in=ids).update(
        status=Ticket.Status.BOOKED, booking_id=booking.pk, reserved_until=None
    )
    for item in items:
        item.code = make_code()
    BookingItem.objects.bulk_update(items, ["code"])
    give_back_locks_after_commit(booking, ids)
    return True


# --- Carrying out -----------------------------------------------------------------------


def _carry_out(payment: Payment) -> Payment:
    """Take or let go of money that has been decided about. Does nothing when that is done.

    Raises `GatewayError` while the gateway has neither done it nor anything else.
    """
    if payment.status != Payment.Status.AUTHORISED or not payment.decision:
        return payment
    done = _act(payment)
    with transaction.atomic():
        locked = _lock_payment(payment.pk, payment.booking)
        if locked.status == Payment.Status.AUTHORISED:
            _record_outcome(locked, done)
    return locked


def _act(payment: Payment) -> GatewayPayment:
    """Do what was decided; where the gateway refuses, what it has done instead is what counts.

    Where it does not answer it is not asked a second question: a buyer may be waiting. Whatever it
    did, it will refuse to do again at the next turn.
    """
    is_capture = payment.decision == Payment.Decision.CAPTURE
    if payment.gateway == FREE:
        return _free(payment, GatewayState.CAPTURED if is_capture else GatewayState.VOIDED)
    gateway, reference = get_gateway(payment.gateway), payment.gateway_reference
    try:
        if is_capture:
            done = gateway.capture(reference, key=f"capture-{payment.pk}")
        else:
            done = gateway.void(reference, key=f"void-{payment.pk}")
    except GatewayRefused:
        done = gateway.retrieve(reference)
        if done.state is GatewayState.AUTHORISED:
            raise
    if done.state in {GatewayState.OPEN, GatewayState.AUTHORISED}:
        raise GatewayError(f"the payment is {done.state.value}")
    if done.state is GatewayState.CAPTURED:
        _check_captured_amount(payment, done)
    return done


def _record_outcome(payment: Payment, done: GatewayPayment) -> None:
    """What became of authorised money. An authorisation that ran out leaves a booking without money."""
    payment.problem = ""
    if done.state is GatewayState.CAPTURED:
        _record_capture(payment)
    else:
        record(payment, Kind.VOIDED)
        if payment.decision == Payment.Decision.CAPTURE:
            payment.problem = _("The booking is booked, but its money was let go before it could be taken.")
    payment.save(update_fields=["problem"])


def put_off(payment_id: UUID, error: Exception) -> Payment:
    """Leave the payment as it is, to be asked about again; hand it to a person where that will not help."""
    rows = Payment.objects.select_related("booking").select_for_update(no_key=True, of=("self",))
    with transaction.atomic():
        payment = rows.get(pk=payment_id)
        back_off(payment)
        is_open = payment.status in {Payment.Status.PENDING, Payment.Status.AUTHORISED}
        is_old = is_open and payment.updated_at < timezone.now() - HAND_OVER_AFTER
        if is_old or isinstance(error, GatewayRefused):
            payment.problem = f"{error}"[:300]
        payment.save(update_fields=["attempts", "next_attempt_at", "problem"])
    return payment


def hand_over(payment_id: UUID, problem: str) -> None:
    """Show a payment to a person, with the reason, unless they have dealt with just this before."""
    untold = Payment.objects.filter(pk=payment_id).exclude(dismissed=problem[:300])
    untold.update(problem=problem[:300])


# --- Without a buyer --------------------------------------------------------------------


def finish_payments() -> int:
    """Carry out what was decided about money and has not been done yet; returns how many it tried."""
    return _settle_all(Payment.objects.decided_but_unfinished().due())


def reconcile_payments() -> int:
    """Ask the gateway about every payment that has been open too long; returns how many it asked of.

    With this alone, and no notice at all, every payment still ends.
    """
    return _settle_all(Payment.objects.undecided().due().open_longer_than(RECONCILE_AFTER))


def _settle_all(payments: PaymentQuerySet) -> int:
    ids = payments.order_by("next_attempt_at").values_list("pk", flat=True)[:BATCH]
    return work_through(ids, settle_payment, put_off)
