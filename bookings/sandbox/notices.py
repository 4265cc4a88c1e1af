"""The sandbox's notices: queued with the change they tell of, sent over HTTP until accepted."""

from __future__ import annotations

import json
import logging
import time
from datetime import timedelta

import httpx
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from bookings.sandbox.models import SandboxIntent, SandboxNotice
from bookings.sandbox.signing import SIGNATURE_HEADER, sign

logger = logging.getLogger(__name__)

# What waits behind it in the same queue is the money.
TURN_SECONDS = 5
POST_SECONDS = 5
# Longer than two copies take at worst, so that two workers do not send one notice at once.
CLAIM = timedelta(seconds=60)
LONGEST_DELAY = 3600


def queue_notice(intent: SandboxIntent, *, event: str = "") -> None:
    """Write down that a notice of the event, else of the intent's state, is to be sent.

    In the way the payer asked for.
    """
    mode, _, argument = intent.notice_mode.partition(":")
    if mode == "never":
        return
    delay = timedelta(seconds=int(argument) if mode == "delay" else 0)
    SandboxNotice.objects.create(
        intent=intent,
        kind=f"payment.{event or intent.status}",
        copies=2 if mode == "duplicate" else 1,
        next_attempt_at=timezone.now() + delay,
    )


def is_notice_mode(text: str) -> bool:
    """Whether `text` is `normal`, `duplicate`, `never`, or `delay:` and up to an hour's seconds."""
    mode, _, argument = text.partition(":")
    if mode == "delay":
        return argument.isascii() and argument.isdigit() and int(argument) <= LONGEST_DELAY
    return text in {"normal", "duplicate", "never"}


def deliver_notices() -> int:
    """Send the notices that are due, for a turn; returns how many were accepted."""
    started, accepted = time.monotonic(), 0
    while time.monotonic() - started < TURN_SECONDS and (notice := _claim_next()):
        accepted += _deliver(notice)
    return accepted


def _claim_next() -> SandboxNotice | None:
    """Take one due notice off the queue for a while: another worker leaves it alone."""
    due = SandboxNotice.objects.filter(delivered_at=None, next_attempt_at__lte=Now())
    with transaction.atomic():
        notice = due.select_for_update(skip_locked=True).order_by("next_attempt_at").first()
        if notice is not None:
            claim = {"next_attempt_at": Now() + CLAIM, "attempts": F("attempts") + 1}
            SandboxNotice.objects.filter(pk=notice.pk).update(**claim)
    return notice


def _deliver(notice: SandboxNotice) -> bool:
    accepted = all(_post(notice) for _copy in range(notice.copies))
    if accepted:
        notice.delivered_at = timezone.now()
        notice.save(update_fields=["delivered_at"])
    else:
        pause = timedelta(seconds=min(2 ** (notice.attempts + 1), 300))
        notice.next_attempt_at = timezone.now() + pause
        notice.save(update_fields=["next_attempt_at"])
    return accepted


def _post(notice: SandboxNotice) -> bool:
    """Send one copy; true when the box office answered 200."""
    body = json.dumps(
        {
            "id": notice.pk,
            "type": notice.kind,
            "payment": notice.intent_id,
            "created": notice.created_at.isoformat(),
        }
    ).encode()
    headers = {
        "Content-Type": "application/json",
        SIGNATURE_HEADER: sign(body, timestamp=int(time.time())),
    }
    url = settings.SITE_URL + reverse("payment-webhook", args=["sandbox"])
    try:
        answer = httpx.post(url, content=body, headers=headers, timeout=POST_SECONDS)
    except httpx.HTTPError as error:
        logger.warning("Notice %s was not accepted: %s", notice.pk, error)
        return False
    return answer.status_code == httpx.codes.OK
