"""What is asked of the database beside the load: its statistics, its clock, and who asks it anything."""

from __future__ import annotations

from datetime import datetime

from django.db import connection

CONNECTIONS_USED = """
SELECT count(*) FILTER (WHERE query_start >= %s), count(*) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


def analyze() -> None:
    """Have the planner know what is there."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def vacuum() -> None:
    """The same, with the rest of what the server's housekeeping does after many rows are new."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")


def database_time() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


def connections_used(since: datetime) -> tuple[int, int]:
    """How many of the others' connections began a statement since then, and how many there are.

    The server's own record of each connection, so that nothing is missed and nothing else, such
    as its housekeeping, is counted.
    """
    with connection.cursor() as cursor:
        cursor.execute(CONNECTIONS_USED, [since])
        used, there = cursor.fetchone()
    return used, there
