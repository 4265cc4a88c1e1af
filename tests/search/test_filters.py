"""Each filter alone with data that must and data that must not match, then some together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.http import QueryDict
from django.test import Client
from django.utils import timezone

from events.models import Event, Ticket
from search.filters import EventFilter
from tests.factories import make_event, make_general_admission, make_venue
from tests.search.helpers import ask, found, make_category, make_performer, refused

pytestmark = pytest.mark.django_db


def in_days(days: float) -> datetime:
    return timezone.now() + timedelta(days=days)


def sell_out(event: Event) -> None:
    Ticket.objects.filter(event=event).update(status=Ticket.Status.BLOCKED)


def test_search_leaves_drafts_out(client: Client) -> None:
    make_event(title="Secret rehearsal", status=Event.Status.DRAFT)
    make_event(title="Open rehearsal")
    make_event(title="Cancelled rehearsal", status=Event.Status.CANCELLED, starts_at=in_days(40))
    assert found(client) == ["Open rehearsal", "Cancelled rehearsal"]
    assert found(client, q="secret") == []
    answer = ask(client, q="secrte")
    assert (answer["count"], "did_you_mean" in answer) == (0, False)


def test_search_leaves_ended_events_out_unless_the_past_is_asked_for(client: Client) -> None:
    make_event(title="Last year", starts_at=in_days(-365))
    make_event(title="Running", starts_at=in_days(-0.01))
    make_event(title="Next year", starts_at=in_days(365))
    assert found(client) == ["Running", "Next year"]
    assert found(client, starts_before=in_days(30).isoformat()) == ["Running"]
    assert found(client, starts_after=in_days(30).isoformat()) == ["Next year"]
    assert found(client, starts_after="2000-01-01") == ["Last year", "Running", "Next year"]
    assert found(client, starts_before=in_days(-30).isoformat()) == ["Last year"]


def test_starts_after_and_before_include_the_first_instant_and_not_the_last(client: Client) -> None:
    make_event(title="New Year", starts_at=datetime(2090, 1, 1, tzinfo=UTC))
    make_event(title="February", starts_at=datetime(2090, 2, 1, tzinfo=UTC))
    assert found(client, starts_after="2090-01-01", starts_before="2090-02-01") == ["New Year"]
    assert found(client, starts_after="2090-01-01T01:00:00+01:00") == ["New Year", "February"]
    assert found(client, starts_after="2090-01-01T00:00:00.000001Z") == ["February"]


def test_category_performer_and_venue_match_their_slug_alone(client: Client) -> None:
    music, theatre = make_category("music"), make_category("theatre")
    hall, barn = make_venue(slug="hall"), make_venue(slug="barn")
    concert = make_event(title="Concert", category=music, venue=hall)
    play = make_event(title="Play", category=theatre, venue=barn)
    make_performer("The Band", concert)
    make_performer("The Company", play, concert)
    assert found(client, category="music") == ["Concert"]
    assert found(client, venue="barn") == ["Play"]
    assert found(client, performer="the-band") == ["Concert"]
    assert found(client, performer="the-company") == ["Concert", "Play"]
    assert found(client, performer="the-company", category="theatre") == ["Play"]
    assert found(client, category="circus") == []


def test_city_ignores_capitals_and_accents(client: Client) -> None:
    make_event(title="West", venue=make_venue(city="Wrocław", country="PL"))
    make_event(title="East", venue=make_venue(city="Kraków", country="PL"))
    for city in ("Wrocław", "wroclaw", "WROCŁAW", " Wroclaw "):
        assert found(client, city=city) == ["West"]
    assert found(client, city="Wroc") == []


def test_country_takes_the_iso_code(client: Client) -> None:
    make_event(title="Here", venue=make_venue(country="DE"))
    make_event(title="There", venue=make_venue(country="FR"))
    assert found(client, country="FR") == ["There"]
    assert found(client, country="de") == ["Here"]
    assert refused(client, country="Germany") == [("country", "invalid")]


def test_price_range_must_hold_one_tier(client: Client) -> None:
    dear_or_cheap = make_event(title="10 or 90")
    make_general_admission(dear_or_cheap, 1, price="10.00", name="Back")
    make_general_admission(dear_or_cheap, 1, price="90.00", name="Front")
    middle = make_event(title="50")
    make_general_admission(middle, 1, price="50.00")
    make_event(title="Without a price")
    assert found(client, price_min="40", price_max="60") == ["50"]
    assert found(client, price_min="50.01") == ["10 or 90"]
    assert found(client, price_max="10.00") == ["10 or 90"]
    assert found(client, price_max="9.99") == []
    assert refused(client, price_min="10", price_max="9.99") == [("price_max", "empty_range")]


def test_on_sale_is_the_sale_state_shown(client: Client) -> None:
    facts = {
        "On sale": {},
        "Sold out": {},
        "Tomorrow": {"on_sale_at": in_days(1)},
        "Over": {"off_sale_at": in_days(-1)},
        "Postponed": {"status": Event.Status.POSTPONED},
    }
    for days, (title, fields) in enumerate(facts.items(), start=10):
        event = make_event(title=title, starts_at=in_days(days), **fields)
        make_general_admission(event, 2)
        if title == "Sold out":
            sell_out(event)
    make_event(title="No tickets yet", starts_at=in_days(20))
    answer = ask(client, on_sale="true")
    assert [(event["title"], event["sale_state"]) for event in answer["results"]] == [("On sale", "on_sale")]
    answer = ask(client, on_sale="false")
    assert [(event["title"], event["sale_state"]) for event in answer["results"]] == [
        ("Sold out", "sold_out"),
        ("Tomorrow", "upcoming"),
        ("Over", "ended"),
        ("Postponed", "upcoming"),
        ("No tickets yet", "upcoming"),
    ]


def test_available_counts_a_lapsed_reservation_as_available(client: Client) -> None:
    from bookings.services import Buyer, hold_tickets

    lapsed, held, gone = (make_event(title=title) for title in ("Lapsed", "Held", "Gone"))
    for event in (lapsed, held, gone):
        make_general_admission(event, 1)
    for event in (lapsed, held):
        hold_tickets(
            event=event,
            ticket_ids=[event.tickets.get().pk],
            buyer=Buyer(account=None, email="guest@example.org"),
        )
    Ticket.objects.filter(event=lapsed).update(reserved_until=in_days(-1))
    sell_out(gone)
    assert found(client, available="true") == ["Lapsed"]
    assert found(client, available="0") == ["Held", "Gone"]


def test_near_finds_within_the_radius_and_tells_the_distance(client: Client) -> None:
    make_event(title="Leipzig", venue=make_venue(latitude=51.3397, longitude=12.3731))
    make_event(title="Berlin", venue=make_venue(latitude=52.5200, longitude=13.4050))
    make_event(title="Nowhere", venue=make_venue())
    assert found(client, near="51.34,12.37") == ["Leipzig"]
    assert found(client, near="51.34,12.37", radius="148") == ["Leipzig"]
    answer = ask(client, near="51.34,12.37", radius="150", ordering="distance")
    assert [(event["title"], round(event["distance_km"])) for event in answer["results"]] == [
        ("Leipzig", 0),
        ("Berlin", 149),
    ]
    assert "distance_km" not in ask(client)["results"][0]


@pytest.mark.parametrize(
    ("venue", "point"),
    [
        ((-18.0, 179.9), "-18,-179.9"),
        ((-18.0, -179.9), "-18,179.9"),
        ((89.9, 100.0), "89.9,-80"),
        ((-89.9, 0.0), "-90,0"),
    ],
    ids=["east of the date line", "west of the date line", "over the pole", "at the pole"],
)
def test_near_works_at_the_edges_of_the_map(client: Client, venue: tuple[float, float], point: str) -> None:
    make_event(title="Edge", venue=make_venue(latitude=venue[0], longitude=venue[1]))
    make_event(title="Far", venue=make_venue(latitude=0.0, longitude=0.0))
    assert found(client, near=point, radius="30") == ["Edge"]


def test_near_reaches_the_other_side_of_the_earth(client: Client) -> None:
    make_event(title="Antipode", venue=make_venue(latitude=-51.34, longitude=-167.63))
    assert found(client, near="51.34,12.37", radius="20037") == ["Antipode"]


def test_searches_of_the_same_moment_keep_apart() -> None:
    cheap, dear = make_event(title="Cheap"), make_event(title="Dear")
    make_general_admission(cheap, 1, price="10.00")
    make_general_admission(dear, 1, price="90.00")

    one, other = (EventFilter(QueryDict(f"price_min={least}"), Event.objects.all()) for least in (5, 50))

    assert (one.qs.count(), other.qs.count()) == (2, 1)


def test_filters_narrow_together(client: Client) -> None:
    music = make_category("music")
    hall = make_venue(city="Leipzig")
    make_general_admission(make_event(title="Jazz at the hall", category=music, venue=hall), 2, price="15.00")
    make_general_admission(make_event(title="Jazz for more", category=music, venue=hall), 2, price="95.00")
    make_general_admission(make_event(title="Jazz elsewhere", category=music), 2, price="15.00")
    make_general_admission(make_event(title="Rock at the hall", category=music, venue=hall), 2, price="15.00")
    assert found(client, q="jazz", venue=hall.slug, price_max="20", category="music", on_sale="true") == [
        "Jazz at the hall"
    ]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("party", "2", "unknown"),
        ("together", "true", "unknown"),
        ("utm_source", "mail", "unknown"),
        ("venue__slug", "hall", "unknown"),
        ("category", "../etc", "invalid"),
        ("category", "", "empty"),
        ("city", "x" * 121, "max_length"),
        ("city", "a\x00b", "control_character"),
        ("country", "D", "invalid"),
        ("starts_after", "tomorrow", "invalid"),
        ("starts_after", "2026-02-30", "invalid"),
        ("starts_after", "2026-01-01T20:00:00", "invalid"),
        ("starts_after", "0001-01-01", "invalid"),
        ("starts_before", "9999-12-31T23:59:59-12:00", "invalid"),
        ("price_min", "-1", "min_value"),
        ("price_min", "NaN", "invalid"),
        ("price_max", "1e400", "max_digits"),
        ("on_sale", "maybe", "invalid"),
        ("near", "51.3", "invalid"),
        ("near", "nan,12", "invalid"),
        ("near", "91,12", "invalid"),
        ("radius", "10", "needs_near"),
        ("ordering", "title", "invalid_choice"),
        ("ordering", "relevance", "needs_q"),
        ("ordering", "distance", "needs_near"),
        ("page_size", "0", "min_value"),
        ("page_size", "101", "max_value"),
        ("cursor", "bm9uc2Vuc2U=", "invalid"),
        ("q", "x" * 101, "max_length"),
        ("q", "a\x00b", "control_character"),
        ("q", "a\x1bb", "control_character"),
    ],
)
def test_bad_parameter_is_refused_by_name(client: Client, name: str, value: str, code: str) -> None:
    assert refused(client, **{name: value})[0] == (name, code)


def test_repeated_parameter_is_refused(client: Client) -> None:
    assert refused(client, city=["Leipzig", "Berlin"]) == [("city", "repeated")]


def test_every_wrong_parameter_is_named(client: Client) -> None:
    assert refused(client, city="a\x07", page_size="many") == [
        ("page_size", "invalid"),
        ("city", "control_character"),
    ]


def test_empty_text_searches_for_nothing_in_particular(client: Client) -> None:
    make_event(title="Anything")
    assert found(client, q="") == ["Anything"]
    assert found(client, q="  ") == ["Anything"]
