"""Words: what they find, in which order, and what nobody's typing may break."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.models import Event
from tests.factories import make_event, make_venue
from tests.search.helpers import ask, found, make_category, make_performer

pytestmark = pytest.mark.django_db

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=110)
OPERATORS = st.text(st.sampled_from("ab \"'-|&!():*<>%_\\\x00~$é东🎷or"), max_size=40)


def test_text_finds_title_performers_venue_city_summary_category_and_description(client: Client) -> None:
    event = make_event(
        title="Midsummer",
        summary="An evening of quartets",
        description="With a *picnic* before.",
        category=make_category("chamber"),
        venue=make_venue(name="Gewandhaus", city="Leipzig"),
    )
    make_performer("Ada Lovelace", event)
    make_event(title="Something else", venue=make_venue(city="Berlin"))
    for word in ("midsummer", "lovelace", "gewandhaus", "leipzig", "quartets", "chamber", "picnic"):
        assert found(client, q=word) == ["Midsummer"]
    assert found(client, q="midsummer berlin") == []


@pytest.mark.parametrize(
    ("title", "typed"),
    [
        ("Motörhead", "motorhead"),
        ("Motorhead", "motörhead"),
        ("Łódź Straßenfest", "lodz strassenfest"),
        ("Guns N’ Roses", "guns n roses"),
        ("AC/DC", "ac dc"),
        ("R&B night", "r&b"),
        ("Node.js meetup", "node meetup"),
        ("Wi-Fi for all", "wi-fi"),
        ("The Who", "the who"),
        ("ЖИЗНЬ", "жизнь"),
        ("東京事変", "東京"),
        ("Jazz concert", "concerts"),
        ("Jazz concerts", "concert"),
        ("Conference", "conferenc"),
        ("Happiness", "happin"),
        ("Late jazz night", '"jazz night"'),
        ("Jazz night", "jazz OR rock"),
        ("ﬁne ﬁlms", "fine films"),
    ],
)
def test_text_finds_title(client: Client, title: str, typed: str) -> None:
    make_event(title=title)
    make_event(title="Zzz")
    answer = ask(client, q=typed)
    assert [event["title"] for event in answer["results"]] == [title]
    assert "did_you_mean" not in answer


def test_minus_and_quotes_narrow(client: Client) -> None:
    make_event(title="Jazz night with rock")
    make_event(title="Night of jazz")
    assert found(client, q="jazz -rock") == ["Night of jazz"]
    assert found(client, q='"jazz night"') == ["Jazz night with rock"]
    # A quoted word is whole, and a word left out too.
    assert found(client, q='"nigh"') == []
    assert found(client, q="jazz -roc", ordering="starts_at") == ["Jazz night with rock", "Night of jazz"]


def test_relevance_prefers_the_title_whole_words_and_what_is_near_in_time(client: Client) -> None:
    soon = timezone.now() + timedelta(days=10)
    make_event(title="A night out", description="Some java to drink.", starts_at=soon)
    make_event(title="JavaScript", starts_at=soon)
    make_event(title="Java", starts_at=soon)
    make_event(title="Java next year", starts_at=soon + timedelta(days=400))
    titles = found(client, q="java")
    assert titles[0] == "Java"
    assert titles[-1] == "A night out"
    assert titles.index("JavaScript") < titles.index("A night out")
    assert found(client, q="java year") == ["Java next year"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("lepzig", "leipzig"),
        ("liepzig", "leipzig"),
        ("gewandhuas", "gewandhaus"),
        ("bethoven", "beethoven"),
        ("Beethovén lepizg", "Beethovén leipzig"),
        ("quartett lepzig", "quartett leipzig"),
        ("Göthe", "goethe"),
    ],
)
def test_typing_error_is_corrected_and_said(client: Client, typed: str, meant: str) -> None:
    event = make_event(
        title="Beethoven for Goethe",
        description="A quartett.",
        venue=make_venue(name="Gewandhaus", city="Leipzig"),
    )
    make_event(title="Something else", venue=make_venue(city="Berlin"))
    answer = ask(client, q=typed)
    assert [row["slug"] for row in answer["results"]] == [event.slug]
    assert answer["did_you_mean"] == meant
    assert answer["facets"]["city"] == [{"name": "Leipzig", "country": "DE", "count": 1}]


def test_words_that_are_found_are_not_corrected(client: Client) -> None:
    make_event(title="Leipzig", venue=make_venue(city="Leipzig"))
    make_event(title="Berlin", venue=make_venue(city="Berlin"))
    # Both words are known, and no event has them both.
    answer = ask(client, q="leipzig berlin")
    assert (answer["count"], "did_you_mean" in answer) == (0, False)


def test_correction_takes_no_words_from_events_that_the_filters_leave_out(client: Client) -> None:
    make_event(title="Oktoberfest", starts_at=timezone.now() - timedelta(days=30))
    make_event(title="Oktoberfest", status=Event.Status.DRAFT)
    answer = ask(client, q="oktoberfst")
    assert (answer["count"], "did_you_mean" in answer) == (0, False)


def test_facets_count_what_was_found(client: Client) -> None:
    music, theatre = make_category("music"), make_category("theatre")
    leipzig, paris = make_venue(city="Leipzig"), make_venue(city="Paris", country="FR")
    first, second = (timezone.now().replace(year=2090, month=month, day=2) for month in (3, 12))
    make_event(title="Jazz one", category=music, venue=leipzig, starts_at=second)
    make_event(title="Jazz two", category=music, venue=paris, starts_at=first)
    make_event(title="Jazz three", category=theatre, venue=leipzig, starts_at=second)
    make_event(title="Jazz four", venue=make_venue(city=""), starts_at=second)
    make_event(title="Rock", category=theatre, venue=paris)
    answer = ask(client, q="jazz", page_size=1)
    assert (answer["count"], answer["count_is_exact"]) == (4, True)
    assert answer["facets"] == {
        "category": [
            {"slug": "music", "name": "Music", "count": 2},
            {"slug": "theatre", "name": "Theatre", "count": 1},
        ],
        "city": [
            {"name": "Leipzig", "country": "DE", "count": 2},
            {"name": "Paris", "country": "FR", "count": 1},
        ],
        "month": [{"month": "2090-03", "count": 1}, {"month": "2090-12", "count": 3}],
    }


@pytest.mark.parametrize(
    "typed",
    [
        "!!!",
        "a:*&",
        "%",
        "_",
        "'",
        '"',
        '"open phrase',
        "-",
        "- -",
        "\\",
        "'; DROP TABLE x; --",
        "🎷",
        "a" * 100,
        "﷽" * 100,
        "()",
        "!a",
        "<->",
        "or",
        "\u0301",
        "x \u2028 y",
        "-a -b -c",
    ],
)
def test_hostile_text_is_searched_for_quietly(client: Client, typed: str) -> None:
    make_event(title="Zzz")
    assert found(client, q=typed) == (["Zzz"] if typed == "-a -b -c" else [])
    assert client.get("/api/v1/events/suggest/", {"q": typed}).status_code == 200
    assert client.get("/search/", {"q": typed}).status_code == 200


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(typed=ANY_TEXT | OPERATORS)
def test_any_text_is_answered_or_refused(client: Client, typed: str) -> None:
    if not Event.objects.exists():
        make_event(title="Jazz a or b", venue=make_venue(name="é东", city="Leipzig"))
    for address in ("/api/v1/events/", "/api/v1/events/suggest/"):
        response = client.get(address, {"q": typed})
        assert response.status_code in {200, 400}
        if response.status_code == 400:
            assert response.json()["code"] == "invalid_parameter"
    page = client.get("/search/", {"q": typed})
    assert (page.status_code, page.context["result"] is None) in {(200, False), (400, True)}
