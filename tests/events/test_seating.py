"""Seats made from a form, and sections taken away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from events import seating, services
from events.exceptions import SeatsCollide, SeatsInUse, TicketsTaken
from events.models import Seat
from events.seating import SeatBlock
from tests.events.test_services import make_hall, take
from tests.factories import make_venue

BLOCK = SeatBlock(section="Stalls", rows=["A", "B"], seats_per_row=4, aisles_after=[2], category="Best")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("3", ["A", "B", "C"]),
        ("Y-AB", ["Y", "Z", "AA", "AB"]),
        ("9-11", ["9", "10", "11"]),
        ("A, C , 12½", ["A", "C", "12½"]),
    ],
)
def test_read_rows_understands(text: str, rows: list[str]) -> None:
    assert seating.read_rows(text) == rows


def test_read_rows_goes_on_after_z() -> None:
    assert seating.read_rows("54")[25:] == ["Z", *(f"A{chr(65 + n)}" for n in range(26)), "BA", "BB"]


@pytest.mark.parametrize("text", ["", "0", "1001", "9-3", "C-A", "A, A", "x" * 41, "999999", "AAA-ZZZ"])
def test_read_rows_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"There must be between 1 and 1000 rows\.|Each row needs a name"):
        seating.read_rows(text)


@pytest.mark.django_db
def test_add_seats_numbers_from_the_left_and_leaves_the_aisle_out() -> None:
    venue = make_venue()

    assert seating.add_seats(venue, replace(BLOCK, accessible=["A1", "B-4"])) == 8

    facts = venue.seats.order_by("row_index", "place").values_list(
        "row", "number", "row_index", "place", "is_accessible", "category"
    )
    assert list(facts) == [
        ("A", "1", 0, 0, True, "Best"),
        ("A", "2", 0, 1, False, "Best"),
        ("A", "3", 0, 3, False, "Best"),
        ("A", "4", 0, 4, False, "Best"),
        ("B", "1", 1, 0, False, "Best"),
        ("B", "2", 1, 1, False, "Best"),
        ("B", "3", 1, 3, False, "Best"),
        ("B", "4", 1, 4, True, "Best"),
    ]


@pytest.mark.django_db
def test_add_seats_numbers_odd_from_the_right() -> None:
    venue = make_venue()

    seating.add_seats(venue, replace(BLOCK, rows=["A"], step=2, is_numbered_from_right=True))

    assert list(venue.seats.order_by("x").values_list("number", flat=True)) == ["7", "5", "3", "1"]


@pytest.mark.django_db
def test_add_seats_puts_more_rows_behind_and_other_sections_below() -> None:
    venue = make_venue()
    seating.add_seats(venue, BLOCK)

    seating.add_seats(venue, replace(BLOCK, rows=["C"]))
    seating.add_seats(venue, replace(BLOCK, section="Balcony"))

    rows = venue.seats.filter(place=0).order_by("y").values_list("section", "row", "row_index", "y")
    assert list(rows) == [
        ("Stalls", "A", 0, 0),
        ("Stalls", "B", 1, 35),
        ("Stalls", "C", 2, 70),
        ("Balcony", "A", 0, 140),
        ("Balcony", "B", 1, 175),
    ]


@pytest.mark.django_db
def test_add_seats_refuses_rows_that_exist() -> None:
    venue = make_venue()
    seating.add_seats(venue, BLOCK)

    with pytest.raises(SeatsCollide, match=r"“Stalls” already has these rows: B\."):
        seating.add_seats(venue, replace(BLOCK, rows=["B", "C"]))

    assert venue.seats.count() == 8


@pytest.mark.django_db
def test_add_seats_refuses_an_accessible_seat_that_is_not_made() -> None:
    with pytest.raises(SeatsCollide, match=r"not among the new ones: A9\."):
        seating.add_seats(make_venue(), replace(BLOCK, accessible=["A1", "A9"]))


@pytest.mark.django_db
def test_add_seats_refuses_an_id_that_a_plan_uses() -> None:
    venue = make_venue()
    Seat.objects.create(
        venue=venue, guid="Stalls-A-1", section="Old", row="1", number="1", row_index=0, place=0
    )

    with pytest.raises(SeatsCollide, match="exist already, under other names"):
        seating.add_seats(venue, BLOCK)


@pytest.mark.django_db
def test_remove_section_takes_unsold_tickets_along() -> None:
    event = make_hall()
    services.publish_event(event)

    assert seating.remove_section(event.venue, "Stalls") == 6

    assert set(event.venue.seats.values_list("section", flat=True)) == {"Balcony"}
    assert event.tickets.count() == 16


@pytest.mark.django_db
def test_remove_section_refuses_seats_that_somebody_has_or_had() -> None:
    event = make_hall()
    services.publish_event(event)
    take(event.tickets.get(position=0))
    take(event.tickets.get(position=6), "reserved", minutes=-1)

    with pytest.raises(TicketsTaken, match="Stalls, row A, seat 1"):
        seating.remove_section(event.venue, "Stalls")
    with pytest.raises(
        SeatsInUse, match="1 seat was held or sold before and must stay: Balcony, row A, seat 1"
    ):
        seating.remove_section(event.venue, "Balcony")

    assert (event.venue.seats.count(), event.tickets.count()) == (12, 22)
    assert event.tickets.get(position=6).status == "reserved"
