"""Events over the API: one event, its tickets, the live picture."""

from __future__ import annotations

import base64
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from bookings.services import Buyer, hold_tickets
from events import locks
from events.availability import unpack
from events.models import Category, Event, Performer, Ticket
from tests.factories import (
    make_event,
    make_general_admission,
    make_seated,
    make_seated_event,
    make_venue,
    ticket_ids,
)
from tests.utils import let_hold_lapse

pytestmark = pytest.mark.django_db


def path(event: Event, rest: str = "") -> str:
    return f"/api/v1/events/{event.slug}/{rest}"


def book(event: Event, position: int) -> None:
    held = hold_tickets(event=event, ticket_ids=[ticket_ids(event)[position]], buyer=Buyer())
    Ticket.objects.filter(booking_id=held.booking.pk).update(status="booked", reserved_until=None)


# --- One event --------------------------------------------------------------------------


def test_event_tells_everything_the_contract_names(client: Client):
    venue = make_venue(address="Gewandhausgasse 1", latitude=51.34, longitude=12.38)
    music = Category.objects.create(slug="music", name="Music")
    event = make_event(
        venue=venue, category=music, summary="Strings.", description="# Hello\n\n*Bold* words", currency="EUR"
    )
    event.performers.add(Performer.objects.create(slug="quartet", name="The Quartet"))
    stalls = make_seated(event, seats=3, price="30.00")
    standing = make_general_admission(event, 2, price="20.00")
    book(event, 0)
    hold_tickets(event=event, ticket_ids=ticket_ids(event)[1:2], buyer=Buyer())

    found = client.get(path(event)).json()

    as_of = found["availability"].pop("as_of")
    assert found == {
        "slug": event.slug,
        "title": event.title,
        "summary": "Strings.",
        "description_html": "<h2>Hello</h2>\n<p><em>Bold</em> words</p>\n",
        "category": {"slug": "music", "name": "Music"},
        "performers": [{"slug": "quartet", "name": "The Quartet"}],
        "venue": {
            "slug": venue.slug,
            "name": venue.name,
            "address": "Gewandhausgasse 1",
            "city": "Leipzig",
            "country": "DE",
            "latitude": 51.34,
            "longitude": 12.38,
            "timezone": "Europe/Berlin",
        },
        "starts_at": event.starts_at.isoformat().replace("+00:00", "Z"),
        "ends_at": event.ends_at.isoformat().replace("+00:00", "Z"),
        "doors_at": None,
        "on_sale_at": None,
        "off_sale_at": None,
        "status": "published",
        "sale_state": "on_sale",
        "max_tickets_per_booking": 10,
        "currency": "EUR",
        "price_min": "20.00",
        "price_max": "30.00",
        "price_tiers": [
            {
                "id": stalls.pk,
                "name": "Stalls",
                "price": "30.00",
                "currency": "EUR",
                "seated": True,
                "available": 1,
            },
            {
                "id": standing.pk,
                "name": "Standing",
                "price": "20.00",
                "currency": "EUR",
                "seated": False,
                "available": 2,
            },
        ],
        "availability": {"total": 5, "available": 3, "reserved": 1, "booked": 1},
    }
    assert as_of.endswith("Z")


@pytest.mark.parametrize(
    ("fields", "sale_state"),
    [
        ({"on_sale_at": timezone.now() + timedelta(days=1)}, "upcoming"),
        ({"off_sale_at": timezone.now() - timedelta(days=1)}, "ended"),
        ({"status": "cancelled"}, "ended"),
        ({}, "on_sale"),
    ],
)
def test_event_tells_its_sale_state(client: Client, fields, sale_state):
    event = make_seated_event(**fields)

    assert client.get(path(event)).json()["sale_state"] == sale_state


