"""One event and the state of all its tickets at one moment: what pages and programs are shown.

`picture_of` reads a hall of up to `moments.SMALL_HALL` tickets each time, and keeps the picture of a
larger one for a moment, for all readers of this process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, TypeVar, cast

from events import moments
from events.availability import DIGITS, Snapshot, changes_since, take_snapshot
from events.hall import Counts, SeatCount, count_tickets
from events.layouts import (
    AVAILABLE,
    BLOCKED,
    HINT_SECONDS,
    Layout,
    Place,
    Run,
    SeatRow,
    kept_layout,
    layout_of,
)
from events.models import Event, Ticket
from events.moments import Moments
from events.querysets import PUBLIC_STATUSES
from events.statements import array_of, execute

Made = TypeVar("Made")

# With the ids of its price tiers.
FIND_EVENT = """
    SELECT id, max_tickets_per_booking, updated_at,
        ARRAY(SELECT id FROM events_pricetier WHERE event_id = event.id ORDER BY position, id)
    FROM events_event AS event WHERE slug = %(slug)s::text AND status = ANY(%(statuses)s::text[])
"""
RESERVED = DIGITS[Ticket.Status.RESERVED].encode()
# Among a picture's hints alone: free, and offered to somebody already.
SUGGESTED = b"?"
# Seconds. So old may a picture be from which something is only suggested.
HINT_AGE = 30.0


class Picture:
    """The tickets of a published event at one moment; more about it is read when it is asked for."""

    def __init__(
        self, event_id: int, max_tickets_per_booking: int, updated_at: datetime, snapshot: Snapshot
    ) -> None:
        self.event_id, self.max_tickets_per_booking = event_id, max_tickets_per_booking
        self.snapshot = snapshot
        # What publishing again changes, which alone gives a ticket another seat, tier or position.
        self.plan = (updated_at, len(snapshot.digits))
        self._made: dict[str, Any] = {}
        self._changes: dict[str, list[tuple[int, int]]] = {}
        # The picture's digits, less what was seen to be locked since, and what was suggested.
        self._hints = bytearray(snapshot.digits, "ascii")
        self._runs: dict[tuple[int, str, int], tuple[bytes, Sequence[Run]]] = {}
        # One at a time chooses among them, so that no two are sent to one seat.
        self.choosing = threading.Lock()
        self._lock = threading.RLock()

    @property
    def ticket_count(self) -> int:
        return len(self.snapshot.digits)

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """What `make` makes of this picture, made once for all its readers. Raises what `make` raises."""
        if name not in self._made:
            with self._turn():
                if name not in self._made:
                    self._made[name] = make()
        return cast("Made", self._made[name])

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One reader at a time, so that the others find what it made.

        Whoever waited in vain goes on too, as in `Moments`: all then meet the same obstacle at once.
        """
        has_turn = self._lock.acquire(timeout=moments.MAX_AGE)
        try:
            yield
        finally:
            if has_turn:
                self._lock.release()

    @property
    def event(self) -> Event:
        """As `for_listing()` has it, with its price tiers. Raises `Event.DoesNotExist` of a draft."""
        return self.once("event", self._read_event)

    def changes_since(self, version: str) -> list[tuple[int, int]] | None:
        """As the function of that name has it; found out once for all whose last picture was that one."""
        changes = self._changes.get(version)
        if changes is None:
            changes = changes_since(version, self.snapshot)
            # A version that nobody was ever told is not kept: there is no end of those.
            if changes is not None:
                self._changes[version] = changes
        return changes

    def runs_near(self, seat: Place, quantity: int, *, rows: int) -> list[Run]:
        """Where so many seats or more are free side by side around a seat, in the order of row and place.

        Of its tier and section, in its own row and in `rows` before and behind it. What is free here may
        be gone by now: a hold of it decides.
        """
        return list(self._runs_in(self._layout.near(seat, rows), quantity))

    def runs_of(self, price_tier_id: int, quantity: int) -> Iterator[Run]:
        """The same of a whole tier, from the front row to the back. Reads where the seats are at once."""
        return self._runs_in(self._layout.rows_of(price_tier_id), quantity)

    def _runs_in(self, rows: Iterable[SeatRow], quantity: int) -> Iterator[Run]:
        for row in rows:
            states = row.states_in(self._hints)
            # Of a hall that is nearly sold, most rows need no closer look.
            if AVAILABLE * quantity not in states:
                continue
            # Mostly nothing has changed since somebody else asked.
            before, runs = self._runs.get(row[:3]) or (b"", ())
            if states != before:
                runs = tuple(row.free_runs(states))
                self._runs[row[:3]] = states, runs
            yield from (run for run in runs if len(run.ticket_ids) >= quantity)

    def free_seats_of(self, price_tier_id: int) -> list[tuple[int, int]]:
        """The position and the ticket of each free seat of a tier, in the order of the hall."""
        return sorted(
            (position, ticket_id)
            for row in self._layout.rows_of(price_tier_id)
            for position, ticket_id in row.free_seats(row.states_in(self._hints))
        )

    def note_locked(self, ticket_ids: Iterable[int]) -> None:
        """Have the runs take these for gone, for as long as this picture is kept."""
        for position in self._positions_of(ticket_ids):
            self._hints[position] = RESERVED[0]

    def note_suggested(self, ticket_ids: Iterable[int]) -> None:
        """The same of the free ones, until `suggest_again`: whoever is refused next is offered others."""
        for position in self._positions_of(ticket_ids):
            self._replace(position, AVAILABLE, SUGGESTED)

    def suggest_again(self, seat: Place, *, rows: int) -> None:
        """Forget what was suggested around a seat, as in `runs_near`."""
        self._forget_suggested(self._layout.near(seat, rows))

    def suggest_all_again(self, price_tier_id: int) -> None:
        """Forget what was suggested of a tier."""
        self._forget_suggested(self._layout.rows_of(price_tier_id))

    def _forget_suggested(self, rows: Iterable[SeatRow]) -> None:
        for row in rows:
            if SUGGESTED in row.states_in(self._hints):
                for position in row.positions:
                    self._replace(position, SUGGESTED, AVAILABLE)

    def _positions_of(self, ticket_ids: Iterable[int]) -> list[int]:
        """Where the tickets with a seat are in the hints; one that is newer than the picture is not."""
        seats = filter(None, map(self.seat_of, ticket_ids))
        return [seat.position for seat in seats if seat.position < len(self._hints)]

    def _replace(self, position: int, hint: bytes, other: bytes) -> None:
        if self._hints[position : position + 1] == hint:
            self._hints[position] = other[0]

    def seat_of(self, ticket_id: int) -> Place | None:
        """Where a ticket's seat is, or None where it has none or is not the event's.

        The first call reads where all are, in one statement, unless that is known from an earlier picture.
        """
        return self._layout.find(ticket_id)

    @property
    def counts(self) -> Counts:
        """As the database would count its tickets. Reads where the seats are, unless that is known."""
        return self.once("counts", self._count_tickets)

    def _count_tickets(self) -> Counts:
        digits = self.snapshot.digits.encode()
        seats = []
        for (tier_id, section), ranges in layout_of(self.event_id, self.plan).positions.items():
            states = b"".join(digits[positions.start : positions.stop] for positions in ranges)
            for_sale = len(states) - states.count(BLOCKED)
            seats.append(SeatCount(section, tier_id, for_sale, states.count(AVAILABLE)))
        return Counts(self.snapshot.total, self.snapshot.available_in_tier, seats)

    @property
    def knows_its_seats(self) -> bool:
        """Whether it can say where seats are, and what is near them, without asking."""
        return kept_layout(self.event_id, self.plan, max_age=HINT_SECONDS) is not None

    @property
    def _layout(self) -> Layout:
        # Not kept here: pictures of many halls are, long after somebody looked.
        layout = kept_layout(self.event_id, self.plan, max_age=HINT_SECONDS)
        if layout is None:
            with self._turn():
                layout = layout_of(self.event_id, self.plan)
        return layout

    def _read_event(self) -> Event:
        """With the sale's facts of the picture, which the database would take longest to find out again."""
        events = Event.objects.published().with_surroundings().prefetch_related("price_tiers")
        event = events.get(pk=self.event_id)
        event.has_tickets, event.has_available = self.ticket_count > 0, self.snapshot.available > 0
        prices = [tier.price for tier in event.price_tiers.all()]
        event.price_min, event.price_max = min(prices, default=None), max(prices, default=None)
        return event


