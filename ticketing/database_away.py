"""What it looks like when the database is away or busy, and what to do about the connection."""

from __future__ import annotations

import logging

from django.db import InterfaceError, InternalError, OperationalError, connection

logger = logging.getLogger(__name__)

# Seconds after which asking again is worth it; short, as a failover takes a few.
RETRY_AFTER = "2"

# The server is shutting down, starting, or has become a read-only replica: whatever comes
# next on this connection fails too, although `SELECT 1` may pass (a demoted primary).
LOST_CONNECTION_STATES = frozenset({"25006", "25P03", "25P04", "57P01", "57P02", "57P03"})


def is_database_away(error: BaseException | None) -> bool:
    """Whether the error says that the database did not serve us, and not that we asked nonsense."""
    if isinstance(error, OperationalError | InterfaceError):
        return True
    return isinstance(error, InternalError) and _state(error) in LOST_CONNECTION_STATES


def note_database_away(error: BaseException) -> None:
    """Log it in one line, and give up a connection that will not recover."""
    logger.warning("The database is away or busy: %s", str(error).strip().partition("\n")[0])
    if _state(error) in LOST_CONNECTION_STATES:
        connection.close()


def _state(error: BaseException) -> str | None:
    """PostgreSQL's five-character code for the error, where it has one."""
    return getattr(error.__cause__, "sqlstate", None)
