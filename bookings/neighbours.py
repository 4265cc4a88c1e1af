"""Choosing seats for people who only say how many: side by side, near the front, in the middle.

A choice that leaves a single seat alone between others is the last resort, as nobody buys it.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from events.layouts import Run

# How many rows before and behind a lost seat are near it, and how many still count as near.
ROWS_NEAR = 1
ROWS_STILL_NEAR = 5


class Choice(NamedTuple):
    """Seats side by side of a run, with what is against them: less is better."""

    orphans: int
    distance: float
    # Where it begins in the run.
    start: int
    quantity: int
    run: Run

    @property
    def ticket_ids(self) -> list[int]:
        return list(self.run.ticket_ids[self.start : self.start + self.quantity])

    @property
    def sides(self) -> tuple[Run, Run]:
        """What is left of the run."""
        end = self.start + self.quantity
        behind = self.run._replace(place=self.run.place + end, ticket_ids=self.run.ticket_ids[end:])
        return self.run._replace(ticket_ids=self.run.ticket_ids[: self.start]), behind


def choose_neighbours(
    runs: Iterable[Run], quantity: int, *, near: tuple[int, int] | None = None
) -> list[int] | None:
    """The ticket ids of the best `quantity` seats side by side, as `best_neighbours` has them, or None."""
    return next((best.ticket_ids for best in best_neighbours(runs, quantity, 1, near=near)), None)


def best_neighbours(
    runs: Iterable[Run], quantity: int, most: int, *, near: tuple[int, int] | None = None
) -> list[Choice]:
    """The best `quantity` seats side by side, the best once those are taken, and so on; `most` in all.

    "Best" is the fewest single seats left over, then the front rows and the middle of a row, or whatever
    is closest to `near`, a pair of row index and place; or the seat beside it, where that leaves room for
    pairs on either side. Without `near` the runs come from the front to the back, and not all are looked at.
    """
    if near is not None:
        runs = sorted(runs, key=lambda run: abs(run.row_index - near[0]))
    # The best in each of the best runs, in order.
    choices: list[Choice] = []
    # Only what is nearer than this is better; of two as near, the one that comes first.
    limit = math.inf
    for run in runs:
        to_row, to_place = _aim(run, near)
        if 2 * to_row >= limit:
            break
        if _least_distance(run, quantity, to_row, to_place) < limit:
            insort(choices, _best_choice(run, quantity, to_row, to_place), key=_faults)
            del choices[most:]
            if len(choices) == most and choices[-1].orphans == 0:
                limit = choices[-1].distance
    # Whatever is taken leaves two shorter runs.
    for number in range(most - 1):
        for run in choices[number].sides if number < len(choices) else ():
            if len(run.ticket_ids) >= quantity:
                insort(choices, _best_choice(run, quantity, *_aim(run, near)), lo=number + 1, key=_faults)
    return choices[:most]


def choose_scattered(seats: Sequence[tuple[int, int]], quantity: int) -> list[int] | None:
    """Seats that are not side by side, close to each other in the order of the hall; None if too few.

    Of each that is free its position in that order, in which they come, and its ticket.
    """
    if len(seats) < quantity:
        return None
    windows = (seats[start : start + quantity] for start in range(len(seats) - quantity + 1))
    return [ticket_id for _, ticket_id in min(windows, key=lambda window: window[-1][0] - window[0][0])]


def _aim(run: Run, near: tuple[int, int] | None) -> tuple[int, float]:
    """How many rows a run is away from what is wanted, and which place in it would be the best."""
    return (run.row_index, run.middle) if near is None else (abs(run.row_index - near[0]), near[1])


def _least_distance(run: Run, quantity: int, to_row: int, to_place: float) -> float:
    """What no choice in this run is nearer than; infinite where it has no room."""
    room = len(run.ticket_ids) - quantity
    first = run.place + (quantity - 1) / 2
    return math.inf if room < 0 else 2 * to_row + max(0.0, first - to_place, to_place - first - room)


def _faults(choice: Choice) -> tuple[int, float]:
    return choice.orphans, choice.distance


def _best_choice(run: Run, quantity: int, to_row: int, to_place: float) -> Choice:
    """The best in a run that has room."""
    last = len(run.ticket_ids) - quantity
    first = run.place + (quantity - 1) / 2

    def faults(start: int) -> tuple[int, int, float]:
        orphans = (start == 1) + (last - start == 1)
        # Most come in pairs: what they cannot fill is a single seat in the end.
        odd_sides = start % 2 + (last - start) % 2
        return orphans, odd_sides, abs(first + start - to_place)

    nearest = min(max(round(to_place - first), 0), last)
    # What is further away is no better than one of these.
    start = min(range(max(0, nearest - 3), min(last, nearest + 3) + 1), key=faults)
    orphans, _, to_middle = faults(start)
    return Choice(orphans, 2 * to_row + to_middle, start, quantity, run)
