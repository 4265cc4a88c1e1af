"""Paying: begin, settle, capture or give back. The buyer is never charged for a ticket that is gone.

What the gateway did is always asked of the gateway itself; a notice or a returning browser only
says when to ask. No call to a gateway is made inside a transaction.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from bookings.exceptions import GatewayUnavailable, LimitExceeded, NotOnSale
from bookings.gateways import GatewayError, GatewayPayment, GatewayState, PaymentGateway, get_gateway
from bookings.models import Booking, BookingItem, Payment, PaymentNotice, make_code
from bookings.querysets import PaymentQuerySet
from bookings.services import (
    Buyer,
    check_limit,
    close_hold,
    database_time,
    give_back_locks_after_commit,
    lock_booking,
    lock_live_hold,
)
from events.models import Event, Ticket

logger = logging.getLogger(__name__)

# A booking that costs nothing is paid by this, which is no gateway at all.
FREE = "free"
# How long after its hold a payment page may still be used, before the payment is closed.
ABANDONED_AFTER = timedelta(hours=1)
# A payment that has been open for this long is asked about without waiting for a notice.
RECONCILE_AFTER = timedelta(minutes=2)
# A notice can be quicker than the row of its payment; after this many tries there is no such row.
UNKNOWN_PAYMENT_ATTEMPTS = 5
# What is decided about money and not done yet, and the states in which nothing is left to do or to wait for.
UNFINISHED = {
    (Payment.Status.AUTHORISED, Payment.Decision.CAPTURE),
    (Payment.Status.AUTHORISED, Payment.Decision.VOID),
    (Payment.Status.CAPTURED, Payment.Decision.VOID),
}
ENDED = {GatewayState.CAPTURED, GatewayState.VOIDED, GatewayState.REFUNDED}
# A turn of the timetable takes up no more rows than this, and stops well before its time limit.
BATCH = 1000
TURN_SECONDS = 200


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
        return _settle(payment.pk)
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
    """Tell the gateway of a payment; the payment's id is the key, so that twice is once."""
    made = get_gateway(payment.gateway).create(
        key=str(payment.pk),
        amount=payment.amount,
        currency=payment.currency,
        description=f"{settings.SITE_NAME} {payment.booking.reference}",
        return_url=payment.return_url,
    )
    payment.gateway_reference = made.reference
    payment.redirect_url = made.redirect_url
    payment.save(update_fields=["gateway_reference", "redirect_url", "updated_at"])


def _free_payment(payment: Payment) -> GatewayPayment:
    return GatewayPayment("", GatewayState.CAPTURED, payment.amount, payment.currency)


# --- Settling ---------------------------------------------------------------------------


def settle_payment(payment_id: UUID) -> Payment:
    """Ask the gateway, then book and capture, or give the money back.

    Safe to call at any time, any number of times, from anywhere. A gateway that does not answer
    leaves the payment as it was, due to be asked about again.
    """
    try:
        return _settle(payment_id)
    except GatewayError as error:
        logger.warning("Payment %s: the gateway does not answer (%s).", payment_id, error)
        return _put_off(payment_id)


def _settle(payment_id: UUID) -> Payment:
    payment = Payment.objects.select_related("booking").get(pk=payment_id)
    if payment.status == Payment.Status.PENDING:
        payment = _apply(payment_id, _ask_gateway(payment))
    return _carry_out(payment)


def _ask_gateway(payment: Payment) -> GatewayPayment:
    """What the gateway says of the payment; one that nobody will make any more is closed first."""
    if payment.gateway == FREE:
        return _free_payment(payment)
    is_abandoned = payment.booking.expires_at + ABANDONED_AFTER < database_time()
    if not payment.gateway_reference:
        if is_abandoned:
            # Nobody was ever sent to a page of the gateway's, so nobody can have paid there.
            return GatewayPayment("", GatewayState.VOIDED, payment.amount, payment.currency)
        _send_to_gateway(payment)
    gateway = get_gateway(payment.gateway)
    found = gateway.retrieve(payment.gateway_reference)
    if found.state is GatewayState.OPEN and is_abandoned:
        return gateway.void(payment.gateway_reference, key=f"close-{payment.pk}")
    return found


def _apply(payment_id: UUID, found: GatewayPayment) -> Payment:
    """Write down what the gateway said, and decide: the one place where tickets become booked."""
    booking_id = Payment.objects.values_list("booking", flat=True).get(pk=payment_id)
    with transaction.atomic():
        booking = lock_booking(booking_id)
        payment = Payment.objects.select_for_update(no_key=True).get(pk=payment_id)
        payment.booking = booking
        if payment.status != Payment.Status.PENDING:
            return payment
        match found.state:
            case GatewayState.OPEN:
                _back_off(payment)
            case GatewayState.DECLINED | GatewayState.VOIDED | GatewayState.REFUNDED:
                payment.status = Payment.Status(found.state.value)
                payment.reason = found.reason
            case GatewayState.AUTHORISED | GatewayState.CAPTURED:
                payment.status = Payment.Status(found.state.value)
                payment.reason = _book(booking, payment, found)
                payment.decision = Payment.Decision.VOID if payment.reason else Payment.Decision.CAPTURE
                payment.next_attempt_at = timezone.now()
        payment.save(
            update_fields=["status", "decision", "reason", "attempts", "next_attempt_at", "updated_at"]
        )
    return payment


