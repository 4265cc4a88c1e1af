"""Giving tickets back for money. The tickets are on sale again at once; the money follows.

Rows are locked in the order of `services.py`: the booking, its payment, then tickets by their ids.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from bookings.books import promise_refund, record
from bookings.exceptions import BookingClosed, InvalidTickets, NotRefundable
from bookings.gateways import GatewayError, GatewayRefund, GatewayRefused, RefundState, get_gateway
from bookings.models import Booking, BookingItem, Payment, PaymentEntry, Refund, User
from bookings.outbox.models import Mail
from bookings.outbox.services import queue_mail
from bookings.payments import HAND_OVER_AFTER, hand_over, settle_or_raise
from bookings.querysets import RefundQuerySet
from bookings.retrying import BATCH, back_off, work_through
from bookings.returns import return_rules
from bookings.services import database_time, free_tickets, lock_booking
from events.models import Event, Ticket

logger = logging.getLogger(__name__)

Origin = Refund.Origin

# A refund that the gateway refused is tried again so much later, unless a person asks before.
AFTER_REFUSAL = timedelta(days=1)


@dataclass(frozen=True)
class RefundQuote:
    """What giving these tickets back would bring: their price, less the fee, is the amount."""

    ticket_ids: list[int]
    price: Decimal
    fee: Decimal

    @property
    def amount(self) -> Decimal:
        return self.price - self.fee


# --- Asking -----------------------------------------------------------------------------


def quote_refund(booking: Booking, ticket_ids: Sequence[int] | None, origin: Refund.Origin) -> RefundQuote:
    """What would be given back for these tickets, or for all that are left. Changes nothing.

    Raises `BookingClosed` where the booking has none left or never was booked, `InvalidTickets` for
    tickets that are not in it or were given back, and `NotRefundable` where the event's rules do not
    let its buyers return them.
    """
    return _quote(booking, _items_to_refund(booking, ticket_ids), origin)


def request_refund(
    *,
    booking_id: UUID,
    ticket_ids: Sequence[int] | None = None,
    origin: Refund.Origin,
    by: User | None = None,
    reason: str = "",
) -> Refund:
    """Take tickets back, all that are left unless some are named, and promise their money.

    In one transaction the tickets are on sale again, their codes are dead, and the refund and the
    mail about it are written. Raises as `quote_refund`.
    """
    with transaction.atomic():
        booking = lock_booking(booking_id)
        items = _items_to_refund(booking, ticket_ids)
        quote = _quote(booking, items, origin)
        payment = booking.payments.select_for_update(no_key=True).get(decision=Payment.Decision.CAPTURE)
        refund = promise_refund(
            payment, amount=quote.amount, fee=quote.fee, origin=origin, reason=reason, by=by
        )
        _put_on_sale(booking, items, refund)
        _tell_buyer(booking, refund)
    return refund


def _items_to_refund(booking: Booking, ticket_ids: Sequence[int] | None) -> list[BookingItem]:
    if booking.status != Booking.Status.BOOKED:
        raise BookingClosed(booking.status)
    left = {item.ticket_id: item for item in booking.items.filter(refund=None).order_by("ticket_id")}
    if ticket_ids is None:
        return list(left.values())
    if not ticket_ids or len(set(ticket_ids)) != len(ticket_ids):
        raise InvalidTickets("tickets", "Name at least one ticket, and none twice.")
    if not left.keys() >= set(ticket_ids):
        raise InvalidTickets("tickets", "Some of these are not tickets of this booking, or not any more.")
    return [left[ticket_id] for ticket_id in sorted(ticket_ids)]


def _quote(booking: Booking, items: Sequence[BookingItem], origin: Refund.Origin) -> RefundQuote:
    price = sum((item.price for item in items), Decimal(0))
    fee = _buyers_fee(booking.event, items) if origin == Origin.BUYER else Decimal(0)
    return RefundQuote([item.ticket_id for item in items], price, fee)


def _buyers_fee(event: Event, items: Sequence[BookingItem]) -> Decimal:
    """What is kept of tickets that their buyer returns. Raises `NotRefundable` outside the rules."""
    rules = return_rules(event, database_time())
    if rules.until is None:
        raise NotRefundable(_("Tickets for this event cannot be returned."))
    if not rules.is_open:
        raise NotRefundable(_("The time to return tickets for this event is over."))
    if any(item.checked_in_at for item in items):
        raise NotRefundable(_("A ticket that was used at the door cannot be returned."))
    return sum((min(rules.fee, item.price) for item in items), Decimal(0))


def _put_on_sale(booking: Booking, items: Sequence[BookingItem], refund: Refund) -> None:
    """Free the tickets of a locked booking, and end it where none is left."""
    ids = [item.ticket_id for item in items]
    own = Ticket.objects.of_booking(booking.pk).filter(pk__in=ids)
    free_tickets([ticket.pk for ticket in own.lock_in_order()])
    BookingItem.objects.filter(pk__in=[item.pk for item in items]).update(refund=refund)
    if not booking.items.filter(refund=None).exists():
        is_cancelled = refund.origin == Origin.CANCELLATION
        booking.status = Booking.Status.CANCELLED if is_cancelled else Booking.Status.REFUNDED
        booking.save(update_fields=["status"])


def _tell_buyer(booking: Booking, refund: Refund) -> None:
    is_cancelled = refund.origin == Origin.CANCELLATION
    facts = {
        "amount": str(refund.amount),
        "fee": str(refund.fee),
        "currency": refund.currency,
        "reason": refund.reason,
        "refund": str(refund.pk),
    }
    kind = Mail.Kind.EVENT_CANCELLED if is_cancelled else Mail.Kind.REFUNDED
    queue_mail(kind, booking, key=str(refund.pk), facts=facts)


# --- Carrying out -----------------------------------------------------------------------


def finish_refunds() -> int:
    """Give back what was promised and has not gone yet; returns how many refunds it tried."""
    return _carry_out_all(Refund.objects.to_do())


def finish_refunds_of(payment: Payment) -> int:
    """The same for one payment, due or not: the gateway has just said something about it.

    Those that a person has to look at are left: each failure sends a notice, and would ask again.
    """
    return _carry_out_all(payment.refunds.filter(status=Refund.Status.REQUESTED, problem=""))


def hand_over_failed_refunds(payment: Payment) -> None:
    """Tell a person of refunds that were done and came back, as where the buyer's account was closed.

    Banks take weeks to say so. Raises `GatewayError`.
    """
    done = payment.refunds.filter(status=Refund.Status.DONE, entry__isnull=False)
    keys = {str(pk) for pk in done.values_list("pk", flat=True)}
    if not keys:
        return
    found = get_gateway(payment.gateway).refunds(payment.gateway_reference)
    standing = {_refund_id(one) for one in found if one.state is not RefundState.FAILED}
    for failed in found:
        key = _refund_id(failed)
        if key in keys - standing:
            hand_over(payment.pk, f"Refund {key} of {failed.amount} was done, and came back: {failed.reason}")


def _carry_out_all(refunds: RefundQuerySet) -> int:
    ids = refunds.order_by("next_attempt_at").values_list("pk", flat=True)[:BATCH]
    return work_through(ids, carry_out_refund, _put_off)


def carry_out_refund(refund_id: UUID) -> Refund:
    """Give the money back, unless that is done. Safe to call at any time, any number of times.

    A gateway that does not answer leaves the refund as it was, due to be tried again.
    """
    refund = Refund.objects.select_related("payment").get(pk=refund_id)
    if refund.status == Refund.Status.DONE:
        return refund
    try:
        return _give_back(refund)
    except GatewayError as error:
        logger.warning("Refund %s is not done: %s.", refund_id, error)
        return _put_off(refund_id, error)


def _give_back(refund: Refund) -> Refund:
    """Raises `GatewayError` while the money has not gone, `GatewayRefused` where it will not go."""
    payment = settle_or_raise(refund.payment_id)
    if payment.status == Payment.Status.VOIDED or not refund.amount:
        # Nothing was taken, so there is nothing to give.
        return _close(refund)
    found = _refund_at_gateway(refund, payment)
    if found.state is RefundState.FAILED:
        raise GatewayRefused(found.reason or _("The gateway could not give the money back."))
    if found.state is RefundState.PENDING:
        raise GatewayError("the gateway is still working on it")
    return _close(refund, gave_back=True)


def _refund_at_gateway(refund: Refund, payment: Payment) -> GatewayRefund:
    """The gateway's record of this refund, made if it has none that stands.

    It is looked for first, as a gateway forgets the keys of requests after a day, and the money
    would go twice. One that failed is asked for again under a key of its own.
    """
    gateway = get_gateway(payment.gateway)
    key = str(refund.pk)
    earlier = [found for found in gateway.refunds(payment.gateway_reference) if _refund_id(found) == key]
    for found in earlier:
        if found.state is not RefundState.FAILED:
            return found
    return gateway.refund(
        payment.gateway_reference,
        amount=refund.amount,
        currency=refund.currency,
        key=f"{key}:{len(earlier)}" if earlier else key,
    )


def _refund_id(found: GatewayRefund) -> str:
    """Which refund of ours it is: its key, without the number of the attempt."""
    return found.key.partition(":")[0]


def close_by_hand(refund_id: UUID) -> bool:
    """Write down that the buyer got the money another way; the gateway is not asked again.

    Only for a refund that was handed to a person, of money that was taken: False for any other.
    """
    refund = Refund.objects.select_related("payment").get(pk=refund_id)
    if not refund.problem or refund.payment.status != Payment.Status.CAPTURED:
        return False
    return _close(refund, gave_back=True).status == Refund.Status.DONE


def _close(refund: Refund, *, gave_back: bool = False) -> Refund:
    """Write down that the refund is done, once."""
    with transaction.atomic():
        payment = Payment.objects.select_for_update(no_key=True).get(pk=refund.payment_id)
        locked = Refund.objects.select_for_update(no_key=True).get(pk=refund.pk)
        if locked.status == Refund.Status.DONE:
            return locked
        if gave_back:
            record(payment, PaymentEntry.Kind.REFUNDED, refund.amount, refund=locked)
        locked.status, locked.done_at, locked.problem = Refund.Status.DONE, timezone.now(), ""
        locked.save(update_fields=["status", "done_at", "problem"])
    return locked


def _put_off(refund_id: UUID, error: Exception) -> Refund:
    """Leave the refund to be tried again; hand it to a person where that will not help."""
    with transaction.atomic():
        refund = Refund.objects.select_for_update(no_key=True).get(pk=refund_id)
        if refund.status == Refund.Status.DONE:
            # By another worker at the same time: a person could not get it off the list any more.
            return refund
        back_off(refund)
        if isinstance(error, GatewayRefused):
            refund.next_attempt_at = timezone.now() + AFTER_REFUSAL
        if isinstance(error, GatewayRefused) or refund.requested_at < timezone.now() - HAND_OVER_AFTER:
            refund.problem = f"{error}"[:300]
        refund.save(update_fields=["attempts", "next_attempt_at", "problem"])
    return refund
