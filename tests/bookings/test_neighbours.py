"""Choosing seats side by side."""

from __future__ import annotations

from bookings.neighbours import SeatState, choose_neighbours, choose_scattered, free_runs


def row(pattern: str, *, row_index: int = 0, section: str = "A", first_id: int = 1) -> list[SeatState]:
    """Seats from a drawing: `o` free, `x` taken, a blank for an aisle."""
    return [
        SeatState(first_id + place, section, row_index, place, mark == "o")
        for place, mark in enumerate(pattern)
        if mark != " "
    ]


def chosen(pattern: str, quantity: int) -> str:
    ids = choose_neighbours(free_runs(row(pattern)), quantity)
    return "" if ids is None else "".join("C" if n + 1 in ids else mark for n, mark in enumerate(pattern))


def test_choice_is_in_the_middle_of_the_row():
    assert chosen("oooooooo", 2) == "oooCCooo"


def test_choice_leaves_no_single_seat_where_it_can_help_it():
    assert chosen("ooooo", 2) == "CCooo"
    assert chosen("xoooxxooxx", 2) == "xoooxxCCxx"


def test_choice_leaves_a_single_seat_rather_than_selling_nothing():
    assert chosen("xoooxx", 2) in {"xCCoxx", "xoCCxx"}


def test_choice_never_crosses_an_aisle_or_a_taken_seat():
    assert chosen("oo ooxo", 3) == ""
    assert chosen("oo ooo", 3) == "oo CCC"


def test_choice_prefers_the_front_row():
    seats = row("oooo") + row("oooo", row_index=1, first_id=11)
    assert choose_neighbours(free_runs(seats), 2) in ([1, 2], [3, 4])


def test_choice_goes_back_a_row_when_the_front_has_too_few():
    seats = row("oxox") + row("oooo", row_index=1, first_id=11)
    assert choose_neighbours(free_runs(seats), 4) == [11, 12, 13, 14]


def test_choice_near_a_seat_stays_near_it():
    assert choose_neighbours(free_runs(row("ooooooooxo")), 2, near=(0, 8)) == [7, 8]


def test_scattered_choice_is_as_close_together_as_can_be():
    assert choose_scattered(row("oxxoxox"), 2) == [4, 6]
    assert choose_scattered(row("oxx"), 2) is None
