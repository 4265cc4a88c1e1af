"""What is asked of the database beside the load: its statistics, and how much it was asked."""

from __future__ import annotations

import time

from django.db import connection

# A connection that falls idle hands its counts in within so long: PGSTAT_IDLE_INTERVAL, and a little.
HAND_IN_SECONDS = 11.0


def analyze() -> None:
    """Have the planner know what is there."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def vacuum() -> None:
    """The same, with the rest of what the server's housekeeping does after many rows are new."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")


def transactions() -> int:
    """How many transactions the database has ended, once everybody has fallen idle and said so.

    A statement on its own is one, as all are that a request asks outside a hold. The server's own
    record, so that nothing is missed; a few are its housekeeping's.
    """
    time.sleep(HAND_IN_SECONDS)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
        )
        ended: int = cursor.fetchone()[0]
    return ended
