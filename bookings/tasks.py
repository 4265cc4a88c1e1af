"""Celery's way into the services. Each task is safe to run twice, at once, or never."""

from __future__ import annotations

import logging
from typing import Any

from celery import Task, shared_task
from kombu.exceptions import OperationalError

from bookings import emails, payments, services
from events.locks import CircuitBreaker

logger = logging.getLogger(__name__)

broker_breaker = CircuitBreaker(open_seconds=10)


def wake_up(task: Task[Any, Any]) -> None:
    """Ask a worker to run a task now instead of at its next turn: haste, and nothing depends on it.

    A broker that does not answer is left alone for a while, so that requests do not wait for it.
    """
    if not broker_breaker.allows_call():
        return
    try:
        task.apply_async(expires=30)
    except (OperationalError, OSError) as error:
        broker_breaker.record_failure()
        logger.warning("The broker does not answer (%s); the timetable will do it.", error)
    else:
        broker_breaker.record_success()


@shared_task(name="bookings.sweep_expired_holds")
def sweep_expired_holds() -> None:
    services.sweep_expired_holds()


@shared_task(name="bookings.apply_notices")
def apply_notices() -> None:
    payments.apply_notices()


@shared_task(name="bookings.finish_payments")
def finish_payments() -> None:
    payments.finish_payments()


@shared_task(name="bookings.reconcile_payments")
def reconcile_payments() -> None:
    payments.reconcile_payments()


@shared_task(name="bookings.send_confirmations")
def send_confirmations() -> None:
    emails.send_confirmations()
