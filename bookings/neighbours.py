"""Choosing seats for people who only say how many: side by side, near the front, in the middle.

A choice that leaves a single seat alone between others is the last resort, as nobody buys it.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from events.layouts import AVAILABLE, BLOCKED, Run, find_runs
from events.models import PriceTier
from events.querysets import current_status

# How many rows before and behind a lost seat are near it, and how many still count as near.
ROWS_NEAR = 1
ROWS_STILL_NEAR = 5


class SeatState(NamedTuple):
    """A seat that is sold, and whether it is free; `place` counts along the row, aisles leave a gap."""

    ticket_id: int
    section: str
    row_index: int
    place: int
    is_free: bool


class Choice(NamedTuple):
    """Seats side by side, from `place` on, with what is against them; the smallest is the best."""

    orphans: int
    distance: float
    row_index: int
    section: str
    place: int
    run: Run

    def ticket_ids(self, quantity: int) -> list[int]:
        start = self.place - self.run.place
        return list(self.run.ticket_ids[start : start + quantity])


def free_seats(tier: PriceTier) -> list[SeatState]:
    """Every seat of the tier in the order of its rows, free or not."""
    rows = (
        tier.tickets.filter(seat__isnull=False)
        .order_by("seat__section", "seat__row_index", "seat__place")
        .values_list("id", "seat__section", "seat__row_index", "seat__place", current_status())
    )
    return [
        SeatState(ticket_id, section, row_index, place, status == "available")
        for ticket_id, section, row_index, place, status in rows
    ]


def without_locked(seats: Sequence[SeatState], locked: Collection[int]) -> list[SeatState]:
    """The same seats; those that the cache says are locked are not free."""
    return [
        seat._replace(is_free=False) if seat.is_free and seat.ticket_id in locked else seat for seat in seats
    ]


def free_runs(seats: Sequence[SeatState]) -> Iterator[Run]:
    """The free ones among all seats, which are in the order of section, row and place, by how they stand."""
    for (section, row_index), row in itertools.groupby(
        seats, key=lambda seat: (seat.section, seat.row_index)
    ):
        in_row = list(row)
        states = b"".join(AVAILABLE if seat.is_free else BLOCKED for seat in in_row)
        places, ids = [seat.place for seat in in_row], [seat.ticket_id for seat in in_row]
        yield from find_runs(section, row_index, places, ids, states)


def choose_neighbours(
    runs: Iterable[Run], quantity: int, *, near: tuple[int, int] | None = None, among_best: int = 1
) -> list[int] | None:
    """The ticket ids of the best `quantity` seats side by side in these runs, or None.

    "Best" is the fewest single seats left over, then the front rows and the middle of a row, or whatever
    is closest to `near`, a pair of row index and place. With `among_best` above one, a random one of
    that many best.
    """
    choices: list[Choice] = []
    for run in runs if near is None else sorted(runs, key=lambda run: abs(run.row_index - near[0])):
        if near is not None and len(choices) == among_best and choices[-1] < _best_of(run, near):
            break
        choices = heapq.nsmallest(among_best, itertools.chain(choices, _choices(run, quantity, near)))
    if not choices:
        return None
    return random.choice(choices).ticket_ids(quantity)  # noqa: S311  # Spreads buyers; no secret.


def choose_scattered(seats: Sequence[SeatState], quantity: int) -> list[int] | None:
    """Free seats that are not side by side, close to each other in the plan's order; None if too few."""
    free = [seat.ticket_id for seat in seats if seat.is_free]
    if len(free) < quantity:
        return None
    index = {seat.ticket_id: number for number, seat in enumerate(seats)}
    windows = (free[start : start + quantity] for start in range(len(free) - quantity + 1))
    return min(windows, key=lambda window: index[window[-1]] - index[window[0]])


def _best_of(run: Run, near: tuple[int, int]) -> tuple[int, int]:
    """What no choice in this run's row, or in one that is further away, is better than."""
    return 0, 2 * abs(run.row_index - near[0])


def _choices(run: Run, quantity: int, near: tuple[int, int] | None) -> Iterator[Choice]:
    row_index, to_row, to_place = run.row_index, run.row_index, run.middle
    if near is not None:
        to_row, to_place = abs(row_index - near[0]), near[1]
    last = len(run.ticket_ids) - quantity
    for start in range(last + 1):
        place = run.place + start
        orphans = (start == 1) + (last - start == 1)
        distance = 2 * to_row + abs(place + (quantity - 1) / 2 - to_place)
        yield Choice(orphans, distance, row_index, run.section, place, run)
