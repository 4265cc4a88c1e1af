"""The live picture of an event: the state of every ticket, small enough to ask for every second.

The database's rows are the truth; a ticket that they call free but that the lock cache shows as
held is being taken at this moment, and is shown as reserved.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from django.core.cache import cache
from django.db.models import Case, CharField, F, Q, Value, When
from django.db.models.expressions import RawSQL

from events import locks
from events.models import Ticket
from events.querysets import IS_AVAILABLE, TicketQuerySet, is_available
from events.statements import array_of, execute

# The digit of each state in `Snapshot.digits` and, as two bits, in `Snapshot.packed`.
DIGITS = {
    Ticket.Status.AVAILABLE: "0",
    Ticket.Status.RESERVED: "1",
    Ticket.Status.BOOKED: "2",
    Ticket.Status.BLOCKED: "3",
}
# What a row says, as SQL.
DIGIT_OF_ROW = f"""
    CASE WHEN {IS_AVAILABLE} THEN '{DIGITS[Ticket.Status.AVAILABLE]}'
        WHEN ticket.status = '{Ticket.Status.RESERVED}' THEN '{DIGITS[Ticket.Status.RESERVED]}'
        WHEN ticket.status = '{Ticket.Status.BOOKED}' THEN '{DIGITS[Ticket.Status.BOOKED]}'
        ELSE '{DIGITS[Ticket.Status.BLOCKED]}'
    END
"""
# For so long a caller may ask what has changed since a picture it has.
REMEMBERED_SECONDS = 300


@dataclass(frozen=True)
class Snapshot:
    """All tickets of an event at one moment of the database's clock."""

    event_id: int
    as_of: datetime
    # The digit of the ticket at position p is `digits[p]`. A position that no ticket has any more
    # is told as blocked, and counts nowhere.
    digits: str
    # Free tickets by the id of the price tier, in the tiers' own order.
    available_in_tier: dict[int, int]

    @property
    def available(self) -> int:
        return self.digits.count(DIGITS[Ticket.Status.AVAILABLE])

    @property
    def reserved(self) -> int:
        return self.digits.count(DIGITS[Ticket.Status.RESERVED])

    @property
    def booked(self) -> int:
        return self.digits.count(DIGITS[Ticket.Status.BOOKED])

    @property
    def total(self) -> int:
        """Tickets that are or were for sale: all but the ones kept back."""
        return self.available + self.reserved + self.booked

    @cached_property
    def packed(self) -> bytes:
        """Two bits per ticket: position p is in byte p // 4, at bits 2 * (p % 4), low bits first."""
        return pack(self.digits)

    @cached_property
    def version(self) -> str:
        """A short name of exactly these states; the same states have the same name."""
        return hashlib.blake2b(self.digits.encode(), digest_size=9, person=b"availability").hexdigest()


def take_snapshot(event_id: int, tiers: Sequence[int]) -> Snapshot:
    """The event's tickets as they are now, in one query; `tiers` are the ids of all its price tiers.

    One more where a ticket that is free by its row is locked, and another where positions have gaps.
    """
    # Before the rows: a hold that is booked in between gives its locks back, and only the rows say so then.
    locked = locks.locked_fields(event_id) or []
    rows = _read_rows(event_id, tiers, with_ids=bool(locked))
    # Publishing again drops what is no longer sold and moves no other ticket.
    if rows.last_position is not None and rows.last_position + 1 != len(rows.digits):
        rows = _read_rows(event_id, tiers, with_ids=bool(locked), with_positions=True)
        rows = rows._replace(digits=_place(rows.digits, rows.positions or []))
    digits = bytearray(rows.digits, "ascii")
    available_in_tier = dict(zip(tiers, rows.free_in_tier, strict=True))
    # Mostly a handful, which are just being held.
    free = frozenset((rows.free_ids or "").encode().split(b","))
    if being_held := free.intersection(locked):
        held = Ticket.objects.filter(pk__in=map(int, being_held))
        for position, tier_id in held.values_list("position", "price_tier_id"):
            digits[position] = ord(DIGITS[Ticket.Status.RESERVED])
            # Publishing may have moved it to another tier since, which did not count it.
            if available_in_tier.get(tier_id):
                available_in_tier[tier_id] -= 1
    return Snapshot(event_id, rows.as_of, digits.decode(), available_in_tier)


class _Rows(NamedTuple):
    """An event's tickets by their rows alone, all of one moment."""

    as_of: datetime
    # In the order of positions, whatever gaps those have.
    digits: str
    last_position: int | None
    # In the order of the tiers that were asked about.
    free_in_tier: list[int]
    # The ids of the free tickets, with commas between; None where there are none, or nobody asked.
    free_ids: str | None
    positions: list[int] | None


