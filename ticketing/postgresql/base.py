"""Django's PostgreSQL backend, which keeps nobody waiting for a connection that does not come.

`connect_timeout` cannot be less than two seconds, and with the answer a buyer is to be told within two.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psycopg
from django.conf import settings
from django.db.backends.postgresql import base

from ticketing.database_away import watch


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> psycopg.Connection[Any]:
        """Raises OperationalError at once while the database is known to say nothing."""
        if watch.is_database_silent:
            raise psycopg.OperationalError("the database says nothing")
        connector = ThreadPoolExecutor(1)
        connecting: Future[psycopg.Connection[Any]] = connector.submit(
            super().get_new_connection, conn_params
        )
        connector.shutdown(wait=False)
        try:
            return connecting.result(timeout=patience(conn_params))
        except TimeoutError as error:
            connecting.add_done_callback(_hang_up)
            raise psycopg.OperationalError("no connection came in time") from error


def patience(conn_params: dict[str, Any]) -> float:
    """The seconds to wait: all of `connect_timeout` for each host but the last, which has a little less."""
    others = str(conn_params.get("host", "")).count(",")
    return float(others * conn_params["connect_timeout"] + settings.CONNECT_SECONDS)


def _hang_up(connecting: Future[psycopg.Connection[Any]]) -> None:
    """Close a connection that came too late."""
    with suppress(psycopg.Error):
        connecting.result().close()