def test_event_is_sold_out_when_its_last_ticket_is_held(client: Client):
    event = make_seated_event(seats=1)
    booking = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=Buyer()).booking
    held = client.get(path(event)).json()["sale_state"]
    let_hold_lapse(booking)
    locks.release(event.pk, ticket_ids(event), booking.pk)

    assert held == "sold_out"
    assert client.get(path(event)).json()["sale_state"] == "on_sale"


@pytest.mark.parametrize("rest", ["", "tickets/", "availability/"])
def test_draft_is_not_found(client: Client, rest: str):
    draft = make_seated_event(status="draft", title="Secret")

    response = client.get(path(draft, rest))

    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert b"Secret" not in response.content


@pytest.mark.parametrize("rest", ["", "tickets/", "availability/"])
@pytest.mark.parametrize("query", ["?colour=red", "?format=json", "?page=2"])
def test_unknown_parameter_is_an_error(client: Client, rest: str, query: str):
    response = client.get(path(make_seated_event(), rest) + query)

    assert (response.status_code, response.json()["code"]) == (400, "invalid_parameter")
    assert response.json()["errors"][0]["code"] == "unknown"


def test_description_does_no_harm(client: Client):
    event = make_event(
        description="<script>alert(1)</script> [x](javascript:alert(1)) [y](https://example.org)"
    )

    html = client.get(path(event)).json()["description_html"]

    assert "<script" not in html
    assert 'href="javascript' not in html
    assert '<a href="https://example.org" rel="nofollow noopener noreferrer">y</a>' in html


@pytest.mark.parametrize("rows", [1, 3])
def test_event_takes_as_many_queries_for_one_tier_as_for_three(
    client: Client, django_assert_num_queries, rows
):
    event = make_event(category=Category.objects.create(slug="music", name="Music"))
    for number in range(rows):
        make_general_admission(event, 2, name=f"Tier {number}")
        event.performers.add(Performer.objects.create(slug=f"p{number}", name=f"P{number}"))

    with django_assert_num_queries(5):
        client.get(path(event))


# --- Its tickets ------------------------------------------------------------------------


def test_tickets_tell_where_each_is_and_what_it_costs(client: Client):
    event = make_event()
    stalls = make_seated(event, rows=2, seats=1, price="30.00")
    standing = make_general_admission(event, 1, price="20.00")
    ids = ticket_ids(event)

    found = client.get(path(event, "tickets/")).json()

    place = {"section": "Stalls", "row": "2", "seat": "1", "x": 0.0, "y": 30.0, "accessible": False}
    nowhere = dict.fromkeys(["section", "row", "seat", "x", "y"]) | {"accessible": False}
    assert (found["next"], found["previous"]) == (None, None)
    assert found["results"][1:] == [
        {
            "id": ids[1],
            "position": 1,
            "price_tier": stalls.pk,
            "price": "30.00",
            "status": "available",
            **place,
        },
        {
            "id": ids[2],
            "position": 2,
            "price_tier": standing.pk,
            "price": "20.00",
            "status": "available",
            **nowhere,
        },
    ]


def test_tickets_are_listed_once_each_over_the_pages_and_back(client: Client):
    event = make_seated_event(seats=7)
    url, seen = path(event, "tickets/?page_size=3"), []

    while url:
        page = client.get(url).json()
        seen += [ticket["position"] for ticket in page["results"]]
        url, back = page["next"], page["previous"]

    assert seen == list(range(7))
    assert [ticket["position"] for ticket in client.get(back).json()["results"]] == [3, 4, 5]


