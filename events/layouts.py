"""Where the seats of an event's tickets are, which pictures of the event share.

A process knows halls of hundreds of thousands of seats, so that each takes a few numbers in an array
and no object of its own. Whether a seat is free is not decided by it: a hold asks the rows. Which seats stand
side by side is, for whoever leaves the choice to the box office.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from events.availability import DIGITS
from events.models import Ticket
from events.statements import execute

# When the event was last changed, and its number of positions.
Plan = tuple[datetime, int]

AVAILABLE = DIGITS[Ticket.Status.AVAILABLE].encode()
BLOCKED = DIGITS[Ticket.Status.BLOCKED].encode()
FREE = re.compile(AVAILABLE + b"+")
# Read again when the event is changed, and this often: a changed plan of the venue moves seats too.
LAYOUT_SECONDS = 60
# To suggest or to choose an older one does, so that nobody waits: whoever is shown numbers has it read.
HINT_SECONDS = 2 * LAYOUT_SECONDS
# So many seats are kept in all, at 40 to 60 bytes each in rows of twenty or more.
LAYOUT_SEATS = 500_000

# A row of a hall for each row of the answer, so that it is a hundredth as many.
READ_ROWS = """
    SELECT ticket.price_tier_id, seat.section, seat.row_index,
        array_agg(ticket.id ORDER BY seat.place, ticket.id),
        array_agg(seat.place ORDER BY seat.place, ticket.id),
        array_agg(ticket.position ORDER BY seat.place, ticket.id)
    FROM events_ticket AS ticket JOIN events_seat AS seat ON seat.id = ticket.seat_id
    WHERE ticket.event_id = %(event)s::bigint
    GROUP BY ticket.price_tier_id, seat.section, seat.row_index
"""


class Place(NamedTuple):
    """Where a ticket's seat is; and the ticket's place in `Snapshot.digits`."""

    price_tier_id: int
    section: str
    row_index: int
    place: int
    ticket_id: int
    position: int


class Run(NamedTuple):
    """Free seats side by side in one row, the first at `place`, in its order."""

    section: str
    row_index: int
    # Of all its tier's seats in the row, in places.
    middle: float
    place: int
    ticket_ids: Sequence[int]


class SeatRow(NamedTuple):
    """The seats of one tier in one row: of each its numbers, in the order of the row."""

    price_tier_id: int
    section: str
    row_index: int
    ticket_ids: array[int]
    places: array[int]
    positions: array[int]
    # Whether they stand side by side in `Snapshot.digits` too, as they mostly do.
    is_straight: bool

    def find(self, ticket_id: int) -> Place:
        """The seat of a ticket that is in the row."""
        index = self.ticket_ids.index(ticket_id)
        return Place(*self[:3], self.places[index], ticket_id, self.positions[index])

    def states_in(self, digits: bytearray) -> bytes:
        """The digit of each seat. A ticket that was made after the picture is not in it, and kept back."""
        if self.is_straight:
            return bytes(digits[self.positions[0] : self.positions[-1] + 1]).ljust(
                len(self.positions), BLOCKED
            )
        return b"".join(digits[position : position + 1] or BLOCKED for position in self.positions)

    def free_seats(self, states: bytes) -> Iterator[tuple[int, int]]:
        """The position and the ticket of each that is free, where these are all seats' digits."""
        is_free = (digit == AVAILABLE[0] for digit in states)
        return itertools.compress(zip(self.positions, self.ticket_ids, strict=True), is_free)

    def free_runs(self, states: bytes) -> Iterator[Run]:
        """The same by how they stand side by side; an aisle parts them like one that is taken."""
        middle = (self.places[0] + self.places[-1]) / 2
        for found in FREE.finditer(states):
            start, stop = found.span()
            while start < stop:
                end = self._end_of_run(start, stop)
                yield Run(
                    self.section, self.row_index, middle, self.places[start], self.ticket_ids[start:end]
                )
                start = end

    def _end_of_run(self, start: int, stop: int) -> int:
        """Behind the last seat, `stop` at the latest, up to which no place is left out."""
        places = self.places
        # No two seats have one place.
        if places[stop - 1] - places[start] == stop - 1 - start:
            return stop
        return next(index for index in range(start + 1, stop) if places[index] != places[index - 1] + 1)


