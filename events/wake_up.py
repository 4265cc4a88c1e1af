"""Haste for a worker's tasks, which the timetable would do anyway."""

from __future__ import annotations

from typing import Any

from celery import Task

from events.breaker import CircuitBreaker

breaker = CircuitBreaker("The broker", "the timetable will do it", open_seconds=10)


def wake_up(task: Task[Any, Any]) -> None:
    """Ask a worker to run a task now instead of at its next turn: haste, and nothing depends on it.

    A broker that does not answer is left alone for a while, so that requests do not wait for it.
    """
    breaker.call(lambda: task.apply_async(expires=30, retry=False), lambda: None)
