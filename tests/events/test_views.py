"""The home page, an event's page, and the poster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from bookings.models import Booking
from events import hall
from events.models import Category, Event, Performer, Ticket
from tests.factories import (
    make_event,
    make_general_admission,
    make_seated,
    make_seated_event,
    make_venue,
    ticket_ids,
)

pytestmark = pytest.mark.django_db


def listed_event(number: int) -> Event:
    """An event with all that a card shows."""
    category, _ = Category.objects.get_or_create(slug=f"kind-{number}", name=f"Kind {number}")
    event = make_event(venue=make_venue(city=f"City {number}"), category=category)
    event.performers.add(Performer.objects.create(slug=f"band-{number}", name=f"Band {number}"))
    make_general_admission(event, 2)
    return event


@pytest.mark.parametrize("rows", [1, 3])
def test_home_takes_four_queries(client: Client, rows, django_assert_num_queries):
    titles = [listed_event(number).title for number in range(rows)]
    with django_assert_num_queries(4):
        response = client.get("/")
    assert [event.title for event in response.context["events"]] == titles
    assert [place["city"] for place in response.context["cities"]] == [f"City {n}" for n in range(rows)]


def test_home_leaves_out_drafts_and_what_is_over(client: Client):
    make_event(status=Event.Status.DRAFT, title="Secret rehearsal")
    make_event(starts_at=timezone.now() - timedelta(days=3), title="Last week")
    shown = make_event(title="Next week")
    response = client.get("/")
    assert [event.pk for event in response.context["events"]] == [shown.pk]
    assert b"Secret rehearsal" not in response.content


@pytest.mark.parametrize(("status", "state"), [("postponed", "upcoming"), ("cancelled", "ended")])
def test_event_that_is_postponed_or_cancelled_offers_nothing_to_choose(client: Client, status, state):
    event = make_seated_event(seats=3, status=status)
    page = client.get(event.get_absolute_url())
    assert page.context["event"].sale_state == state
    assert b'name="tickets"' not in page.content
    assert b'name="price_tier"' not in page.content


def test_event_draft_is_not_found(client: Client):
    event = make_seated_event(status=Event.Status.DRAFT, title="Secret rehearsal")
    response = client.get(event.get_absolute_url())
    assert (response.status_code, b"Secret rehearsal" in response.content) == (404, False)


@pytest.mark.parametrize("rows", [1, 3])
def test_event_takes_five_queries_however_many_rows(client: Client, rows, django_assert_num_queries):
    event = make_seated_event(rows=rows, seats=4)
    with django_assert_num_queries(5):
        response = client.get(event.get_absolute_url())
    ((_section, found),) = response.context["hall"].open_sections
    assert [row.name for row in found] == [str(number + 1) for number in range(rows)]


def test_event_tells_held_and_sold_seats_by_words(client: Client):
    event = make_seated_event(seats=4)
    first, second, third, fourth = ticket_ids(event)
    booking_id = "00000000-0000-4000-8000-000000000000"
    Booking.objects.create(
        id=booking_id, event=event, expires_at=timezone.now(), total=0, currency="EUR", access_token_hash=""
    )
    Ticket.objects.filter(pk=first).update(
        status="reserved", booking_id=booking_id, reserved_until=timezone.now() + timedelta(minutes=5)
    )
    Ticket.objects.filter(pk=second).update(status="booked", booking_id=booking_id)
    Ticket.objects.filter(pk=third).update(
        status="reserved", booking_id=booking_id, reserved_until=timezone.now() - timedelta(seconds=1)
    )
    page = client.get(event.get_absolute_url()).content.decode()
    assert page.count('<span class="seat__word">held</span>') == 1
    assert page.count('<span class="seat__word">sold</span>') == 1
    # The lapsed one can be chosen again, as can the one nobody touched.
    assert [f'value="{ticket_id}"' in page for ticket_id in (first, second, third, fourth)] == [
        False,
        False,
        True,
        True,
    ]


def test_event_large_hall_opens_one_section_at_a_time(client: Client, monkeypatch):
    monkeypatch.setattr(hall, "SEATS_AT_ONCE", 5)
    event = make_event()
    make_seated(event, name="Balcony", seats=4)
    make_seated(event, name="Stalls", seats=4)
    url = event.get_absolute_url()
    closed, opened = client.get(url), client.get(url, {"section": "Stalls"})
    assert [section.name for section in closed.context["hall"].sections] == ["Balcony", "Stalls"]
    assert closed.context["hall"].open_sections == []
    assert [section.name for section, _rows in opened.context["hall"].open_sections] == ["Stalls"]


def test_event_answers_htmx_with_the_seats_alone(client: Client):
    event = make_seated_event()
    response = client.get(event.get_absolute_url(), headers={"HX-Request": "true"})
    assert response.templates[0].name == "events/_seats.html"
    assert "HX-Request" in response["Vary"]
    assert b"<html" not in response.content


def test_event_shows_local_time_and_zone(client: Client):
    venue = make_venue(timezone="Asia/Tokyo")
    starts_at = timezone.now().replace(hour=10, minute=0, month=1, day=15) + timedelta(days=365)
    page = client.get(make_event(venue=venue, starts_at=starts_at).get_absolute_url()).content.decode()
    assert "<b>19:00</b>" in page
    assert "Japan Standard Time" in page


def test_sections_are_counted_as_people_count():
    names = ["Block 10", "Block 2", "Balcony", "1", "A10", "A2"]
    offers = [hall.SectionOffer(name) for name in names]
    in_order = [offer.name for offer in sorted(offers, key=hall._as_people_count)]
    assert in_order.index("Block 2") < in_order.index("Block 10")
    assert in_order.index("A2") < in_order.index("A10")


def test_poster_is_the_same_each_time_and_asks_no_database(client: Client, django_assert_num_queries):
    with django_assert_num_queries(0):
        first, again = client.get("/posters/music/a-night/0.svg"), client.get("/posters/music/a-night.svg")
        other = client.get("/posters/music/another-night.svg")
    assert first.status_code == 404
    assert again["Content-Type"] == "image/svg+xml"
    assert again.content == client.get("/posters/music/a-night.svg").content
    assert again.content != other.content


def test_postponed_event_names_no_date_and_says_what_tickets_are_worth(client: Client):
    event = make_seated_event(
        status="postponed",
        starts_at=datetime(2031, 1, 16, 19, 0, tzinfo=UTC),
        free_refunds_until=timezone.now() + timedelta(days=3),
    )

    page = " ".join(client.get(event.get_absolute_url()).content.decode().split())

    assert "The new date is not known yet" in page
    assert "it was to be on Thu 16 Jan 2031" in page
    assert "They stay valid for the new date." in page
    assert "get back all that you paid" in page


@pytest.mark.parametrize(("days", "is_told"), [(3, True), (-3, False)])
def test_event_says_how_long_returning_costs_nothing(client: Client, days: int, is_told: bool):
    event = make_seated_event(free_refunds_until=timezone.now() + timedelta(days=days))

    page = client.get(event.get_absolute_url()).content.decode()

    assert ("get back all that you paid" in page) == is_told


def test_cancelled_event_says_that_the_money_comes_back(client: Client):
    event = make_seated_event(status="cancelled")

    assert "Your money comes back by itself" in client.get(event.get_absolute_url()).content.decode()
