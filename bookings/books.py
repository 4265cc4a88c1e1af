"""The books: what the gateway did, written once; and what was promised back."""

from __future__ import annotations

from decimal import Decimal

from bookings.models import Payment, PaymentEntry, Refund, User


def record(
    payment: Payment, kind: PaymentEntry.Kind, amount: Decimal | None = None, *, refund: Refund | None = None
) -> None:
    """Append an entry for a payment whose row is locked, and read again what follows from it.

    The amount is the payment's own unless another is said. Raises `IntegrityError` for what cannot
    be: a second capture, more money back than was taken.
    """
    PaymentEntry.objects.create(
        payment=payment, kind=kind, amount=payment.amount if amount is None else amount, refund=refund
    )
    payment.refresh_from_db(fields=["status", "captured", "refunded", "updated_at"])


def promise_refund(
    payment: Payment,
    *,
    amount: Decimal,
    origin: Refund.Origin,
    reason: str = "",
    fee: Decimal = Decimal(0),
    by: User | None = None,
) -> Refund:
    """Write down that money is to go back; `refunds.finish_refunds` sees to it."""
    return Refund.objects.create(
        booking_id=payment.booking_id,
        payment=payment,
        origin=origin,
        reason=reason[:200],
        amount=amount,
        fee=fee,
        currency=payment.currency,
        requested_by=by,
    )
