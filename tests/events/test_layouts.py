"""Where the seats of an event's tickets are, as the database has them."""

from __future__ import annotations

import pytest

from events.layouts import Layout, Place
from events.models import PriceTier
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
