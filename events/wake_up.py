"""Haste for a worker's tasks, which the timetable would do anyway."""

from __future__ import annotations

from typing import Any

from celery import Task
from kombu.pools import producers

from events.breaker import CircuitBreaker

# Seconds. Workers wait as long as it takes; somebody who wants a page does not.
HASTY = {"socket_timeout": 0.2}

breaker = CircuitBreaker("The broker", "the timetable will do it", open_seconds=10)


def wake_up(task: Task[Any, Any]) -> None:
    """Ask a worker to run a task now instead of at its next turn: haste, and nothing depends on it.

    A broker that does not answer is left alone for a while, so that requests do not wait for it.
    """
    breaker.call(lambda: _queue(task), lambda: None)


def _queue(task: Task[Any, Any]) -> None:
    hasty = task.app.connection_for_write(transport_options=HASTY)
    with producers[hasty].acquire(block=True) as producer:
        task.apply_async(expires=30, retry=False, producer=producer)
