from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.db.models.functions import Now
from hypothesis import given
from hypothesis import strategies as st

from bookings.services import Buyer, HeldBooking, hold_tickets
from events import availability, locks
from events.availability import Snapshot, changes_since, pack, remember, take_snapshot, unpack
from events.models import Event, Ticket
from events.raw_clients import raw_client
from events.services import drop_tickets
from tests.factories import make_event, make_general_admission, make_seated, ticket_ids
from tests.utils import let_hold_lapse

pytestmark = pytest.mark.django_db


@pytest.fixture
def event() -> Event:
    """Five seats at positions 0 to 4, then three standing places."""
    event = make_event()
    make_seated(event, seats=5)
    make_general_admission(event, 3)
    return event


def snapshot_of(event: Event) -> Snapshot:
    return take_snapshot(event.pk, [tier.pk for tier in event.price_tiers.all()])


def hold(event: Event, *positions: int) -> HeldBooking:
    ids = ticket_ids(event)
    return hold_tickets(event=event, ticket_ids=[ids[position] for position in positions], buyer=Buyer())


@given(st.text("0123", max_size=50))
def test_packing_keeps_every_state(digits: str):
    packed = pack(digits)

    assert len(packed) == -(-len(digits) // 4)
    assert unpack(packed)[: len(digits)] == [int(digit) for digit in digits]


def test_packing_puts_the_first_ticket_into_the_lowest_bits():
    assert pack("1") == bytes([0b01])
    assert pack("01230") == bytes([0b11_10_01_00, 0])


def test_snapshot_shows_each_state_at_its_position(event: Event):
    hold(event, 1)
    Ticket.objects.filter(event=event, position=4).update(status="blocked")
    booked = hold(event, 6).booking
    Ticket.objects.filter(booking_id=booked.pk).update(status="booked", reserved_until=None)

    snapshot = snapshot_of(event)

    assert snapshot.digits == "01003020"
    assert (snapshot.total, snapshot.available, snapshot.reserved, snapshot.booked) == (7, 5, 1, 1)
    seated, standing = event.price_tiers.all()
    assert snapshot.available_in_tier == {seated.pk: 3, standing.pk: 2}


def test_snapshot_shows_a_lapsed_hold_as_available(event: Event):
    let_hold_lapse(hold(event, 2).booking)
    raw_client("locks").flushdb()

    assert snapshot_of(event).digits == "00000000"


def test_snapshot_shows_a_ticket_that_is_only_locked_as_reserved(event: Event):
    locks.take(event.pk, ticket_ids(event)[3:4], uuid4())

    snapshot = snapshot_of(event)

    assert snapshot.digits == "00010000"
    assert list(snapshot.available_in_tier.values()) == [4, 3]


def test_snapshot_believes_the_row_of_a_booked_ticket_that_is_still_locked(event: Event):
    booking = hold(event, 0).booking
    Ticket.objects.filter(booking_id=booking.pk).update(status="booked", reserved_until=None)
    locks.keep(event.pk, ticket_ids(event)[:1], booking.pk, milliseconds=60_000)

    assert snapshot_of(event).digits == "20000000"


def test_snapshot_without_the_lock_cache_shows_the_rows(event: Event):
    hold(event, 1)
    locks.breaker.record_failure()

    assert snapshot_of(event).digits == "01000000"


def test_snapshot_behind_a_gap_agrees_with_the_list_of_tickets(event: Event, client):
    drop_tickets(event.tickets.filter(position__in=[0, 3]))
    before = snapshot_of(event)
    remember(before)
    wanted = event.tickets.filter(position__in=[4, 6])
    hold_tickets(event=event, ticket_ids=[ticket.pk for ticket in wanted], buyer=Buyer())

    url = f"/api/v1/events/{event.slug}/"
    listed = client.get(f"{url}tickets/").json()["results"]
    answer = client.get(f"{url}availability/").json()

    states = unpack(base64.b64decode(answer["statuses"]))[:8]
    names = ["available", "reserved", "booked", "blocked"]
    assert {ticket["position"]: ticket["status"] for ticket in listed} == {
        1: "available",
        2: "available",
        4: "reserved",
        5: "available",
        6: "reserved",
        7: "available",
    }
    assert [names[states[ticket["position"]]] for ticket in listed] == [ticket["status"] for ticket in listed]
    assert (states[0], states[3]) == (3, 3)
    assert client.get(f"{url}availability/?since={before.version}").json()["changes"] == [[4, 1], [6, 1]]


def test_snapshot_shows_a_ticket_behind_a_gap_that_is_only_locked_as_reserved(
    event: Event, django_assert_num_queries
):
    hold(event, 2)
    drop_tickets(event.tickets.filter(position=1))
    locks.take(event.pk, ticket_ids(event)[3:5], uuid4())

    with django_assert_num_queries(4):
        snapshot = snapshot_of(event)

    assert snapshot.digits == "03101100"
    assert list(snapshot.available_in_tier.values()) == [2, 2]


def test_snapshot_shows_a_locked_ticket_of_a_tier_that_is_newer_than_what_was_asked(event: Event):
    [seated, _] = event.price_tiers.all()
    locks.take(event.pk, ticket_ids(event)[-1:], uuid4())

    snapshot = take_snapshot(event.pk, [seated.pk])

    assert snapshot.digits == "00000001"
    assert snapshot.available_in_tier == {seated.pk: 5}


def test_no_tier_has_fewer_than_none_left(event: Event, monkeypatch):
    """A locked ticket is moved to a tier without any, after the tiers were counted."""
    seated, standing = event.price_tiers.all()
    event.tickets.filter(price_tier=standing).update(status="blocked")
    locks.take(event.pk, ticket_ids(event)[:1], uuid4())
    read_rows = availability._read_rows

    def move_then(*facts: Any, **more: Any) -> Any:
        rows = read_rows(*facts, **more)
        event.tickets.filter(position=0).update(price_tier=standing)
        return rows

    monkeypatch.setattr(availability, "_read_rows", move_then)

    assert snapshot_of(event).available_in_tier == {seated.pk: 5, standing.pk: 0}


def test_snapshot_of_an_event_whose_tickets_are_dropped_meanwhile_is_empty(event: Event, monkeypatch):
    drop_tickets(event.tickets.filter(position=3))
    read_rows = availability._read_rows

    def read_then_drop(*facts: Any, **more: Any) -> Any:
        rows = read_rows(*facts, **more)
        event.tickets.all().delete()
        return rows

    monkeypatch.setattr(availability, "_read_rows", read_then_drop)

    assert snapshot_of(event).digits == ""


def test_snapshot_counts_no_gap(event: Event, django_assert_num_queries):
    drop_tickets(event.tickets.filter(position=3))
    Ticket.objects.filter(event=event, position=4).update(status="blocked")

    with django_assert_num_queries(3):
        snapshot = snapshot_of(event)

    assert snapshot.digits == "00033000"
    assert (snapshot.total, snapshot.available, snapshot.reserved, snapshot.booked) == (6, 6, 0, 0)
    assert list(snapshot.available_in_tier.values()) == [3, 3]


def test_snapshot_of_an_event_without_tickets_is_empty():
    snapshot = snapshot_of(make_event())

    assert (snapshot.digits, snapshot.packed, snapshot.total) == ("", b"", 0)


def test_snapshot_tells_the_time_of_the_database(event: Event):
    now = Event.objects.annotate(now=Now()).values_list("now", flat=True).get(pk=event.pk)

    assert abs(snapshot_of(event).as_of - now) < timedelta(seconds=1)


@pytest.mark.parametrize("tiers", [1, 3])
def test_snapshot_takes_one_query(django_assert_num_queries, tiers: int):
    event = make_event()
    tier_ids = [make_general_admission(event, 2, name=f"Tier {number}").pk for number in range(tiers)]

    with django_assert_num_queries(1):
        take_snapshot(event.pk, tier_ids)


def test_version_names_the_states_and_nothing_else(event: Event):
    before = snapshot_of(event)
    same = snapshot_of(event)
    hold(event, 0)
    after = snapshot_of(event)

    assert same.version == before.version
    assert after.version != before.version


def test_changes_since_lists_positions_and_new_states(event: Event):
    booking = hold(event, 1, 2).booking
    before = snapshot_of(event)
    remember(before)
    Ticket.objects.filter(booking_id=booking.pk, position=1).update(status="booked", reserved_until=None)
    hold(event, 7)

    assert changes_since(before.version, snapshot_of(event)) == [(1, 2), (7, 1)]


def test_changes_since_the_same_picture_are_none_even_without_the_cache(event: Event):
    snapshot = snapshot_of(event)

    assert changes_since(snapshot.version, snapshot) == []


def test_changes_since_an_unknown_picture_are_unknown(event: Event):
    assert changes_since("0123456789", snapshot_of(event)) is None


def test_changes_since_a_picture_of_another_event_are_unknown(event: Event):
    other = make_event()
    make_general_admission(other, 8)
    hold(other, 0)
    picture = snapshot_of(other)
    remember(picture)

    assert changes_since(picture.version, snapshot_of(event)) is None


def test_changes_since_fewer_tickets_are_unknown(event: Event):
    before = snapshot_of(event)
    remember(before)
    make_general_admission(event, 9, name="Balcony")

    assert changes_since(before.version, snapshot_of(event)) is None


def test_remembered_pictures_expire(event: Event):
    snapshot = snapshot_of(event)
    remember(snapshot)
    key = availability._cache_key(event.pk, snapshot.version)

    assert base64.b64decode(cache.get(key)) == snapshot.packed
    assert 0 < cache.ttl(key) <= availability.REMEMBERED_SECONDS
