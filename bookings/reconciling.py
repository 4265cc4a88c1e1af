"""Comparing the books with the gateway's own records, without any notice.

What differs is mended where a rule says how: a payment is settled, a stray authorisation let go,
money that was taken for nothing given back. Everything else is handed to a person, with the reason.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from bookings.books import promise_refund, record
from bookings.gateways import GatewayError, GatewayPayment, GatewayState, as_uuid, get_gateway
from bookings.models import Payment, PaymentEntry, Refund
from bookings.payments import hand_over, put_off, settle_or_raise
from bookings.refunds import finish_refunds_of
from bookings.retrying import work_through

logger = logging.getLogger(__name__)

Status = Payment.Status

# How far back the timetable compares; the audit compares everything.
LOOK_BACK = timedelta(days=2)
# What changed more lately than this may be on its way between the gateway and the books.
IN_FLIGHT = timedelta(minutes=5)
# So many of the gateway's payments are looked up in the books at a time.
BATCH = 500

# What the gateway may say of a payment for which the books say this.
AGREEING = {
    Status.PENDING: {GatewayState.OPEN},
    Status.AUTHORISED: {GatewayState.AUTHORISED},
    Status.CAPTURED: {GatewayState.CAPTURED},
    Status.REFUNDED: {GatewayState.CAPTURED},
    Status.DECLINED: {GatewayState.DECLINED, GatewayState.VOIDED, GatewayState.OPEN},
    Status.VOIDED: {GatewayState.VOIDED, GatewayState.DECLINED, GatewayState.OPEN},
}
NEVER_TAKEN = {Status.DECLINED, Status.VOIDED}


@dataclass(frozen=True)
class Difference:
    """A payment of which gateway and books say different things; `payment` is None if we have none."""

    gateway: str
    theirs: GatewayPayment
    payment: Payment | None
    sentence: str


def find_differences(
    gateway: str, *, since: datetime, in_flight: timedelta = IN_FLIGHT
) -> Iterator[Difference]:
    """Compare every payment that the gateway began at `since` or later. Raises `GatewayError`.

    What changed within `in_flight` is passed over. A payment in the books that the gateway does not
    tell of is found by `reconcile_payments` and `finish_payments`, which ask for each.
    """
    seen: set[str] = set()
    told = (theirs for theirs in get_gateway(gateway).payments_since(since) if theirs.key)
    while batch := list(itertools.islice(told, BATCH)):
        ids = [pk for theirs in batch if (pk := as_uuid(theirs.key))]
        ours = Payment.objects.filter(gateway=gateway).in_bulk(ids)
        for theirs in batch:
            key = as_uuid(theirs.key)
            payment = ours.get(key) if key else None
            is_second = theirs.key in seen
            seen.add(theirs.key)
            if payment is not None and payment.updated_at > timezone.now() - in_flight:
                continue
            if sentence := _what_differs(payment, theirs, is_second=is_second):
                yield Difference(gateway, theirs, payment, sentence)


def reconcile_with_gateways() -> int:
    """Compare what the gateways began lately, and mend it; returns how many differences there were."""
    since = timezone.now() - LOOK_BACK
    found = 0
    for gateway in settings.PAYMENT_GATEWAYS:
        try:
            differences = list(find_differences(gateway, since=since))
        except GatewayError as error:
            logger.warning("The books could not be compared with %s: %s", gateway, error)
            continue
        found += work_through(differences, mend, _leave_for_later)
    return found


def mend(difference: Difference) -> None:
    """Make books and gateway agree, or hand the difference to a person.

    Raises `GatewayError` while the gateway does not answer.
    """
    logger.warning("Payment %s: %s", difference.theirs.key, difference.sentence)
    if difference.payment is None:
        return
    payment = settle_or_raise(difference.payment.pk)
    finish_refunds_of(payment)
    payment = Payment.objects.get(pk=payment.pk)
    if not payment.gateway_reference:
        return
    theirs = get_gateway(payment.gateway).retrieve(payment.gateway_reference)
    sentence = _what_differs(payment, theirs)
    if not sentence:
        sentence = difference.sentence if theirs.reference != difference.theirs.reference else ""
    elif payment.status in NEVER_TAKEN and theirs.state is GatewayState.AUTHORISED:
        get_gateway(payment.gateway).void(payment.gateway_reference, key=f"stray-{payment.pk}")
        return
    elif payment.status in NEVER_TAKEN and _could_be_ours(payment, theirs):
        _give_back_lost(payment)
        return
    # What is still being given back differs until the gateway is done with it, and is told as a refund.
    is_going_back = payment.refunds.filter(status=Refund.Status.REQUESTED).exists()
    if sentence and not is_going_back:
        hand_over(payment.pk, sentence)


def _could_be_ours(payment: Payment, theirs: GatewayPayment) -> bool:
    is_same = (theirs.amount, theirs.currency) == (payment.amount, payment.currency)
    return is_same and not theirs.refunded


def _give_back_lost(payment: Payment) -> None:
    """Money was taken that the books say was let go: it is written down, and promised back.

    Unless tickets were booked for it, which waited for just this money. Where some of them were given
    back since, there was nothing to give then; now there is.
    """
    with transaction.atomic():
        locked = Payment.objects.select_for_update(no_key=True).get(pk=payment.pk)
        if locked.status not in NEVER_TAKEN:
            return
        if locked.decision == Payment.Decision.CAPTURE:
            locked.problem = ""
            locked.save(update_fields=["problem"])
            record(locked, PaymentEntry.Kind.CAPTURED)
            locked.refunds.filter(status=Refund.Status.DONE, entry=None, amount__gt=0).update(
                status=Refund.Status.REQUESTED, done_at=None, next_attempt_at=timezone.now()
            )
            return
        locked.decision = Payment.Decision.VOID
        locked.save(update_fields=["decision"])
        record(locked, PaymentEntry.Kind.CAPTURED)
        refund = promise_refund(
            locked,
            amount=locked.amount,
            origin=Refund.Origin.LATE_PAYMENT,
            reason=locked.reason or "The money was taken after the payment had ended.",
        )
    logger.error("Payment %s was taken and lost: refund %s gives it back.", payment.pk, refund.pk)


def _leave_for_later(difference: Difference, error: Exception) -> None:
    if difference.payment is not None:
        put_off(difference.payment.pk, error)


def _what_differs(payment: Payment | None, theirs: GatewayPayment, *, is_second: bool = False) -> str:
    """In words, what gateway and books do not agree about; empty where they do."""
    says = f"the gateway says {theirs.state.value} {theirs.amount} {theirs.currency}"
    if payment is None:
        return f"{says}, and the books have no such payment"
    has_money = theirs.state in {GatewayState.AUTHORISED, GatewayState.CAPTURED}
    if is_second:
        return f"{says} for a second time ({theirs.reference})" if has_money else ""
    if theirs.state not in AGREEING[Status(payment.status)]:
        is_back = theirs.state is GatewayState.CAPTURED and theirs.refunded == theirs.amount
        return "" if payment.status in NEVER_TAKEN and is_back else f"{says}, the books {payment.status}"
    if has_money and (theirs.amount, theirs.currency) != (payment.amount, payment.currency):
        return f"{says}, the books {payment.amount} {payment.currency}"
    if theirs.state is GatewayState.CAPTURED and theirs.refunded != payment.refunded:
        return f"the gateway gave back {theirs.refunded} {theirs.currency}, the books {payment.refunded}"
    return ""
