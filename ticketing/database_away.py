"""What it looks like when the database is away or busy, and what to do about the connection.

PostgreSQL bounds what it does itself, by the timeouts of the role. A server that is frozen or out of
reach bounds nothing: there a request is cut off from it here, so that nobody waits for ever.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from django.conf import settings
from django.db import InterfaceError, InternalError, OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, PollingStatus

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


# --- A server that says nothing -----------------------------------------------------------

# What Django gives psycopg to connect with, and the server knows nothing of.
OF_THE_CLIENT = {"context", "cursor_factory", "prepare_threshold"}
WAITING_FOR = {PollingStatus.READING: select.POLLIN, PollingStatus.WRITING: select.POLLOUT}


@dataclass(frozen=True)
class Request:
    """A request under way in a thread, and the connection that the thread asks the database with."""

    began: float
    database: BaseDatabaseWrapper

    def hang_up(self) -> None:
        """Close the connection's socket under it, so that whatever waits for an answer fails at once."""
        if (asked := self.database.connection) is None:
            return
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(asked.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)


class Watch:
    """Ends waits for a database that says nothing, and remembers while it does not.

    When a request has been under way for `suspicious` seconds, one thread of the process asks the
    server for a new connection. Where it says nothing for `silent` seconds, every request is cut
    off from it, and new ones are told at once until the server is back. A request that takes
    `patience` seconds is cut off also while the server answers others.
    """

    def __init__(self, *, suspicious: float, silent: float, patience: float) -> None:
        self.suspicious, self.silent, self.patience = suspicious, silent, patience
        self.is_database_silent = False
        self._lock = threading.Lock()
        self._requests: dict[int, Request] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def over_request(self) -> Iterator[None]:
        """Watch what is done inside, by this thread."""
        me = threading.get_ident()
        if self._thread is None or not self._thread.is_alive():
            self._start()
        self._requests[me] = Request(time.monotonic(), connections["default"])
        try:
            yield
        finally:
            # Under the lock, so that nobody hangs up on the next request.
            with self._lock:
                del self._requests[me]

    def _start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._look_again_and_again, daemon=True)
                self._thread.start()

    def _look_again_and_again(self) -> None:
        while True:
            time.sleep(self.suspicious)
            self._look()

    def _look(self) -> None:
        self._cut_off(older_than=self.patience)
        if not self.is_database_silent and not self._has_request(older_than=self.suspicious):
            return
        was_silent = self.is_database_silent
        self.is_database_silent = not says_anything(connection.get_connection_params(), within=self.silent)
        if self.is_database_silent:
            self._cut_off(older_than=0)
        if self.is_database_silent != was_silent:
            logger.warning(
                "The database says nothing: requests are not kept waiting for it."
                if self.is_database_silent
                else "The database answers again."
            )

    def _has_request(self, *, older_than: float) -> bool:
        limit = time.monotonic() - older_than
        return any(request.began < limit for request in list(self._requests.values()))

    def _cut_off(self, *, older_than: float) -> None:
        limit = time.monotonic() - older_than
        with self._lock:
            for request in list(self._requests.values()):
                if request.began < limit:
                    request.hang_up()


def says_anything(where: dict[str, Any], *, within: float) -> bool:
    """Whether any of the hosts answers somebody who wants a new connection. One that refuses does, too.

    `within` are the seconds for each step, and without those in which this process is too busy to listen.
    """
    told = {name: value for name, value in where.items() if name not in OF_THE_CLIENT}
    hosts, ports = (str(told.pop(name, "")).split(",") for name in ("host", "port"))
    places = zip(hosts, ports * len(hosts) if len(ports) == 1 else ports, strict=True)
    return any(
        _connects_or_refuses(make_conninfo(**told, host=host, port=port), within) for host, port in places
    )


def _connects_or_refuses(conninfo: str, within: float) -> bool:
    line = PGconn.connect_start(conninfo.encode())
    try:
        while (wanted := PollingStatus(line.connect_poll())) in WAITING_FOR:
            steps = select.poll()
            steps.register(line.socket, WAITING_FOR[wanted])
            if not steps.poll(within * 1000):
                return False
    finally:
        line.finish()
    return True


watch = Watch(
    suspicious=settings.REQUEST_SUSPICIOUS_SECONDS,
    silent=settings.DATABASE_SILENT_SECONDS,
    patience=settings.REQUEST_PATIENCE_SECONDS,
)
