"""What needs a person: money and notices that no rule could bring to their end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from django.db.models import F, Q, Value
from django.utils import timezone

from bookings.models import Booking, Payment, PaymentNotice, Refund
from bookings.querysets import NoticeQuerySet, PaymentQuerySet, RefundQuerySet

CASES_SHOWN = 200

Kind = Literal["payment", "refund", "notice"]


@dataclass(frozen=True)
class Case:
    """One thing for a person, with its reason; a notice has no amount, and often no booking."""

    kind: Kind
    row: Payment | Refund | PaymentNotice
    reason: str
    since: datetime
    booking: Booking | None = None
    amount: Decimal | None = None
    currency: str = ""


def count_cases() -> int:
    """How many there are, in one query."""
    payments, refunds, notices = (
        rows.order_by().annotate(one=Value(1)).values_list("one")
        for rows in (_payments(), _refunds(), _notices())
    )
    return payments.union(refunds, notices, all=True).count()


def find_cases() -> list[Case]:
    """The oldest first, no more of each kind than a page can show, in three queries."""
    payments = _payments().select_related("booking__event").order_by("created_at")[:CASES_SHOWN]
    refunds = _refunds().select_related("booking__event").order_by("requested_at")[:CASES_SHOWN]
    notices = _notices().order_by("received_at")[:CASES_SHOWN]
    cases = [
        *(Case("payment", p, p.problem, p.created_at, p.booking, p.amount, p.currency) for p in payments),
        *(Case("refund", r, r.problem, r.requested_at, r.booking, r.amount, r.currency) for r in refunds),
        *(Case("notice", n, n.outcome, n.received_at) for n in notices),
    ]
    return sorted(cases, key=lambda case: case.since)


def dismiss_payment(payment_id: UUID) -> None:
    """Take a payment off the list.

    It comes back if the next try fails; a difference from the gateway's records only if it is another.
    """
    _payments().filter(pk=payment_id).update(dismissed=F("problem"), problem="")


def dismiss_notice(notice_id: int, *, note: str) -> None:
    """Close a parked notice with what a person found out about it."""
    _notices().filter(pk=notice_id).update(
        status=PaymentNotice.Status.APPLIED, applied_at=timezone.now(), outcome=note[:300]
    )


def _payments() -> PaymentQuerySet:
    return Payment.objects.filter(~Q(problem=""))


def _refunds() -> RefundQuerySet:
    return Refund.objects.filter(~Q(problem=""))


def _notices() -> NoticeQuerySet:
    return PaymentNotice.objects.filter(status=PaymentNotice.Status.PARKED)
