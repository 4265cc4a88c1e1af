"""Seating plans in and out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from events import seating, seating_plan, services
from events.exceptions import InvalidPlan, SeatsInUse, TicketsTaken
from events.models import Event, PriceTier, Venue
from events.plan_reader import read_plan
from events.seating import SeatBlock
from tests.events.test_services import take
from tests.factories import make_event, make_venue


def make_seat(guid: str, x: float | str, number: Any = None, **fields: Any) -> dict[str, Any]:
    return {
        "seat_guid": guid,
        "seat_number": number if number is not None else guid,
        "category": "Best",
        "position": {"x": x, "y": 0},
    } | fields


def make_plan() -> dict[str, Any]:
    """Two zones: one with a stage above two rows, one with a single row."""
    return {
        "name": "Hall",
        "size": {"width": "600", "height": 400},
        "categories": [{"name": "Best", "color": "#ff0000"}, {"name": "Cheap"}],
        "unknown": {"is": "ignored"},
        "zones": [
            {
                "name": "Stalls",
                "zone_id": 7,
                "position": {"x": 100.1, "y": "50.2"},
                "areas": [
                    {
                        "shape": "rectangle",
                        "rectangle": {"width": 100, "height": 20},
                        "text": {
                            "text": "Main Stage",
                            "size": 16,
                            "color": "#000",
                            "position": {"x": 5, "y": 5},
                        },
                        "position": {"x": 0, "y": 200},
                        "color": "#ccc",
                        "border_color": "#000",
                        "rotation": 0,
                    }
                ],
                "rows": [
                    {
                        "row_number": "B",
                        "row_number_position": "both",
                        "position": {"x": 0, "y": 0},
                        "seats": [make_seat(f"b{n}", 20 * n, str(n), radius=9) for n in (1, 2, 3, 5, 6)],
                    },
                    {
                        "row_number": "A",
                        "position": {"x": 0, "y": 40},
                        # Out of order in the file.
                        "seats": [make_seat(f"a{n}", 20.3 * n, n) for n in (4, 1, 3, 2)],
                    },
                ],
            },
            {
                "name": "Balcony",
                "position": {"x": 0, "y": 300},
                "rows": [{"seats": [make_seat("c1", 0, "12½", category="Cheap")]}],
            },
        ],
    }


def encode(plan: object) -> bytes:
    return json.dumps(plan).encode()


def seat_rows(venue: Venue) -> list[dict[str, Any]]:
    return list(venue.seats.order_by("id").values())


def make_event_at(venue: Venue) -> Event:
    event = make_event(venue=venue, status="draft")
    PriceTier.objects.create(event=event, name="Best", price=10, is_seated=True)
    services.publish_event(event)
    return event


# --- Reading --------------------------------------------------------------------------


def test_read_plan_orders_rows_by_the_stage_and_leaves_aisles_out() -> None:
    seats = read_plan(encode(make_plan())).seats

    facts = [(s.section, s.row, s.row_index, s.number, s.place) for s in seats]
    assert sorted(facts) == [
        ("Balcony", "1", 0, "12½", 0),
        ("Stalls", "A", 0, "1", 0),
        ("Stalls", "A", 0, "2", 1),
        ("Stalls", "A", 0, "3", 2),
        ("Stalls", "A", 0, "4", 3),
        ("Stalls", "B", 1, "1", 0),
        ("Stalls", "B", 1, "2", 1),
        ("Stalls", "B", 1, "3", 2),
        ("Stalls", "B", 1, "5", 4),
        ("Stalls", "B", 1, "6", 5),
    ]


def test_read_plan_orders_rows_from_the_top_without_a_stage() -> None:
    plan = make_plan()
    del plan["zones"][0]["areas"]

    seats = read_plan(encode(plan)).seats

    assert {(seat.row, seat.row_index) for seat in seats if seat.section == "Stalls"} == {("B", 0), ("A", 1)}


def test_read_plan_adds_positions_up() -> None:
    seat = next(seat for seat in read_plan(encode(make_plan())).seats if seat.guid == "a1")

    assert (seat.x, seat.y) == (120.4, 90.2)


def test_read_plan_follows_a_vertical_row() -> None:
    plan = make_plan()
    row = plan["zones"][0]["rows"][0]
    for seat in row["seats"]:
        seat["position"] = {"x": 0, "y": seat["position"]["x"]}
    row["seats"].reverse()

    seats = [seat for seat in read_plan(encode(plan)).seats if seat.row == "B"]

    assert [seat.place for seat in seats] in ([0, 1, 3, 4, 5], [5, 4, 2, 1, 0])


def test_read_plan_tells_zones_of_one_name_apart() -> None:
    plan = make_plan()
    plan["zones"][1]["name"] = "Stalls"

    assert {seat.section for seat in read_plan(encode(plan)).seats} == {"Stalls", "Stalls (2)"}


def change(plan: Any, path: list[Any], value: Any) -> None:
    for step in path[:-1]:
        plan = plan[step]
    if value is ...:
        del plan[path[-1]]
    else:
        plan[path[-1]] = value


SEAT = ["zones", 0, "rows", 1, "seats", 2]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ([*SEAT, "category"], "VIP", "zones[0].rows[1].seats[2].category: “VIP” is not declared"),
        ([*SEAT, "seat_guid"], "b1", "zones[0].rows[1].seats[2].seat_guid: “b1” is used twice"),
        ([*SEAT, "position"], ..., "zones[0].rows[1].seats[2].position: is missing"),
        ([*SEAT, "position", "x"], "left", "zones[0].rows[1].seats[2].position.x: is not a number"),
        ([*SEAT, "position", "x"], float("nan"), "zones[0].rows[1].seats[2].position.x: is not a number"),
        ([*SEAT, "seat_number"], 1, "zones[0].rows[1].seats[2].seat_number: row A already has a seat 1"),
        ([*SEAT, "seat_number"], "", "zones[0].rows[1].seats[2].seat_number: is empty"),
        ([*SEAT, "seat_number"], "\0", "zones[0].rows[1].seats[2].seat_number: has a character"),
        ([*SEAT, "seat_number"], ["1"], "zones[0].rows[1].seats[2].seat_number: is not text"),
        (["zones", 1, "position"], ..., "zones[1].position: is missing"),
        (["zones", 1, "rows"], {}, "zones[1].rows: is not a list"),
        (["zones", 0, "areas", 0, "shape"], "star", "zones[0].areas[0].shape: “star” is not a shape we know"),
        (["zones", 1], 5, "zones[1]: is not an object"),
        (["size"], ..., "size: is missing"),
        (["categories"], ..., "categories: is missing"),
        (["zones"], ..., "zones: is missing"),
        (["name"], "x" * 201, "name: has more than 200 characters"),
    ],
)
def test_read_plan_refuses_with_the_place(path: list[Any], value: Any, message: str) -> None:
    plan = make_plan()
    change(plan, path, value)

    with pytest.raises(InvalidPlan) as refusal:
        read_plan(encode(plan))

    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize("content", [b"", b"\xff", b"{", b"[" * 100_000])
def test_read_plan_refuses_what_is_not_json(content: bytes) -> None:
    with pytest.raises(InvalidPlan, match="This is not a JSON file"):
        read_plan(content)


def test_read_plan_refuses_too_many_seats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("events.plan_reader.SEATS_AT_MOST", 9)

    with pytest.raises(
        InvalidPlan, match=r"zones\[1\]\.rows\[0\]\.seats\[0\]: the plan has more than 9 seats"
    ):
        read_plan(encode(make_plan()))


# --- In and out -----------------------------------------------------------------------


@pytest.mark.django_db
def test_import_export_import_is_stable() -> None:
    venue, other = make_venue(), make_venue()
    first = seating_plan.import_plan(venue, encode(make_plan()))
    before, exported = seat_rows(venue), seating_plan.export_json(venue)

    again = seating_plan.import_plan(venue, exported)
    seating_plan.import_plan(other, exported)

    assert (first.added, first.changed, first.removed, first.total) == (10, 0, 0, 10)
    assert (again.added, again.changed, again.removed, again.total) == (0, 0, 0, 10)
    assert seat_rows(venue) == before
    assert seating_plan.export_json(venue) == exported
    assert seating_plan.export_json(other) == exported


@pytest.mark.django_db
def test_export_keeps_what_the_plan_says_beyond_seats() -> None:
    venue = make_venue()
    seating_plan.import_plan(venue, encode(make_plan()))

    plan = seating_plan.export_plan(venue)

    stalls = plan["zones"][0]
    assert (plan["name"], plan["size"]) == ("Hall", {"width": 600, "height": 400})
    assert plan["categories"] == [{"name": "Best", "color": "#ff0000"}, {"name": "Cheap"}]
    assert (stalls["zone_id"], stalls["position"]) == ("7", {"x": 100.1, "y": 50.2})
    assert stalls["areas"] == [
        {
            "shape": "rectangle",
            "color": "#ccc",
            "border_color": "#000",
            "rotation": 0,
            "position": {"x": 0, "y": 200},
            "text": {"text": "Main Stage", "position": {"x": 5, "y": 5}, "color": "#000", "size": 16},
            "rectangle": {"width": 100, "height": 20},
        }
    ]
    assert stalls["rows"][0]["row_number_position"] == "both"
    assert stalls["rows"][0]["seats"][0] == {
        "seat_guid": "b1",
        "seat_number": "1",
        "category": "Best",
        "position": {"x": 20, "y": 0},
        "radius": 9,
    }
    assert "row_number" not in plan["zones"][1]["rows"][0]


@pytest.mark.django_db
def test_seats_from_the_form_can_be_exported_and_read() -> None:
    venue, other = make_venue(), make_venue()
    seating.add_seats(venue, SeatBlock(section="Box", rows=["A", "B"], seats_per_row=3, aisles_after=[1]))

    seating_plan.import_plan(other, seating_plan.export_json(venue))

    facts = ("section", "row", "number", "row_index", "place", "x", "y")
    assert list(other.seats.values_list(*facts)) == list(venue.seats.values_list(*facts))


@pytest.mark.django_db
def test_import_again_updates_seats_by_their_guid() -> None:
    venue = make_venue()
    seating_plan.import_plan(venue, encode(make_plan()))
    ids = dict(venue.seats.values_list("guid", "id"))
    plan = make_plan()
    seats = plan["zones"][0]["rows"][0]["seats"]
    # Two seats change numbers, one goes, one comes.
    seats[0]["seat_number"], seats[1]["seat_number"] = "2", "1"
    seats[4]["seat_guid"] = "b7"

    done = seating_plan.import_plan(venue, encode(plan))

    assert (done.added, done.changed, done.removed) == (1, 2, 1)
    after = dict(venue.seats.values_list("guid", "id"))
    assert {guid: after[guid] for guid in ids if guid != "b6"} == {g: i for g, i in ids.items() if g != "b6"}
    assert set(after) - set(ids) == {"b7"}
    assert venue.seats.get(guid="b1").number == "2"


@pytest.mark.django_db
def test_import_refuses_to_drop_a_taken_seat_and_changes_nothing() -> None:
    venue = make_venue()
    seating_plan.import_plan(venue, encode(make_plan()))
    event = make_event_at(venue)
    take(event.tickets.get(seat__guid="b6"))
    before = seat_rows(venue)
    plan = make_plan()
    plan["zones"][0]["rows"][0]["seats"].pop()

    with pytest.raises(TicketsTaken, match="Stalls, row B, seat 6"):
        seating_plan.import_plan(venue, encode(plan))

    assert seat_rows(venue) == before
    assert event.tickets.count() == 9


@pytest.mark.django_db
def test_import_refuses_to_drop_a_seat_that_was_held_once() -> None:
    venue = make_venue()
    seating_plan.import_plan(venue, encode(make_plan()))
    take(make_event_at(venue).tickets.get(seat__guid="b6"), "reserved", minutes=-1)
    plan = make_plan()
    plan["zones"][0]["rows"][0]["seats"].pop()

    with pytest.raises(SeatsInUse, match="Stalls, row B, seat 6"):
        seating_plan.import_plan(venue, encode(plan))

    assert venue.seats.count() == 10


@pytest.mark.django_db
def test_import_drops_a_seat_with_its_unsold_ticket() -> None:
    venue = make_venue()
    seating_plan.import_plan(venue, encode(make_plan()))
    event = make_event_at(venue)
    plan = make_plan()
    plan["zones"][0]["rows"][0]["seats"].pop()

    assert seating_plan.import_plan(venue, encode(plan)).removed == 1

    assert event.tickets.count() == 8


@pytest.mark.django_db
def test_import_refuses_a_file_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seating_plan, "BYTES_AT_MOST", 1024 * 1024)

    with pytest.raises(InvalidPlan, match="The file is larger than 1 MB"):
        seating_plan.import_plan(make_venue(), b" " * (1024 * 1024 + 1))
