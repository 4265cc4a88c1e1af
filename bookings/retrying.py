"""Work that is tried until it is done: growing pauses, and no failure that stops the others."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from django.utils import timezone

logger = logging.getLogger(__name__)

# A turn of the timetable takes up no more rows than this, and stops well before its time limit.
BATCH = 1000
TURN_SECONDS = 200
LONGEST_PAUSE_SECONDS = 300

Work = TypeVar("Work")


class Retried(Protocol):
    """A row that counts its attempts and knows when the next one is due."""

    attempts: int
    next_attempt_at: datetime


def back_off(row: Retried) -> None:
    """Count the attempt and put the next one off: seconds at first, five minutes at the most."""
    row.attempts += 1
    # Small exponents only: a row that is tried for days would make a number beyond all measure.
    seconds = min(2 ** min(row.attempts, 16), LONGEST_PAUSE_SECONDS)
    jitter = random.uniform(0.5, 1.5)  # noqa: S311  # Spread, not a secret.
    row.next_attempt_at = timezone.now() + timedelta(seconds=seconds * jitter)


def work_through(
    pile: Iterable[Work], work: Callable[[Work], object], put_off: Callable[[Work, Exception], object]
) -> int:
    """Do the work for each of the pile, for as long as a turn may take; returns how many it tried.

    One that fails in a way nobody thought of is put off, and the others get their turn.
    """
    started, tried = time.monotonic(), 0
    for one in pile:
        if time.monotonic() - started > TURN_SECONDS:
            break
        try:
            work(one)
        except Exception as error:
            logger.exception("%s could not be worked on.", one)
            put_off(one, error)
        tried += 1
    return tried