def _read_rows(event_id: int, tiers: Sequence[int], *, with_ids: bool, with_positions: bool = False) -> _Rows:
    """As SQL, which the ORM takes longer to write than the database to answer.

    The ids as one text: twenty thousand numbers take longer to read than to compare.
    """
    is_free = f"digit = '{DIGITS[Ticket.Status.AVAILABLE]}'"
    free_in_tier = ", ".join(
        f"count(*) FILTER (WHERE {is_free} AND price_tier_id = (%(tiers)s::bigint[])[{number}])"
        for number in range(1, len(tiers) + 1)
    )
    free_ids = f"string_agg(id::text, ',') FILTER (WHERE {is_free})" if with_ids else "NULL"
    positions = "array_agg(position ORDER BY position)" if with_positions else "NULL"
    statement = f"""
        SELECT statement_timestamp(), coalesce(string_agg(digit, '' ORDER BY position), ''), max(position),
            ARRAY[{free_in_tier}]::bigint[], {free_ids}, {positions}
        FROM (SELECT id, position, price_tier_id, {DIGIT_OF_ROW} AS digit
              FROM events_ticket AS ticket WHERE event_id = %(event)s::bigint) AS ticket
    """  # noqa: S608  # Made of constants.
    values = {"event": str(event_id), "tiers": array_of(tiers)}
    return _Rows._make(execute(statement, values).fetchone())


def _place(digits: str, positions: list[int]) -> str:
    """Each digit at its position, of which the last is the largest; the gaps are blocked."""
    size = positions[-1] + 1 if positions else 0
    placed = bytearray(DIGITS[Ticket.Status.BLOCKED].encode() * size)
    for position, digit in zip(positions, digits.encode(), strict=True):
        placed[position] = digit
    return placed.decode()


def with_live_status(tickets: TicketQuerySet, event_id: int) -> TicketQuerySet:
    """Annotate `live_status`: the current status, with free but locked tickets as reserved."""
    locked = _locked(event_id)
    return tickets.annotate(
        live_status=Case(
            When(is_available() & Q(pk__in=locked), then=Value(Ticket.Status.RESERVED)),
            When(is_available(), then=Value(Ticket.Status.AVAILABLE)),
            default=F("status"),
            output_field=CharField(),
        )
    )


def _locked(event_id: int) -> Collection[int]:
    """The tickets that are free by their rows and locked in the cache; a handful, just being held.

    None where the lock cache is away, as the rows alone decide then. Tens of thousands of locks go
    to the database as one array, once, and not into each condition that asks about them.
    """
    locked = locks.locked_fields(event_id)
    if not locked:
        return ()
    ids = RawSQL("SELECT unnest(%s::bigint[])", [array_of(map(bytes.decode, locked))])
    return list(Ticket.objects.available().filter(event=event_id, pk__in=ids).values_list("pk", flat=True))


def pack(digits: str) -> bytes:
    """The digits 0 to 3, four to a byte. The last byte is filled with zeros."""
    states = (digits + "0" * (-len(digits) % 4)).encode().translate(_DIGIT_VALUES)
    # Each quarter of the digits is one long number; shifting and adding those packs all at once.
    quarters = (int.from_bytes(states[place::4], "little") << 2 * place for place in range(4))
    return sum(quarters).to_bytes(len(states) // 4, "little")


def unpack(packed: bytes) -> list[int]:
    """The states that `pack` packed, with those of the filling."""
    return [byte >> shift & 3 for byte in packed for shift in (0, 2, 4, 6)]


_DIGIT_VALUES = bytes.maketrans(b"0123", bytes(range(4)))


def remember(snapshot: Snapshot) -> None:
    """Keep the picture for a few minutes, for whoever asks what has changed since."""
    packed = base64.b64encode(snapshot.packed).decode()
    cache.set(_cache_key(snapshot.event_id, snapshot.version), packed, REMEMBERED_SECONDS)


def changes_since(version: str, snapshot: Snapshot) -> list[tuple[int, int]] | None:
    """`(position, state)` of each ticket that is another than in the picture `version`.

    None where that picture is not remembered, or the cache is away.
    """
    if version == snapshot.version:
        return []
    remembered = cache.get(_cache_key(snapshot.event_id, version))
    if remembered is None:
        return None
    before, after = base64.b64decode(remembered), snapshot.packed
    if len(before) != len(after):
        # Tickets were added or taken away, so that positions mean something else now.
        return None
    changed = [place for place, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
    return [
        (4 * place + quarter, new)
        for place in changed
        for quarter, (old, new) in enumerate(
            zip(unpack(before[place : place + 1]), unpack(after[place : place + 1]), strict=True)
        )
        if old != new
    ]


def _cache_key(event_id: int, version: str) -> str:
    return f"availability:1:{event_id}:{version}"
