"""The sandbox gateway as the box office sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from bookings.exceptions import InvalidNotice
from bookings.gateways import GatewayError, GatewayPayment, GatewayState, Notice
from bookings.sandbox.models import SandboxIntent
from bookings.sandbox.notices import queue_notice
from bookings.sandbox.signing import SIGNATURE_HEADER, check_signature

STATES = {
    SandboxIntent.Status.OPEN: GatewayState.OPEN,
    SandboxIntent.Status.CONFIRMING: GatewayState.OPEN,
    SandboxIntent.Status.AUTHORISED: GatewayState.AUTHORISED,
    SandboxIntent.Status.DECLINED: GatewayState.DECLINED,
    SandboxIntent.Status.CAPTURED: GatewayState.CAPTURED,
    SandboxIntent.Status.VOIDED: GatewayState.VOIDED,
    SandboxIntent.Status.REFUNDED: GatewayState.REFUNDED,
}


class SandboxGateway:
    """Talks to the sandbox's own records as another adapter talks to a service over the network."""

    def create(
        self, *, key: str, amount: Decimal, currency: str, description: str, return_url: str
    ) -> GatewayPayment:
        intent, _created = SandboxIntent.objects.get_or_create(
            idempotency_key=key,
            defaults={
                "amount": amount,
                "currency": currency,
                "description": description,
                "return_url": return_url,
            },
        )
        return _described(intent)

    def retrieve(self, reference: str) -> GatewayPayment:
        try:
            return _described(SandboxIntent.objects.get(pk=reference))
        except SandboxIntent.DoesNotExist as error:
            raise GatewayError(f"no payment {reference}") from error

    def capture(self, reference: str, *, key: str) -> GatewayPayment:
        status = SandboxIntent.Status
        return _move(reference, allowed={status.AUTHORISED}, to=status.CAPTURED)

    def void(self, reference: str, *, key: str) -> GatewayPayment:
        status = SandboxIntent.Status
        return _move(reference, allowed={status.OPEN, status.CONFIRMING, status.AUTHORISED}, to=status.VOIDED)

    def refund(self, reference: str, *, amount: Decimal, key: str) -> GatewayPayment:
        status = SandboxIntent.Status
        return _move(reference, allowed={status.CAPTURED}, to=status.REFUNDED)

    def read_notice(self, body: bytes, headers: Mapping[str, str]) -> Notice:
        check_signature(body, headers.get(SIGNATURE_HEADER, ""))
        try:
            payload = json.loads(body)
            notice = Notice(provider_id=payload["id"], reference=payload["payment"], payload=payload)
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidNotice("The notice cannot be read.") from error
        if not isinstance(notice.provider_id, str) or not isinstance(notice.reference, str):
            raise InvalidNotice("The notice names no payment.")
        return notice


def _described(intent: SandboxIntent) -> GatewayPayment:
    return GatewayPayment(
        reference=intent.pk,
        state=STATES[SandboxIntent.Status(intent.status)],
        amount=intent.amount,
        currency=intent.currency,
        redirect_url=settings.SITE_URL + reverse("sandbox:pay", args=[intent.pk]),
        reason=intent.decline_reason,
    )


def _move(reference: str, *, allowed: set[SandboxIntent.Status], to: SandboxIntent.Status) -> GatewayPayment:
    """Change an intent's state once; asking again for the state it has is the same answer."""
    with transaction.atomic():
        try:
            intent = SandboxIntent.objects.select_for_update().get(pk=reference)
        except SandboxIntent.DoesNotExist as error:
            raise GatewayError(f"no payment {reference}") from error
        if intent.status in allowed:
            intent.status = to
            intent.save(update_fields=["status"])
            queue_notice(intent)
        elif intent.status != to:
            raise GatewayError(f"a payment that is {intent.status} cannot become {to}")
    return _described(intent)
