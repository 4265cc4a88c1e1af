"""The first answers to requests that named a key."""

from __future__ import annotations

from datetime import timedelta

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone

# For so long a key stands for its request.
IDEMPOTENCY_LIFETIME = timedelta(hours=24)


class IdempotencyKey(models.Model):
    """The first answer to a request that named a key, for whoever asks again within its lifetime."""

    caller = models.CharField(max_length=80)
    key = models.CharField(max_length=255)
    # Of method, path and body: the same key with another request is refused.
    fingerprint = models.CharField(max_length=64)
    # Empty while the request is being answered.
    status_code = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(encoder=DjangoJSONEncoder, null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["caller", "key"], name="idempotency_key_once_per_caller"),
        ]
        indexes = [models.Index(fields=["created_at"], name="idempotency_key_age")]

    def __str__(self) -> str:
        return f"{self.caller}: {self.key}"
