"""The inbox: a gateway's notices, stored before anything is done about them, and never dropped.

What a notice says is never believed: it names a payment, and the gateway is asked about that.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from django.utils import timezone

from bookings.gateways import GatewayError, as_uuid, get_gateway
from bookings.models import Payment, PaymentNotice
from bookings.payments import settle_or_raise
from bookings.refunds import finish_refunds_of, hand_over_failed_refunds
from bookings.retrying import BATCH, back_off, work_through

logger = logging.getLogger(__name__)

# A notice can be quicker than the row of its payment; after this many tries there is no such row.
UNKNOWN_PAYMENT_ATTEMPTS = 5
# About a day and a half with the growing pauses: then a person has to look.
PARK_AFTER_ATTEMPTS = 440


class UnknownPayment(Exception):
    """The notice names no payment of ours, or not yet."""


def store_notice(*, gateway: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Keep a gateway's notice; work on it comes later. One that was seen before is kept once.

    Raises `InvalidNotice` for a wrong signature, time stamp or form.
    """
    notice = get_gateway(gateway).read_notice(body, headers)
    row = PaymentNotice(
        gateway=gateway,
        provider_id=notice.provider_id,
        kind=notice.kind,
        payment_key=notice.key,
        reference=notice.reference,
        payload=notice.payload,
    )
    PaymentNotice.objects.bulk_create([row], ignore_conflicts=True)


def apply_notices() -> int:
    """Work on the notices that wait; returns how many it tried."""
    waiting = PaymentNotice.objects.to_apply().order_by("next_attempt_at")
    return work_through(waiting[:BATCH], _apply, _put_off)


def retry_notice(notice_id: int) -> None:
    """Work on a parked notice again, now."""
    notice = PaymentNotice.objects.get(pk=notice_id, status=PaymentNotice.Status.PARKED)
    work_through([notice], _apply, _put_off)


def _apply(notice: PaymentNotice) -> None:
    try:
        notice.outcome = _act_on(notice)
    except (GatewayError, UnknownPayment) as error:
        _put_off(notice, error)
        return
    notice.status, notice.applied_at = PaymentNotice.Status.APPLIED, timezone.now()
    notice.save(update_fields=["status", "outcome", "applied_at"])


def _act_on(notice: PaymentNotice) -> str:
    """Settle the payment that the notice names, and the refunds of it, also those that came back.

    Raises `GatewayError`, or `UnknownPayment` while the payment may still be being written.
    """
    if not notice.payment_key and not notice.reference:
        return "Concerns no payment."
    payment = settle_or_raise(_payment_of(notice).pk)
    finish_refunds_of(payment)
    hand_over_failed_refunds(payment)
    return f"The payment is {payment.status}."


def _payment_of(notice: PaymentNotice) -> Payment:
    ours = Payment.objects.filter(gateway=notice.gateway)
    key = as_uuid(notice.payment_key)
    found = ours.filter(pk=key).first() if key else None
    if found is None and notice.reference:
        found = ours.filter(gateway_reference=notice.reference).first()
    if found is None:
        raise UnknownPayment("It names no payment of ours.")
    return found


def _put_off(notice: PaymentNotice, error: Exception) -> None:
    """Keep the notice for a later try; park it, with the reason, where trying has not helped."""
    back_off(notice)
    limit = UNKNOWN_PAYMENT_ATTEMPTS if isinstance(error, UnknownPayment) else PARK_AFTER_ATTEMPTS
    notice.outcome = f"{type(error).__name__}: {error}"[:300]
    is_hopeless = notice.attempts > limit
    notice.status = PaymentNotice.Status.PARKED if is_hopeless else PaymentNotice.Status.WAITING
    notice.save(update_fields=["status", "outcome", "attempts", "next_attempt_at"])
