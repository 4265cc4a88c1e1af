"""What the worker does for organisers. Thin: rows say what is to be done."""

from __future__ import annotations

from celery import shared_task

from events.publish_jobs import run_waiting_jobs


@shared_task(name="events.publish_waiting_events")
def publish_waiting_events() -> None:
    run_waiting_jobs()
