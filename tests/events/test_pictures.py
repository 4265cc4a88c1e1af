"""The picture of an event's tickets: of now for a small hall, of a moment ago for a large one."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.test import Client

from bookings.services import Buyer, hold_tickets, release_hold
from events import layouts, moments, pictures
from events.availability import remember
from events.hall import Counts, SeatCount, Wish, count_tickets, read_hall
from events.layouts import Place
from events.models import Event, PriceTier, Seat, Ticket
from events.pictures import picture_of
from tests.factories import make_event, make_general_admission, make_seated, make_seated_event, ticket_ids

pytestmark = pytest.mark.django_db


@pytest.fixture
def all_halls_are_large(monkeypatch) -> None:
    """And time stands still, so that nothing is due for its age alone."""
    monkeypatch.setattr(moments, "SMALL_HALL", 0)
    monkeypatch.setattr(moments.time, "monotonic", lambda: 1000.0)


def block(event: Event, position: int) -> None:
    """A change of which the lock cache knows nothing."""
    Ticket.objects.filter(event=event, position=position).update(status="blocked")


def test_small_hall_is_read_each_time():
    event = make_seated_event(seats=3)
    assert picture_of(event.slug).snapshot.digits == "000"

    block(event, 1)

    assert picture_of(event.slug).snapshot.digits == "030"


@pytest.mark.usefixtures("all_halls_are_large")
def test_large_hall_is_read_once_for_many(django_assert_num_queries):
    event = make_seated_event(seats=3)
    first = picture_of(event.slug)
    assert first.event.has_available

    with django_assert_num_queries(0):
        again = picture_of(event.slug)
        assert (again.event.title, again.snapshot.digits) == (event.title, "000")

    block(event, 1)
    assert picture_of(event.slug) is first


@pytest.mark.usefixtures("all_halls_are_large")
def test_hold_and_release_are_in_the_next_picture(django_capture_on_commit_callbacks):
    event = make_seated_event(seats=3)
    picture_of(event.slug)

    with django_capture_on_commit_callbacks(execute=True):
        held = hold_tickets(event=event, ticket_ids=ticket_ids(event)[:2], buyer=Buyer())
    assert picture_of(event.slug).snapshot.digits == "110"

    with django_capture_on_commit_callbacks(execute=True):
        release_hold(booking_id=held.booking.pk)
    assert picture_of(event.slug).snapshot.digits == "000"


@pytest.mark.usefixtures("all_halls_are_large")
def test_changes_are_found_out_once_for_all_who_had_that_picture(django_capture_on_commit_callbacks):
    event = make_seated_event(seats=3)
    before = picture_of(event.slug).snapshot
    remember(before)
    with django_capture_on_commit_callbacks(execute=True):
        hold_tickets(event=event, ticket_ids=ticket_ids(event)[1:2], buyer=Buyer())
    picture = picture_of(event.slug)

    assert picture.changes_since("0123456789") is None
    assert picture.changes_since(before.version) == [(1, 1)]
    cache.clear()
    assert picture_of(event.slug).changes_since(before.version) == [(1, 1)]


def test_draft_has_no_picture():
    event = make_seated_event(status="draft")

    with pytest.raises(Event.DoesNotExist):
        picture_of(event.slug)


@pytest.mark.usefixtures("all_halls_are_large")
def test_event_that_was_taken_back_is_not_told_of_by_an_older_picture(client: Client):
    event = make_seated_event()
    picture_of(event.slug)
    Event.objects.filter(pk=event.pk).update(status="draft")

    assert client.get(f"/api/v1/events/{event.slug}/").status_code == 404


@pytest.mark.usefixtures("all_halls_are_large")
def test_programs_are_told_the_moment_of_the_picture(client: Client, django_assert_num_queries):
    event = make_seated_event(seats=3)
    path = f"/api/v1/events/{event.slug}/"
    first, first_states = client.get(path), client.get(f"{path}availability/")
    block(event, 1)

    with django_assert_num_queries(0):
        second, second_states = client.get(path), client.get(f"{path}availability/")

    assert (second.content, second_states.content) == (first.content, first_states.content)
    assert (second["ETag"], second_states["ETag"]) == (first["ETag"], first_states["ETag"])
    assert second.json()["availability"]["as_of"] == second_states.json()["as_of"]
    assert second["Cache-Control"] == "private, no-cache"


def test_runs_near_are_the_free_seats_of_the_rows_around_in_order():
    event = make_event()
    make_seated(event, rows=4, seats=3)
    make_seated(event, seats=2, name="Balcony")
    ids = ticket_ids(event)
    block(event, 7)

    picture = picture_of(event.slug)
    runs = picture.runs_near(picture.seat_of(ids[4]), 1, rows=1)

    assert [(*run[:4], list(run.ticket_ids)) for run in runs] == [
        ("Stalls", 0, 1.0, 0, ids[0:3]),
        ("Stalls", 1, 1.0, 0, ids[3:6]),
        ("Stalls", 2, 1.0, 0, ids[6:7]),
        ("Stalls", 2, 1.0, 2, ids[8:9]),
    ]


def test_aisle_parts_seats_like_one_that_is_taken():
    event = make_event()
    make_seated(event, seats=6)
    ids = ticket_ids(event)
    # From the end, so that no two have one place for a moment.
    for place in (5, 4, 3):
        Seat.objects.filter(place=place).update(place=place + 1)
    block(event, 0)

    picture = picture_of(event.slug)
    seat = picture.seat_of(ids[0])
    runs = picture.runs_near(seat, 1, rows=0)

    assert [(run.place, list(run.ticket_ids)) for run in runs] == [(1, ids[1:3]), (4, ids[3:6])]
    assert picture.runs_near(seat, 4, rows=0) == []


def test_runs_have_room_and_none_of_what_was_seen_to_be_locked():
    event = make_event()
    make_seated(event, rows=3, seats=3)
    ids = ticket_ids(event)
    block(event, 1)
    picture = picture_of(event.slug)
    seat = picture.seat_of(ids[4])

    def rows_with_room(quantity: int) -> set[int]:
        return {run.row_index for run in picture.runs_near(seat, quantity, rows=1)}

    assert [rows_with_room(quantity) for quantity in (1, 2, 3, 4)] == [{0, 1, 2}, {1, 2}, {1, 2}, set()]
    picture.note_locked([ids[4], ids[6], ids[7], ids[8]])
    assert rows_with_room(1) == {0, 1}
    assert [list(run.ticket_ids) for run in picture.runs_near(seat, 1, rows=0)] == [[ids[3]], [ids[5]]]
    assert picture.snapshot.digits == "030000000"


def test_what_was_suggested_is_not_near_until_it_is_to_be_suggested_again():
    event = make_seated_event(rows=3, seats=2)
    ids = ticket_ids(event)
    picture = picture_of(event.slug)
    seat = picture.seat_of(ids[0])

    def near(rows: int) -> list[int]:
        return [pk for run in picture.runs_near(seat, 1, rows=rows) for pk in run.ticket_ids]

    picture.note_suggested([ids[1], ids[5]])
    assert near(rows=2) == [ids[0], *ids[2:5]]
    picture.suggest_again(seat, rows=1)
    assert near(rows=2) == ids[:5]


def test_what_was_seen_to_be_locked_is_not_suggested_again():
    event = make_seated_event(seats=3)
    ids = ticket_ids(event)
    picture = picture_of(event.slug)
    seat = picture.seat_of(ids[0])

    picture.note_suggested([ids[0], ids[1]])
    picture.note_locked([ids[0], ids[2]])
    picture.note_suggested([ids[2]])
    picture.suggest_again(seat, rows=0)

    assert [list(run.ticket_ids) for run in picture.runs_near(seat, 1, rows=0)] == [[ids[1]]]


def test_only_tickets_with_a_seat_of_the_event_have_a_place():
    event, other = make_event(), make_seated_event()
    tier = make_seated(event, seats=1)
    make_general_admission(event, 1)
    seat, standing = ticket_ids(event)
    picture = picture_of(event.slug)

    assert picture.seat_of(seat) == Place(tier.pk, "Stalls", 0, 0, seat, 0)
    assert picture.seat_of(standing) is None
    assert picture.seat_of(ticket_ids(other)[0]) is None


def test_tiers_are_in_the_order_in_which_they_are_offered():
    event = make_event()
    last = make_general_admission(event, 1, name="Last")
    first = make_general_admission(event, 1, name="First")
    PriceTier.objects.filter(pk=last.pk).update(position=2)
    PriceTier.objects.filter(pk=first.pk).update(position=1)

    assert list(picture_of(event.slug).snapshot.available_in_tier) == [first.pk, last.pk]


@pytest.mark.parametrize("seats", [0, 2])
def test_picture_knows_the_sale_as_a_listing_does(seats: int):
    event = make_event()
    if seats:
        make_seated(event, seats=seats, price="12.50")
        make_general_admission(event, 1, price="7.00")
    listed = Event.objects.for_listing().get(pk=event.pk)

    pictured = picture_of(event.slug).event

    facts = ["has_tickets", "has_available", "price_min", "price_max", "sale_state"]
    assert [getattr(pictured, fact) for fact in facts] == [getattr(listed, fact) for fact in facts]


def test_picture_counts_as_the_database_does(django_capture_on_commit_callbacks):
    event = make_event()
    make_seated(event, rows=2, seats=3)
    make_general_admission(event, 4)
    make_seated(event, seats=2, name="Balcony")
    ids = ticket_ids(event)
    block(event, 1)
    block(event, 7)
    with django_capture_on_commit_callbacks(execute=True):
        hold_tickets(event=event, ticket_ids=[ids[0], ids[8], ids[10]], buyer=Buyer())

    picture, counted = picture_of(event.slug).counts, count_tickets(event)

    assert sorted(picture.seats) == sorted(counted.seats)
    assert picture.free_in_tier == counted.free_in_tier
    assert picture.ticket_count == counted.ticket_count == 10
    assert [seats[2:] for seats in sorted(picture.seats)] == [(2, 1), (5, 4)]


@pytest.mark.usefixtures("all_halls_are_large")
def test_seats_that_were_given_another_tier_are_counted_in_it():
    event = make_seated_event(seats=3)
    first = event.price_tiers.get()
    assert picture_of(event.slug).counts.seats == [("Stalls", first.pk, 3, 3)]
    other = PriceTier.objects.create(event=event, name="Late", price=40, is_seated=True, sections=["Stalls"])
    event.tickets.update(price_tier=other)
    event.save()
    pictures._pictures.clear()

    assert picture_of(event.slug).counts.seats == [("Stalls", other.pk, 3, 3)]


def test_wish_for_a_section_that_the_counts_do_not_know_yet_opens_nothing():
    event = make_seated_event(seats=3)
    elsewhere = SeatCount("Elsewhere", event.price_tiers.get().pk, for_sale=500, free=0)
    counts = Counts(500, {}, [elsewhere])

    hall = read_hall(event, counts, section="", wish=Wish(ticket_ids=ticket_ids(event)))

    assert ([section.name for section in hall.sections], hall.open_sections) == (["Elsewhere"], [])


def test_where_the_seats_are_is_known_to_the_next_pictures(django_assert_num_queries):
    event = make_seated_event(seats=3)
    first, *_, last = ticket_ids(event)
    assert picture_of(event.slug).seat_of(first)
    picture = picture_of(event.slug)

    with django_assert_num_queries(0):
        [run] = picture.runs_near(picture.seat_of(last), 1, rows=0)
        assert len(run.ticket_ids) == 3


def test_ticket_that_is_newer_than_the_picture_is_not_free(monkeypatch):
    event = make_seated_event(seats=2)
    picture = picture_of(event.slug)
    make_seated(event, seats=1, name="Balcony")
    newest = ticket_ids(event)[-1]
    layouts._layouts.clear()

    picture.note_locked([newest])
    assert picture.runs_near(picture.seat_of(newest), 1, rows=0) == []
    assert len(picture.snapshot.digits) == 2