def _book(booking: Booking, payment: Payment, found: GatewayPayment) -> str:
    """Book the tickets of a locked booking; returns why not, in words for the buyer, or nothing."""
    if (found.amount, found.currency) != (payment.amount, payment.currency):
        logger.error("Payment %s: %s %s was authorised instead.", payment.pk, found.amount, found.currency)
        return _("The amount was not the one to pay.")
    if booking.status == Booking.Status.BOOKED:
        return _("The booking had been paid for already.")
    if booking.status not in {Booking.Status.RESERVED, Booking.Status.EXPIRED}:
        return _("The booking had been given up.")
    if booking.event.status == Event.Status.CANCELLED:
        return _("The event was cancelled.")
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
    buyer = Buyer(account=booking.account, email=booking.email, address=booking.client_address)
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


def _carry_out(payment: Payment) -> Payment:
    """Take or give back money that has been decided about. Does nothing when that is done.

    Raises `GatewayError` while the gateway has neither done it nor anything else.
    """
    if (payment.status, payment.decision) not in UNFINISHED:
        return payment
    status = Payment.Status.REFUNDED if payment.gateway == FREE else _act_at_gateway(payment)
    Payment.objects.filter(pk=payment.pk, status=payment.status).update(status=status, updated_at=Now())
    payment.status = status
    return payment


def _act_at_gateway(payment: Payment) -> Payment.Status:
    """Do what was decided; where the gateway refuses, what it has done instead is what counts.

    An authorisation that staff captured by hand at the gateway is found captured, and given back
    at the next turn; one that ran out is found voided, and the audit reports a booking without money.
    """
    gateway = get_gateway(payment.gateway)
    try:
        done = _ask_to_act(gateway, payment)
    except GatewayError:
        done = gateway.retrieve(payment.gateway_reference)
        if done.state.value == payment.status:
            raise
    if done.state not in ENDED:
        raise GatewayError(f"the payment is {done.state.value}")
    return Payment.Status(done.state.value)


def _ask_to_act(gateway: PaymentGateway, payment: Payment) -> GatewayPayment:
    reference = payment.gateway_reference
    if payment.decision == Payment.Decision.CAPTURE:
        return gateway.capture(reference, key=f"capture-{payment.pk}")
    if payment.status == Payment.Status.AUTHORISED:
        return gateway.void(reference, key=f"void-{payment.pk}")
    # A gateway that can only charge at once gives the money back instead.
    return gateway.refund(reference, amount=payment.amount, key=f"refund-{payment.pk}")


def _put_off(payment_id: UUID) -> Payment:
    """Leave the payment as it is, to be asked about again later."""
    payment = Payment.objects.select_related("booking").get(pk=payment_id)
    _back_off(payment)
    payment.save(update_fields=["attempts", "next_attempt_at"])
    return payment


def _back_off(row: Payment | PaymentNotice) -> None:
    """Count the attempt and put the next one off: seconds at first, five minutes at the most."""
    row.attempts += 1
    seconds = min(2**row.attempts, 300) * random.uniform(0.5, 1.5)  # noqa: S311  # Jitter, not a secret.
    row.next_attempt_at = timezone.now() + timedelta(seconds=seconds)


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
    """Settle each payment; one that fails in a way nobody thought of does not stop the others."""
    ids = payments.order_by("next_attempt_at").values_list("pk", flat=True)[:BATCH]
    started, asked = time.monotonic(), 0
    for payment_id in ids:
        if time.monotonic() - started > TURN_SECONDS:
            break
        try:
            settle_payment(payment_id)
        except Exception:
            logger.exception("Payment %s could not be settled.", payment_id)
            _put_off(payment_id)
        asked += 1
    return asked


# --- Notices ----------------------------------------------------------------------------


def store_notice(*, gateway: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Keep a gateway's notice; work on it comes later. One that was seen before is kept once.

    Raises `InvalidNotice` for a wrong signature, time stamp or form.
    """
    notice = get_gateway(gateway).read_notice(body, headers)
    row = PaymentNotice(
        gateway=gateway,
        provider_id=notice.provider_id,
        reference=notice.reference,
        payload=notice.payload,
    )
    PaymentNotice.objects.bulk_create([row], ignore_conflicts=True)


def apply_notices() -> int:
    """Work on the notices that wait; returns how many it applied.

    What a notice says is never believed: it names a payment, and the gateway is asked about that.
    """
    waiting = PaymentNotice.objects.filter(applied_at=None, next_attempt_at__lte=Now())
    return sum(_apply_notice(notice) for notice in waiting.order_by("next_attempt_at")[:BATCH])


def _apply_notice(notice: PaymentNotice) -> bool:
    try:
        notice.outcome = _outcome_of(notice)
        notice.applied_at = timezone.now()
    except Exception as error:
        # Whatever it is, the notice stays, and the others get their turn.
        logger.warning("Notice %s could not be applied.", notice.provider_id, exc_info=error)
        notice.outcome = f"{type(error).__name__}: {error}"[:300]
        _back_off(notice)
    notice.save(update_fields=["outcome", "applied_at", "attempts", "next_attempt_at"])
    return notice.applied_at is not None


def _outcome_of(notice: PaymentNotice) -> str:
    """Settle the payment that the notice names.

    Raises `GatewayError`, or `Payment.DoesNotExist` while the payment may still be being written.
    """
    try:
        payment = Payment.objects.get(gateway=notice.gateway, gateway_reference=notice.reference)
    except Payment.DoesNotExist:
        if notice.attempts < UNKNOWN_PAYMENT_ATTEMPTS:
            raise
        return "Parked: names no payment of ours."
    return f"The payment is {_settle(payment.pk).status}."
