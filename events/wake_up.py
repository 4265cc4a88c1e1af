"""Haste for a worker's tasks, which the timetable would do anyway."""

from __future__ import annotations

import logging
from typing import Any

from celery import Task
from kombu.exceptions import OperationalError

from events.breaker import CircuitBreaker

logger = logging.getLogger(__name__)

breaker = CircuitBreaker(open_seconds=10)


def wake_up(task: Task[Any, Any]) -> None:
    """Ask a worker to run a task now instead of at its next turn: haste, and nothing depends on it.

    A broker that does not answer is left alone for a while, so that requests do not wait for it.
    """
    if not breaker.allows_call():
        return
    try:
        task.apply_async(expires=30)
    except (OperationalError, OSError) as error:
        breaker.record_failure()
        logger.warning("The broker does not answer (%s); the timetable will do it.", error)
    else:
        breaker.record_success()
