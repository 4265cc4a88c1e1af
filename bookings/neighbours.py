"""Choosing seats for people who only say how many: side by side, near the front, in the middle.

A choice that leaves a single seat alone between others is the last resort, as nobody buys it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from events.models import PriceTier
from events.pictures import SeatState
from events.querysets import current_status

# How many rows before and behind a lost seat are near it, and how many still count as near.
ROWS_NEAR = 1
ROWS_STILL_NEAR = 5


class Choice(NamedTuple):
    """Seats side by side, with what is against them; the smallest is the best."""

    orphans: int
    distance: float
    row_index: int
    section: str
    ticket_ids: tuple[int, ...]


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


def choose_neighbours(
    seats: Sequence[SeatState], quantity: int, *, near: tuple[int, int] | None = None, among_best: int = 1
) -> list[int] | None:
    """The ticket ids of the best `quantity` free seats side by side, or None.

    `seats` must be in the order of section, row and place. "Best" is the fewest single seats left
    over, then the front rows and the middle of a row, or whatever is closest to `near`, a pair
    of row index and place. With `among_best` above one, a random one of that many best.
    """
    choices: list[Choice] = []
    for row in _rows(seats, near):
        if near is not None and len(choices) == among_best and choices[-1] < _best_of(row, near):
            break
        choices = sorted([*choices, *_choices(row, quantity, near)])[:among_best]
    if not choices:
        return None
    return list(random.choice(choices).ticket_ids)  # noqa: S311  # Spreads buyers; no secret.


def choose_scattered(seats: Sequence[SeatState], quantity: int) -> list[int] | None:
    """Free seats that are not side by side, close to each other in the plan's order; None if too few."""
    free = [seat.ticket_id for seat in seats if seat.is_free]
    if len(free) < quantity:
        return None
    index = {seat.ticket_id: number for number, seat in enumerate(seats)}
    windows = (free[start : start + quantity] for start in range(len(free) - quantity + 1))
    return min(windows, key=lambda window: index[window[-1]] - index[window[0]])


def _rows(seats: Sequence[SeatState], near: tuple[int, int] | None) -> list[list[SeatState]]:
    """The seats by their rows, those that are closest to `near` first."""
    by_row = itertools.groupby(seats, key=lambda seat: (seat.section, seat.row_index))
    rows = [list(row) for _, row in by_row]
    if near is not None:
        rows.sort(key=lambda row: abs(row[0].row_index - near[0]))
    return rows


def _best_of(row: Sequence[SeatState], near: tuple[int, int]) -> Choice:
    """What no choice of this row, or of one that is further away, is better than."""
    return Choice(0, 2 * abs(row[0].row_index - near[0]), 0, "", ())


def _choices(row: Sequence[SeatState], quantity: int, near: tuple[int, int] | None) -> Iterator[Choice]:
    section, row_index = row[0].section, row[0].row_index
    middle = (row[0].place + row[-1].place) / 2
    for run in _runs(row):
        for start in range(len(run) - quantity + 1):
            window = run[start : start + quantity]
            centre = (window[0].place + window[-1].place) / 2
            if near is None:
                distance = 2 * row_index + abs(centre - middle)
            else:
                distance = 2 * abs(row_index - near[0]) + abs(centre - near[1])
            left_over = (start, len(run) - quantity - start)
            yield Choice(
                left_over.count(1), distance, row_index, section, tuple(seat.ticket_id for seat in window)
            )


def _runs(row: Sequence[SeatState]) -> Iterator[list[SeatState]]:
    """The stretches of free seats without a gap between them."""
    run: list[SeatState] = []
    for seat in row:
        if run and (not seat.is_free or seat.place != run[-1].place + 1):
            yield run
            run = []
        if seat.is_free:
            run.append(seat)
    if run:
        yield run
