"""Helpers for tests that race: real threads, each with its own connection."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from django.db import connections
from django.db.models import F

from bookings.audit import find_violations
from bookings.models import Booking
from events.models import Ticket


def run_together(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run every call in its own thread, all released at once; returns results or the errors raised.

    Each thread has its database connection before the start: what races is the work, not the
    two hundred log-ins before it. A crowd in one process also waits far longer for a row, and for
    its turn while it has one, than buyers of a server do, so their patience is not the role's.
    """
    results: list[Any] = [None] * len(calls)
    barrier = threading.Barrier(len(calls))
    logging_in = threading.Semaphore(8)

    def run(number: int, call: Callable[[], Any]) -> None:
        try:
            with logging_in, connections["default"].cursor() as cursor:
                for patience in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
                    cursor.execute(f"SET {patience} = '60s'")
            barrier.wait(timeout=60)
            results[number] = call()
        except Exception as error:
            results[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    # Threads in one process take turns of five milliseconds, so that a crowd of two hundred would
    # starve the one that holds the row until its lock times out; workers on a server do not.
    turn = sys.getswitchinterval()
    sys.setswitchinterval(0.0002)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=120)
    finally:
        sys.setswitchinterval(turn)
    return results


def let_hold_lapse(booking: Booking, *, seconds: int = 1) -> None:
    """Move the end of a hold into the past, in the booking and in its tickets alike."""
    until = Booking.objects.values_list("expires_at", flat=True).get(pk=booking.pk)
    moved = timedelta(minutes=10, seconds=seconds)
    Booking.objects.filter(pk=booking.pk).update(expires_at=until - moved)
    Ticket.objects.filter(booking_id=booking.pk).update(reserved_until=F("reserved_until") - moved)


def assert_audit_is_clean() -> None:
    assert find_violations() == []


def reloaded(row: Any) -> Any:
    """The row itself, as the database has it now."""
    row.refresh_from_db()
    return row