_pictures: Moments[Picture] = Moments()


def picture_of(slug: str, *, behind: float = 0.0) -> Picture:
    """The tickets of the event that the public may see. Raises `Event.DoesNotExist`.

    At most a second old, and of now where the event has few tickets. Whatever was held or given back
    `behind` seconds before it was asked for is in it, but for a rush of changes: see `events.moments`.
    Asks the database for nothing where it is kept.
    """
    return _pictures.read(slug, lambda: _take_picture(slug), behind=behind)


def large_picture_of(slug: str, *, behind: float = 0.0) -> Picture | None:
    """The same of a large hall that somebody had a picture of; None of any other, and of a draft."""
    try:
        return picture_of(slug, behind=behind) if _pictures.has_large(slug) else None
    except Event.DoesNotExist:
        return None


def counts_of(event: Event) -> Counts:
    """From the picture of a large hall; the first to look at it has one taken for all who follow."""
    picture = large_picture_of(event.slug)
    if picture is not None:
        return picture.counts
    counts = count_tickets(event)
    if counts.ticket_count > moments.SMALL_HALL:
        with suppress(Event.DoesNotExist):
            picture_of(event.slug)
    return counts


def recent_picture_of(slug: str) -> Picture:
    """The same, with a small hall kept for a moment too: for hints, which a hold need not believe."""
    return _pictures.read(slug, lambda: _take_picture(slug), keep_small=True)


def kept_picture_of(slug: str) -> Picture | None:
    """A picture for hints that somebody needed a short while ago, or None. Asks the database for nothing."""
    picture = _pictures.peek(slug, max_age=HINT_AGE)
    return picture if picture is not None and picture.knows_its_seats else None


def _take_picture(slug: str) -> Picture:
    found = execute(FIND_EVENT, {"slug": slug, "statuses": array_of(PUBLIC_STATUSES)}).fetchone()
    if found is None:
        raise Event.DoesNotExist
    event_id, most, updated_at, tier_ids = found
    return Picture(event_id, most, updated_at, take_snapshot(event_id, tier_ids))
