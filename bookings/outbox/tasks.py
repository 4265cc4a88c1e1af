"""Celery's way into the outbox. Each task is safe to run twice, at once, or never."""

from __future__ import annotations

from celery import shared_task

from bookings.outbox import reminders, sending


@shared_task(name="outbox.send_mails")
def send_mails() -> None:
    sending.send_mails()


@shared_task(name="outbox.queue_reminders")
def queue_reminders() -> None:
    reminders.queue_reminders()
