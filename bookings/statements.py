"""Statements of the few requests that come by the thousand, as SQL with a plan that the server keeps.

The ORM builds a statement anew each time, which costs several times what the database takes to
answer it. Elsewhere that is a fair price; a hold makes a dozen statements, and is what people queue for.
"""

from __future__ import annotations

from typing import Any

import psycopg
from django.db import connection
from django.db.backends.utils import CursorWrapper


def execute(statement: str, values: dict[str, Any]) -> CursorWrapper:
    """Run the statement, with its `%(name)s` for the values, and give the cursor with its rows.

    Values go to the server apart from the text (Django's own cursor writes them into it), so that
    it keeps the plan where `OPTIONS` has a `prepare_threshold`. A statement names the type of each
    value, `%(name)s::bigint`, and a number is given as text: a number's type depends on its size.
    """
    # As Django's own cursors begin: a connection that the server has closed since is made anew.
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    bare: Any = psycopg.Cursor(connection.connection)
    # With Django's wrapper for its errors and its log.
    cursor = connection.make_debug_cursor(bare) if connection.queries_logged else connection.make_cursor(bare)
    cursor.execute(statement, values)
    return cursor
