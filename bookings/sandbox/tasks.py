"""Celery's way into the sandbox."""

from __future__ import annotations

from celery import shared_task

from bookings.sandbox import notices


@shared_task(name="sandbox.deliver_notices")
def deliver_notices() -> None:
    notices.deliver_notices()
