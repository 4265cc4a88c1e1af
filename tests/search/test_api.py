"""The shape of the answers, suggestions, query counts, and the document that tells of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from events.models import Event, Performer
from search.api.parameters import NAMES
from search.filters import EventFilter
from tests.factories import make_event, make_general_admission, make_venue
from tests.search.helpers import ask, make_category, make_performer

pytestmark = pytest.mark.django_db


def make_rows(number: int) -> None:
    category, band = make_category("jazz"), Performer.objects.create(slug="band", name="The Band")
    for _ in range(number):
        event = make_event(title="Jazz", category=category, venue=make_venue(latitude=51.0, longitude=12.0))
        event.performers.add(band)
        make_general_admission(event, 2)


def test_result_is_an_event_summary(client: Client) -> None:
    starts_at = timezone.now().replace(year=2090, month=5, day=4, hour=18, minute=0, second=0, microsecond=0)
    venue = make_venue(slug="hall", name="Hall", address="1 Street", latitude=51.0, longitude=12.0)
    event = make_event(
        slug="jazz",
        title="Jazz",
        summary="Late",
        starts_at=starts_at,
        venue=venue,
        category=make_category("music"),
    )
    make_performer("The Band", event)
    make_general_admission(event, 1, price="20.00")
    make_general_admission(event, 1, price="35.50", name="Balcony")
    answer = ask(client, near="51,12")
    assert answer["results"] == [
        {
            "slug": "jazz",
            "title": "Jazz",
            "summary": "Late",
            "category": {"slug": "music", "name": "Music"},
            "performers": [{"slug": "the-band", "name": "The Band"}],
            "venue": {
                "slug": "hall",
                "name": "Hall",
                "address": "1 Street",
                "city": "Leipzig",
                "country": "DE",
                "latitude": 51.0,
                "longitude": 12.0,
                "timezone": "Europe/Berlin",
            },
            "starts_at": "2090-05-04T18:00:00Z",
            "ends_at": "2090-05-04T20:00:00Z",
            "status": "published",
            "sale_state": "on_sale",
            "currency": "EUR",
            "price_min": "20.00",
            "price_max": "35.50",
            "distance_km": 0.0,
        }
    ]
    assert list(answer) == ["next", "previous", "count", "count_is_exact", "facets", "results"]


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize(
    "query",
    ["", "q=jazz", "q=jazz&near=51,12&ordering=distance&on_sale=true&price_max=50", "ordering=-price"],
)
def test_search_makes_three_queries(
    client: Client, rows: int, query: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_rows(rows)
    # The count with the facets, the page, and its performers.
    with django_assert_num_queries(3):
        answer = client.get(f"/api/v1/events/?{query}").json()
    assert len(answer["results"]) == rows


@pytest.mark.parametrize("rows", [1, 3])
def test_correction_costs_two_queries_more(
    client: Client, rows: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_rows(rows)
    # The words like the one that no event has, and the second count.
    with django_assert_num_queries(5):
        assert ask(client, q="jaazz")["count"] == rows


def test_finding_nothing_takes_two_queries_however_many_words(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_rows(1)
    with django_assert_num_queries(2):
        assert ask(client, q="jazz qqqq xxxx")["count"] == 0


@pytest.mark.parametrize("rows", [1, 3])
def test_page_makes_three_queries(
    client: Client, rows: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_rows(rows)
    with django_assert_num_queries(3):
        response = client.get("/search/?q=jazz")
    assert response.content.decode().count('class="event-card"') == rows


@pytest.mark.parametrize("rows", [1, 3])
def test_suggestions_make_four_queries(
    client: Client, rows: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_rows(rows)
    with django_assert_num_queries(4):
        assert len(client.get("/api/v1/events/suggest/?q=jazz").json()["events"]) == rows


def test_suggestions_begin_with_what_was_typed_or_are_like_it(client: Client) -> None:
    event = make_event(
        slug="lions",
        title="The Lions",
        venue=make_venue(slug="lion", name="Red Lion", city="Lyon", country="FR"),
    )
    make_performer("Lionel", event)
    make_event(title="Elsewhere", venue=make_venue(name="Barn", city="Graz", country="AT"))
    assert client.get("/api/v1/events/suggest/?q=li").json() == {
        "events": [{"slug": "lions", "title": "The Lions"}],
        "performers": [{"slug": "lionel", "name": "Lionel"}],
        "venues": [{"slug": "lion", "name": "Red Lion"}],
        "cities": [],
    }
    assert client.get("/api/v1/events/suggest/?q=LY").json()["cities"] == [{"name": "Lyon", "country": "FR"}]
    assert client.get("/api/v1/events/suggest/?q=lionell").json()["performers"] == [
        {"slug": "lionel", "name": "Lionel"}
    ]


def test_suggestions_are_of_public_events_to_come(client: Client) -> None:
    for fields in ({"status": Event.Status.DRAFT}, {"starts_at": timezone.now() - timedelta(days=9)}):
        event = make_event(title="Jazz", venue=make_venue(name="Jazz club", city="Jazztown"), **fields)
        make_performer("Jazz band", event, slug=f"band-{event.pk}")
    empty = {"events": [], "performers": [], "venues": [], "cities": []}
    assert client.get("/api/v1/events/suggest/?q=jazz").json() == empty
    Event.objects.update(status=Event.Status.PUBLISHED, ends_at=timezone.now() + timedelta(days=99))
    found = client.get("/api/v1/events/suggest/?q=jazz").json()
    assert [len(names) for names in found.values()] == [2, 2, 2, 1]


def test_suggestions_are_five_at_most(client: Client) -> None:
    for number in range(6):
        event = make_event(title="Jazz", venue=make_venue(name="Jazz club", city=f"Jazz {number}"))
        make_performer("Jazz band", event, slug=f"band-{number}")
    found = client.get("/api/v1/events/suggest/?q=jazz").json()
    assert [len(names) for names in found.values()] == [5, 5, 5, 5]


@pytest.mark.parametrize("query", ["", "q=", "q=%00", "q=a&limit=3"])
def test_suggestions_refuse_bad_parameters(client: Client, query: str) -> None:
    response = client.get(f"/api/v1/events/suggest/?{query}")
    assert (response.status_code, response.json()["code"]) == (400, "invalid_parameter")


def test_documented_parameters_are_those_that_are_read() -> None:
    assert set(EventFilter({}).form.fields) == NAMES
