"""Statements of the few requests that come by the thousand, as SQL with a plan that the server keeps.

The ORM builds a statement anew each time, which costs several times what the database takes to
answer it. Elsewhere that is a fair price; a hold makes half a dozen statements, and is what people queue for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.utils import CursorWrapper
from django.db.models import Model


def columns_of(model: type[Model], *needed: str) -> list[str]:
    """The names of these columns in the order of the model's own, as its `from_db` reads them."""
    return [field.attname for field in model._meta.concrete_fields if field.attname in needed]


def array_of(items: Iterable[int | str]) -> str:
    """Numbers or plain words as PostgreSQL writes an array. Quotes nothing.

    A list of numbers has another type for each size of its largest.
    """
    return "{" + ",".join(map(str, items)) + "}"


def execute(statement: str, values: dict[str, Any]) -> CursorWrapper:
    """Run the statement, with its `%(name)s` for the values, and give the cursor with its rows.

    Values go to the server apart from the text (Django's own cursor writes them into it), so that
    it keeps the plan where `OPTIONS` has a `prepare_threshold`. A statement names the type of each
    value, `%(name)s::bigint`, and a number is given as text: a number's type depends on its size.
    """
    # Looked up once: `django.db.connection` finds this thread's connection anew for each attribute.
    database = connections[DEFAULT_DB_ALIAS]
    # As Django's own cursors begin: a connection that the server has closed since is made anew.
    database.close_if_health_check_failed()
    database.ensure_connection()
    bare: Any = psycopg.Cursor(database.connection)
    # With Django's wrapper for its errors and its log.
    cursor = database.make_debug_cursor(bare) if database.queries_logged else database.make_cursor(bare)
    cursor.execute(statement, values)
    return cursor
