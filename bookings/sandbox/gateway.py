"""The sandbox gateway as the box office sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse

from bookings.exceptions import InvalidNotice
from bookings.gateways import (
    GatewayPayment,
    GatewayRefund,
    GatewayRefused,
    GatewayState,
    Notice,
    PaymentOrder,
    RefundState,
)
from bookings.sandbox.models import SandboxIntent, SandboxRefund
from bookings.sandbox.notices import queue_notice
from bookings.sandbox.signing import SIGNATURE_HEADER, check_signature

Status = SandboxIntent.Status

STATES = {
    Status.OPEN: GatewayState.OPEN,
    Status.CONFIRMING: GatewayState.OPEN,
    Status.AUTHORISED: GatewayState.AUTHORISED,
    Status.DECLINED: GatewayState.DECLINED,
    Status.CAPTURED: GatewayState.CAPTURED,
    Status.VOIDED: GatewayState.VOIDED,
}


class SandboxGateway:
    """Talks to the sandbox's own records as another adapter talks to a service over the network."""

    def create(self, order: PaymentOrder) -> GatewayPayment:
        intent, _created = SandboxIntent.objects.get_or_create(
            idempotency_key=order.key,
            defaults={
                "amount": order.amount,
                "currency": order.currency,
                "description": order.description,
                "return_url": order.return_url,
            },
        )
        return _described(intent)

    def retrieve(self, reference: str) -> GatewayPayment:
        return _described(_find(SandboxIntent.objects.all(), reference))

    def capture(self, reference: str, *, key: str) -> GatewayPayment:
        return _move(reference, allowed={Status.AUTHORISED}, to=Status.CAPTURED)

    def void(self, reference: str, *, key: str) -> GatewayPayment:
        return _move(reference, allowed={Status.OPEN, Status.CONFIRMING, Status.AUTHORISED}, to=Status.VOIDED)

    def refund(self, reference: str, *, amount: Decimal, currency: str, key: str) -> GatewayRefund:
        with transaction.atomic():
            intent = _find(SandboxIntent.objects.select_for_update(), reference)
            made = intent.refunds.filter(idempotency_key=key).first()
            if made is None:
                left = intent.amount - _refunded(intent)
                if intent.status != Status.CAPTURED or currency != intent.currency or amount > left:
                    raise GatewayRefused(f"{amount} {currency} cannot be given back")
                made = SandboxRefund.objects.create(intent=intent, idempotency_key=key, amount=amount)
                queue_notice(intent, event="refunded")
        return _described_refund(made)

    def refunds(self, reference: str) -> Sequence[GatewayRefund]:
        return [_described_refund(refund) for refund in SandboxRefund.objects.filter(intent=reference)]

    def payments_since(self, start: datetime) -> Iterator[GatewayPayment]:
        begun = SandboxIntent.objects.filter(created_at__gte=start).order_by("created_at")
        return (_described(intent) for intent in begun.prefetch_related("refunds").iterator(1000))

    def read_notice(self, body: bytes, headers: Mapping[str, str]) -> Notice:
        check_signature(body, headers.get(SIGNATURE_HEADER, ""))
        try:
            payload = json.loads(body)
            notice = Notice(
                provider_id=payload["id"],
                kind=payload["type"],
                reference=payload["payment"],
                payload=payload,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidNotice("The notice cannot be read.") from error
        if not all(isinstance(text, str) for text in (notice.provider_id, notice.kind, notice.reference)):
            raise InvalidNotice("The notice names no payment.")
        return notice


def _find(intents: QuerySet[SandboxIntent], reference: str) -> SandboxIntent:
    try:
        return intents.get(pk=reference)
    except SandboxIntent.DoesNotExist as error:
        raise GatewayRefused(f"there is no payment {reference}") from error


def _refunded(intent: SandboxIntent) -> Decimal:
    return sum((refund.amount for refund in intent.refunds.all()), Decimal(0))


def _described(intent: SandboxIntent) -> GatewayPayment:
    return GatewayPayment(
        reference=intent.pk,
        state=STATES[Status(intent.status)],
        amount=intent.amount,
        currency=intent.currency,
        key=intent.idempotency_key,
        refunded=_refunded(intent),
        redirect_url=settings.SITE_URL + reverse("sandbox:pay", args=[intent.pk]),
        reason=intent.decline_reason,
    )


def _described_refund(refund: SandboxRefund) -> GatewayRefund:
    return GatewayRefund(key=refund.idempotency_key, state=RefundState.DONE, amount=refund.amount)


def _move(reference: str, *, allowed: set[SandboxIntent.Status], to: SandboxIntent.Status) -> GatewayPayment:
    """Change an intent's state once; asking again for the state it has is the same answer."""
    with transaction.atomic():
        intent = _find(SandboxIntent.objects.select_for_update(), reference)
        if intent.status in allowed:
            intent.status = to
            intent.save(update_fields=["status"])
            queue_notice(intent)
        elif intent.status != to:
            raise GatewayRefused(f"a payment that is {intent.status} cannot become {to}")
    return _described(intent)
