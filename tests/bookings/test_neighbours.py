"""Choosing seats side by side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookings.neighbours import best_neighbours, choose_neighbours, choose_scattered
from events.layouts import AVAILABLE, BLOCKED, Run, SeatRow


def row(pattern: str, *, row_index: int = 0, section: str = "A", first_id: int = 1) -> list[Run]:
    """The free runs of a drawing: `o` free, `x` taken, a blank for an aisle."""
    places = [place for place, mark in enumerate(pattern) if mark != " "]
    ids = [first_id + place for place in places]
    states = b"".join(AVAILABLE if pattern[place] == "o" else BLOCKED for place in places)
    seats = SeatRow(1, section, row_index, ids, places, range(len(places)), is_straight=True)
    return list(seats.free_runs(states))


def chosen(pattern: str, quantity: int) -> str:
    ids = choose_neighbours(row(pattern), quantity)
    return "" if ids is None else "".join("C" if n + 1 in ids else mark for n, mark in enumerate(pattern))


def test_choice_is_in_the_middle_of_the_row():
    assert chosen("oooooooo", 4) == "ooCCCCoo"
    assert chosen("ooooo", 1) == "ooCoo"


def test_choice_is_beside_the_middle_where_that_leaves_room_for_pairs():
    assert chosen("oooooooo", 2) == "ooCCoooo"
    assert chosen("ooooooooo", 3) == "ooCCCoooo"


@pytest.mark.parametrize("seats", [8, 20, 21, 50])
def test_row_is_sold_whole_to_pairs(seats):
    left = "o" * seats
    while "oo" in left:
        left = chosen(left, 2).replace("C", "x")

    assert left.count("o") == seats % 2


def test_choice_leaves_no_single_seat_where_it_can_help_it():
    assert chosen("ooooo", 2) == "CCooo"
    assert chosen("xoooxxooxx", 2) == "xoooxxCCxx"


def test_choice_leaves_a_single_seat_rather_than_selling_nothing():
    assert chosen("xoooxx", 2) in {"xCCoxx", "xoCCxx"}


def test_choice_never_crosses_an_aisle_or_a_taken_seat():
    assert chosen("oo ooxo", 3) == ""
    assert chosen("oo ooo", 3) == "oo CCC"


def test_choice_prefers_the_front_row():
    runs = row("oooo") + row("oooo", row_index=1, first_id=11)
    assert choose_neighbours(runs, 2) in ([1, 2], [3, 4])


def test_choice_goes_back_a_row_when_the_front_has_too_few():
    runs = row("oxox") + row("oooo", row_index=1, first_id=11)
    assert choose_neighbours(runs, 4) == [11, 12, 13, 14]


def test_choice_near_a_seat_stays_near_it():
    assert choose_neighbours(row("ooooooooxo"), 2, near=(0, 8)) == [7, 8]


def test_choice_looks_no_further_back_than_it_must():
    looked_at = []

    def rows():
        for row_index in range(50):
            looked_at.append(row_index)
            yield from row("oooooooo", row_index=row_index, first_id=8 * row_index)

    assert choose_neighbours(rows(), 4) == [2, 3, 4, 5]
    assert looked_at == [0, 1]


def test_choice_goes_to_the_last_row_rather_than_leave_a_single_seat():
    front = [run for index in range(20) for run in row("ooo", row_index=index, first_id=10 * index)]
    assert choose_neighbours(front + row("oo", row_index=20, first_id=200), 2) == [200, 201]


@st.composite
def halls(draw) -> list[Run]:
    drawn = draw(st.lists(st.text(alphabet="oox ", min_size=1, max_size=14).filter(str.strip), max_size=6))
    rows = [row(marks, row_index=index, first_id=100 * index) for index, marks in enumerate(drawn)]
    return [run for runs in rows for run in runs]


places = st.tuples(st.integers(0, 6), st.integers(0, 14))


@given(runs=halls(), quantity=st.integers(1, 4), near=st.none() | places)
def test_choice_is_the_best_of_all_there_are(runs, quantity, near):
    best = best_of_all(runs, quantity, near)

    assert choose_neighbours(iter(runs), quantity, near=near) == (best and best[-1])


@given(runs=halls(), quantity=st.integers(1, 4), most=st.integers(1, 8))
def test_choices_are_each_the_best_once_those_before_it_are_taken(runs, quantity, most):
    found = best_neighbours(iter(runs), quantity, most)

    left = list(runs)
    for choice in found:
        assert choice[:2] == best_of_all(left, quantity, None)[:2]
        left.remove(choice.run)
        left += choice.sides
        seats = sorted([*choice.ticket_ids, *(pk for side in choice.sides for pk in side.ticket_ids)])
        assert seats == choice.run.ticket_ids
    assert len(found) == most or best_of_all(left, quantity, None) is None


def best_of_all(runs: list[Run], quantity: int, near: tuple[int, int] | None) -> tuple | None:
    """The best of every run, all of whose choices are compared, and of those the best.

    The single seats that it leaves, its distance, what tells it from one as good, and its tickets.
    """
    best = []
    for run in runs:
        to_row, to_place = (0, run.middle) if near is None else near
        rows = abs(run.row_index - to_row)
        choices = []
        for start in range(len(run.ticket_ids) - quantity + 1):
            sides = [start, len(run.ticket_ids) - quantity - start]
            to_middle = abs(run.place + start + (quantity - 1) / 2 - to_place)
            choices.append((sides.count(1), sum(side % 2 for side in sides), to_middle, start))
        if choices:
            orphans, _, to_middle, start = min(choices)
            ids = run.ticket_ids[start : start + quantity]
            best.append((orphans, 2 * rows + to_middle, rows, run.row_index, run.place, ids))
    return min(best, default=None)


def test_scattered_choice_is_as_close_together_as_can_be():
    assert choose_scattered([(0, 10), (3, 20), (5, 30)], 2) == [20, 30]
    assert choose_scattered([(0, 10)], 2) is None
