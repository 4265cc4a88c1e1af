"""Where the seats of an event's tickets are, as the database has them."""

from __future__ import annotations

import pytest

from events import layouts
from events.layouts import Layout, Place, kept_layout, layout_of
from events.models import PriceTier
from events.pictures import picture_of
from tests.events.clock import Clock
from tests.factories import make_event, make_general_admission, make_seated, make_seated_event, ticket_ids

pytestmark = pytest.mark.django_db


def test_finds_every_seat_where_the_database_has_it():
    event = make_event()
    make_seated(event, rows=3, seats=4)
    make_general_admission(event, 2)
    make_seated(event, rows=2, seats=3, name="Balcony")
    # Every other seat of the stalls is dearer, so that no row is of one tier.
    dear = PriceTier.objects.create(event=event, name="Dear", price=40, is_seated=True, sections=["Stalls"])
    event.tickets.filter(seat__section="Stalls", seat__place__in=[1, 3]).update(price_tier=dear)
    columns = ("price_tier_id", "seat__section", "seat__row_index", "seat__place", "id", "position")
    seated = event.tickets.filter(seat__isnull=False).values_list(*columns)

    layout = Layout(event.pk)

    assert len(layout) == 18
    assert {layout.find(place.ticket_id) for place in map(Place._make, seated)} == set(seated)
    standing = event.tickets.get(seat=None, position=12)
    assert layout.find(standing.pk) is None
    assert layout.find(0) is None
    assert layout.find(standing.pk + 1000) is None


def test_rows_near_are_of_the_tier_and_section_alone():
    event = make_event()
    make_seated(event, rows=4, seats=2)
    make_seated(event, rows=4, seats=2, name="Balcony")
    ids = ticket_ids(event)
    layout = Layout(event.pk)

    rows = list(layout.near(layout.find(ids[2]), 1))

    assert [list(row.ticket_ids) for row in rows] == [ids[0:2], ids[2:4], ids[4:6]]


def test_seats_of_each_tier_are_found_in_the_digits():
    event = make_event()
    make_seated(event, rows=2, seats=2)
    make_general_admission(event, 1)
    make_seated(event, seats=2, name="Balcony")
    stalls, balcony = PriceTier.objects.filter(event=event, is_seated=True).order_by("id")

    positions = Layout(event.pk).positions

    found = {tier: [list(some) for some in ranges] for (tier, _), ranges in positions.items()}
    assert found == {stalls.pk: [[0, 1], [2, 3]], balcony.pk: [[5, 6]]}


def test_reads_a_hall_in_one_query(django_assert_num_queries):
    event = make_seated_event(rows=5, seats=5)

    with django_assert_num_queries(1):
        assert len(Layout(event.pk)) == 25


@pytest.fixture
def crooked() -> Layout:
    """Three seats in a row, of which the first was made last and stands last in the digits."""
    event = make_event()
    make_seated(event, seats=3)
    make_general_admission(event, 1)
    event.tickets.filter(position=0).update(position=4)
    return Layout(event.pk)


def test_states_of_a_row_are_in_its_order_wherever_they_stand_in_the_digits(crooked: Layout):
    [row] = crooked.near(crooked.find(min(crooked._ticket_ids)), 0)

    assert row.states_in(bytearray(b"312 0")) == b"012"
    # The picture is older than the ticket.
    assert row.states_in(bytearray(b"312 ")) == b"312"


def test_ticket_that_is_newer_than_the_picture_is_kept_back():
    layout = Layout(make_seated_event(seats=3).pk)
    [row] = layout.near(layout.find(min(layout._ticket_ids)), 0)

    assert row.states_in(bytearray(b"01")) == b"013"


def test_layout_is_kept_for_its_plan_and_a_while(clock: Clock):
    event = make_seated_event()
    plan, other = (event.updated_at, 10), (event.updated_at, 11)
    layout = layout_of(event.pk, plan)

    clock.now += layouts.LAYOUT_SECONDS - 1
    assert layout_of(event.pk, plan) is layout
    assert kept_layout(event.pk, other) is None
    clock.now += 1
    assert kept_layout(event.pk, plan) is None


def test_older_layout_does_for_hints_and_not_for_numbers(clock: Clock, django_assert_num_queries):
    event = make_seated_event()
    [first, *_] = ticket_ids(event)
    picture = picture_of(event.slug)
    assert not picture.knows_its_seats
    layout_of(event.pk, picture.plan)

    clock.now += layouts.LAYOUT_SECONDS
    with django_assert_num_queries(0):
        assert picture.knows_its_seats
        [run] = picture.runs_near(picture.seat_of(first), 1, rows=0)
        assert len(run.ticket_ids) == 10
    with django_assert_num_queries(1):
        assert picture.counts.seats[0].free == 10
    assert kept_layout(event.pk, picture.plan) is not None

    clock.now += layouts.HINT_SECONDS
    assert not picture.knows_its_seats


def test_layout_that_was_read_the_longest_ago_goes_first(clock: Clock, monkeypatch):
    monkeypatch.setattr(layouts, "LAYOUT_SEATS", 25)
    halls = [make_seated_event() for _ in range(3)]
    for event in halls:
        layout_of(event.pk, (event.updated_at, 10))

    kept = [kept_layout(event.pk, (event.updated_at, 10)) is not None for event in halls]
    assert kept == [False, True, True]