class Layout:
    """Where the seats of an event's tickets are. General admission has none, and is not in it."""

    def __init__(self, event_id: int) -> None:
        """Reads them all, in one statement."""
        self._rows: list[SeatRow] = []
        # The positions of each tier's seats in each section.
        self.positions: dict[tuple[int, str], list[range]] = {}
        found = execute(READ_ROWS, {"event": str(event_id)}).fetchall()
        # No two have the same tier, section and index.
        for tier_id, section, row_index, ticket_ids, places, positions in sorted(found):
            ranges = _ranges(positions)
            self.positions.setdefault((tier_id, section), []).extend(ranges)
            numbers = array("q", ticket_ids), array("i", places), array("i", positions)
            self._rows.append(SeatRow(tier_id, section, row_index, *numbers, is_straight=len(ranges) == 1))
        self._row_at = {row[:3]: row for row in self._rows}
        self._rows_of: dict[int, list[SeatRow]] = {}
        for row in sorted(self._rows, key=lambda row: row.row_index):
            self._rows_of.setdefault(row.price_tier_id, []).append(row)
        # The tickets in the order of their ids, and in which row each is.
        pairs = sorted((pk, number) for number, row in enumerate(self._rows) for pk in row.ticket_ids)
        self._ticket_ids = array("q", (pk for pk, _ in pairs))
        self._row_numbers = array("i", (number for _, number in pairs))

    def __len__(self) -> int:
        """How many seats there are."""
        return len(self._ticket_ids)

    def find(self, ticket_id: int) -> Place | None:
        """The seat of a ticket, or None where it has none or is not the event's."""
        index = bisect_left(self._ticket_ids, ticket_id)
        if index == len(self) or self._ticket_ids[index] != ticket_id:
            return None
        return self._rows[self._row_numbers[index]].find(ticket_id)

    def rows_of(self, price_tier_id: int) -> Sequence[SeatRow]:
        """The rows of a tier, from the front to the back."""
        return self._rows_of.get(price_tier_id, ())

    def near(self, seat: Place, rows: int) -> Iterator[SeatRow]:
        """The row of the seat and `rows` before and behind it, of its tier and section."""
        for row_index in range(seat.row_index - rows, seat.row_index + rows + 1):
            if row := self._row_at.get((seat.price_tier_id, seat.section, row_index)):
                yield row


def _ranges(positions: Iterable[int]) -> list[range]:
    """The same numbers in the same order, as ranges of those that follow each other."""
    ranges: list[range] = []
    for position in positions:
        if ranges and ranges[-1].stop == position:
            ranges[-1] = range(ranges[-1].start, position + 1)
        else:
            ranges.append(range(position, position + 1))
    return ranges


# By the event, the one read last at the end: when it was read, of which plan, and the layout.
_layouts: OrderedDict[int, tuple[float, Plan, Layout]] = OrderedDict()
_lock = threading.Lock()


def kept_layout(event_id: int, plan: Plan, *, max_age: float = LAYOUT_SECONDS) -> Layout | None:
    """The event's layout, if it was read no more than so many seconds ago and is of this plan."""
    read_at, of_plan, layout = _layouts.get(event_id) or (0.0, None, None)
    is_current = of_plan == plan and time.monotonic() - read_at < max_age
    return layout if is_current else None


def layout_of(event_id: int, plan: Plan) -> Layout:
    """The event's layout, which is read unless it is kept."""
    layout = kept_layout(event_id, plan)
    if layout is None:
        layout = Layout(event_id)
        with _lock:
            _layouts.pop(event_id, None)
            _layouts[event_id] = (time.monotonic(), plan, layout)
            # One without seats counts too: there is no end of those.
            while len(_layouts) > 1 and sum(1 + len(kept) for _, _, kept in _layouts.values()) > LAYOUT_SEATS:
                _layouts.popitem(last=False)
    return layout
