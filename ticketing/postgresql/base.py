"""Django's PostgreSQL backend, which keeps nobody waiting for a connection that does not come.

It asks the server whether a connection is still good only where there is a sign that it is not.

`connect_timeout` cannot be less than two seconds, and counts those in which a busy process does not
listen. So it is longer, and the watch says when there is nothing to wait for.
"""

from __future__ import annotations

import select
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg.pq import TransactionStatus

from ticketing.database_away import watch

LOOK_UP_SECONDS = 0.1


class DatabaseWrapper(base.DatabaseWrapper):
    def is_usable(self) -> bool:
        """Whether the server has kept the connection open; asked at the first statement of each request.

        One that it closed, or said something on unasked, has something to be read. That costs
        microseconds, where Django's `SELECT 1` is a round trip. A server that is gone without a word
        is noticed by the statement itself, which then fails once for each connection.
        """
        if self.connection is None or self.connection.closed:
            return False
        # After an error it may have been left in the middle of something.
        if self.connection.info.transaction_status != TransactionStatus.IDLE:
            return super().is_usable()
        # Not `select`, which knows the first 1,024 files of a process alone.
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0) or super().is_usable()

    def get_new_connection(self, conn_params: dict[str, Any]) -> psycopg.Connection[Any]:
        """Raises OperationalError as soon as the database is known to say nothing."""
        if watch.is_database_silent:
            raise psycopg.OperationalError("the database says nothing")
        connector = ThreadPoolExecutor(1)
        connecting: Future[psycopg.Connection[Any]] = connector.submit(
            super().get_new_connection, conn_params
        )
        connector.shutdown(wait=False)
        while not watch.is_database_silent:
            if wait([connecting], timeout=LOOK_UP_SECONDS).done:
                return connecting.result()
        connecting.add_done_callback(_hang_up)
        raise psycopg.OperationalError("the database has stopped saying anything")


def _hang_up(connecting: Future[psycopg.Connection[Any]]) -> None:
    """Close a connection that came too late."""
    with suppress(psycopg.Error):
        connecting.result().close()