def test_tickets_filter_by_state_tier_and_section(client: Client):
    event = make_event()
    make_seated(event, seats=2, name="Stalls")
    make_seated(event, seats=2, name="Balcony")
    standing = make_general_admission(event, 2)
    book(event, 0)
    locks.take(event.pk, ticket_ids(event)[1:2], "00000000-0000-4000-8000-000000000000")

    def positions(query: str) -> list[int]:
        results = client.get(path(event, f"tickets/?{query}")).json()["results"]
        return [ticket["position"] for ticket in results]

    assert positions("status=booked") == [0]
    assert positions("status=reserved") == [1]
    assert positions("status=available") == [2, 3, 4, 5]
    assert positions("section=Balcony") == [2, 3]
    assert positions(f"price_tier={standing.pk}") == [4, 5]
    assert positions(f"price_tier={standing.pk}&status=booked") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=sold", "status"),
        ("price_tier=cheap", "price_tier"),
        ("price_tier=1.5", "price_tier"),
        ("price_tier=99999999999999999999", "price_tier"),
        ("section=%00", "section"),
        ("status=booked&status=available", "status"),
        ("page_size=0", "page_size"),
        ("page_size=101", "page_size"),
        ("page_size=ten", "page_size"),
        ("cursor=cD0lMDA=", "cursor"),
        ("cursor=not-a-cursor", "cursor"),
        ("cursor=cD1hYmM=", "cursor"),
        ("cursor=%C3%A9", "cursor"),
    ],
)
def test_malformed_parameter_of_tickets_is_named(client: Client, query: str, field: str):
    response = client.get(path(make_seated_event(), f"tickets/?{query}"))

    assert (response.status_code, response.json()["code"]) == (400, "invalid_parameter")
    assert [error["field"] for error in response.json()["errors"]] == [field]


@pytest.mark.parametrize("rows", [1, 3])
def test_tickets_take_two_queries(client: Client, django_assert_num_queries, rows: int):
    event = make_seated_event(seats=rows)

    with django_assert_num_queries(2):
        client.get(path(event, "tickets/"))


# --- The live picture -------------------------------------------------------------------


def test_availability_packs_every_state(client: Client):
    event = make_seated_event(seats=5)
    book(event, 4)
    hold_tickets(event=event, ticket_ids=ticket_ids(event)[1:2], buyer=Buyer())
    tier = event.price_tiers.get()

    found = client.get(path(event, "availability/")).json()

    assert set(found) == {"version", "as_of", "statuses", "price_tiers"}
    assert unpack(base64.b64decode(found["statuses"]))[:5] == [0, 1, 0, 0, 2]
    assert found["price_tiers"] == [{"id": tier.pk, "available": 3}]


def test_availability_since_a_version_lists_what_changed(client: Client):
    event = make_seated_event(seats=5)
    version = client.get(path(event, "availability/")).json()["version"]
    book(event, 3)

    found = client.get(path(event, f"availability/?since={version}")).json()

    assert set(found) == {"version", "as_of", "changes", "price_tiers"}
    assert found["changes"] == [[3, 2]]
    assert found["version"] != version


@pytest.mark.parametrize("since", ["forgotten", "", "x" * 500, "%20%00"])
def test_availability_since_an_unknown_version_is_whole(client: Client, since: str):
    found = client.get(path(make_seated_event(seats=5), f"availability/?since={since}")).json()

    assert unpack(base64.b64decode(found["statuses"]))[:5] == [0] * 5


def test_availability_is_not_sent_again_to_who_has_it(client: Client):
    event = make_seated_event()
    url = path(event, "availability/")
    etag = client.get(url).headers["ETag"]

    unchanged = client.get(url, headers={"If-None-Match": etag})
    book(event, 0)
    changed = client.get(url, headers={"If-None-Match": etag})

    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert changed.status_code == 200


@pytest.mark.parametrize("rows", [1, 3])
def test_availability_takes_two_queries(client: Client, django_assert_num_queries, rows: int):
    event = make_event()
    for number in range(rows):
        make_general_admission(event, 2, name=f"Tier {number}")

    with django_assert_num_queries(2):
        client.get(path(event, "availability/"))


def test_next_page_leads_to_this_site(client: Client):
    url = client.get(path(make_seated_event(seats=2), "tickets/?page_size=1")).json()["next"]

    assert urlsplit(url).netloc == "testserver"
