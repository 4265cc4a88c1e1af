"""Pages by cursor: a place in an ordering, said by a row's key and id, never by an offset.

A row that is added or removed elsewhere moves no page, and a far page costs what the first
one does. A cursor is signed together with the name of its ordering: one that this site did
not make, or made for another ordering, is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Self

from django.core import signing
from django.db.models import F, Q
from django.db.models.expressions import OrderBy

# What a page is ordered by; None (no price) comes last, whichever way the order runs.
Key = datetime | Decimal | float | None


class InvalidCursor(Exception):
    """The cursor was not made by this list in this ordering."""


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """The place just after a row or, `backwards`, just before it.

    `as_of` is the moment the first page was made: relevance depends on how near an event is
    in time, and a clock that went on between two pages would move rows from one to the other.
    """

    key: Key
    event_id: int
    backwards: bool
    as_of: datetime

    def encode(self, ordering: str) -> str:
        kind = type(self.key).__name__
        facts = [kind, str(self.key), self.event_id, self.backwards, str(self.as_of)]
        return signing.dumps(facts, salt=_salt(ordering))

    @classmethod
    def decode(cls, text: str, ordering: str) -> Self:
        """Raise `InvalidCursor` unless `encode` made the text for this ordering."""
        try:
            kind, key, event_id, backwards, as_of = signing.loads(text, salt=_salt(ordering))
        except (signing.BadSignature, ValueError) as error:
            raise InvalidCursor from error
        return cls(
            key=None if kind == "NoneType" else READERS[kind](key),
            event_id=event_id,
            backwards=backwards,
            as_of=datetime.fromisoformat(as_of),
        )


READERS: dict[str, Callable[[str], Key]] = {
    "datetime": datetime.fromisoformat,
    "Decimal": Decimal,
    "float": float,
}


def _salt(ordering: str) -> str:
    return f"search.cursor.1:{ordering}"


@dataclass(frozen=True)
class Order:
    """An order over the annotation `sort_key`, with ties broken by the id in the same direction."""

    descending: bool = False
    nullable: bool = False
    nulls_first: bool = False

    def reversed(self) -> Order:
        return dataclasses.replace(self, descending=not self.descending, nulls_first=not self.nulls_first)

    def expressions(self) -> list[OrderBy]:
        """What to give to `order_by()`. Keys that are never null need no word on it, and can use an index."""
        return [
            OrderBy(
                F("sort_key"),
                descending=self.descending,
                nulls_first=(self.nullable and self.nulls_first) or None,
                nulls_last=(self.nullable and not self.nulls_first) or None,
            ),
            OrderBy(F("id"), descending=self.descending),
        ]

    def beyond(self, cursor: Cursor) -> Q:
        """The rows that this order puts after the cursor's row."""
        side = "lt" if self.descending else "gt"
        same_key = Q(sort_key=cursor.key) if cursor.key is not None else Q(sort_key__isnull=True)
        beyond = same_key & Q(**{f"id__{side}": cursor.event_id})
        if cursor.key is not None:
            beyond |= Q(**{f"sort_key__{side}": cursor.key})
        if self.nullable and self.nulls_first == (cursor.key is None):
            beyond |= Q(sort_key__isnull=cursor.key is not None)
        return beyond
