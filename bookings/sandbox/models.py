"""The sandbox gateway's own records, apart from ours as a real gateway's are."""

from __future__ import annotations

import secrets

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


def make_intent_id() -> str:
    return f"sbx_{secrets.token_urlsafe(18)}"


def make_refund_id() -> str:
    return f"ref_{secrets.token_urlsafe(18)}"


def make_notice_id() -> str:
    return f"evt_{secrets.token_urlsafe(18)}"


class SandboxIntent(models.Model):
    """One payment as the gateway sees it."""

    class Status(models.TextChoices):
        OPEN = "open", _("waiting for a card")
        CONFIRMING = "confirming", _("waiting for a second confirmation")
        AUTHORISED = "authorised", _("authorised")
        DECLINED = "declined", _("declined")
        CAPTURED = "captured", _("captured")
        VOIDED = "voided", _("voided")

    id = models.CharField(primary_key=True, max_length=40, default=make_intent_id, editable=False)
    idempotency_key = models.CharField(max_length=100, unique=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=3)
    description = models.CharField(max_length=300)
    return_url = models.URLField(max_length=2000)
    decline_reason = models.CharField(max_length=40, blank=True)
    # How the buyer asked for notices to be sent: normal, duplicate, never, delay:SECONDS.
    notice_mode = models.CharField(max_length=20, default="normal")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("sandbox payment")
        verbose_name_plural = _("sandbox payments")

    def __str__(self) -> str:
        return f"{self.id} ({self.status})"


class SandboxRefund(models.Model):
    """Money of a captured payment that was given back."""

    id = models.CharField(primary_key=True, max_length=40, default=make_refund_id, editable=False)
    intent = models.ForeignKey(SandboxIntent, models.CASCADE, related_name="refunds")
    idempotency_key = models.CharField(max_length=100, unique=True)
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at"]
        verbose_name = _("sandbox refund")
        verbose_name_plural = _("sandbox refunds")

    def __str__(self) -> str:
        return f"{self.id} ({self.amount})"


class SandboxNotice(models.Model):
    """A notice that the gateway sends until it is accepted."""

    id = models.CharField(primary_key=True, max_length=40, default=make_notice_id, editable=False)
    intent = models.ForeignKey(SandboxIntent, models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=40)
    copies = models.PositiveSmallIntegerField(default=1)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    delivered_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at"]
        verbose_name = _("sandbox notice")
        verbose_name_plural = _("sandbox notices")
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                condition=models.Q(delivered_at__isnull=True),
                name="sandbox_notice_to_send",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"
