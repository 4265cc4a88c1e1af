"""The search page: what is typed stays typed, and what is wrong is said beside its field."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from events.models import Performer
from tests.factories import make_event, make_general_admission, make_venue
from tests.search.helpers import make_category

pytestmark = pytest.mark.django_db


def test_page_shows_what_is_found_with_and_without_htmx(client: Client) -> None:
    make_event(title="Jazz at noon")
    make_event(title="Rock at noon")
    page = client.get("/search/", {"q": "jazz"})
    assert page.templates[0].name == "search/results.html"
    assert [event.title for event in page.context["result"].events] == ["Jazz at noon"]
    assert "<h1" in page.text

    part = client.get("/search/", {"q": "jazz"}, headers={"HX-Request": "true"})
    assert part.templates[0].name == "search/_results.html"
    assert ("Jazz at noon" in part.text, "Rock at noon" in part.text, "<h1" in part.text) == (
        True,
        False,
        False,
    )
    assert "HX-Request" in page["Vary"]
    assert "HX-Request" in part["Vary"]


def test_page_says_what_is_wrong_and_keeps_what_was_typed(client: Client) -> None:
    make_event(title="Jazz at noon")
    page = client.get("/search/", {"q": "jazz", "price_min": "cheap", "city": "Leipzig"})
    form = page.context["form"]
    assert (page.status_code, page.context["result"], list(form.errors)) == (400, None, ["price_min"])
    assert [form[name].value() for name in ("q", "price_min", "city")] == ["jazz", "cheap", "Leipzig"]
    assert 'value="cheap"' in page.text


def test_page_names_a_parameter_it_does_not_know(client: Client) -> None:
    make_event(title="Jazz at noon")
    page = client.get("/search/", {"q": "jazz", "<b>foo": "1"})
    assert (page.status_code, page.context["result"], page.context["unknown"]) == (400, None, ["<b>foo"])
    assert "There is no filter “&lt;b&gt;foo”." in page.text
    assert "Jazz at noon" not in page.text


def test_page_leaves_what_newsletters_add_alone(client: Client) -> None:
    make_event(title="Jazz at noon")
    page = client.get("/search/", {"utm_source": "mail", "category": "", "price_max": ""})
    assert page.context["result"].count == 1
    assert page.context["is_narrowed"] is False


def test_page_leads_to_the_next_and_back(client: Client) -> None:
    category = make_category("jazz")
    for number in range(3):
        make_event(title=f"Jazz {number}", category=category)
    first = client.get("/search/", {"category": "jazz", "page_size": "2"})
    assert first.context["previous_url"] == ""
    second = client.get("/search/" + first.context["next_url"])
    assert [event.title for event in second.context["result"].events] == ["Jazz 2"]
    assert second.context["next_url"] == ""
    back = client.get("/search/" + second.context["previous_url"])
    assert [event.title for event in back.context["result"].events] == ["Jazz 0", "Jazz 1"]


@pytest.mark.parametrize("asked", [{}, {"starts_after": "2020-01-01"}])
def test_page_month_links_lead_to_as_many_as_they_say(client: Client, asked: dict[str, str]) -> None:
    now = timezone.now()
    month_ago, year_ago = now - timedelta(days=31), now - timedelta(days=365)
    for number in range(3):
        make_event(
            title=f"Ended {number}", starts_at=now - timedelta(hours=5), ends_at=now - timedelta(hours=3)
        )
    make_event(title="Ended long ago", starts_at=year_ago, ends_at=year_ago + timedelta(hours=2))
    make_event(title="Begun", starts_at=now - timedelta(hours=1), ends_at=now + timedelta(hours=1))
    make_event(title="Running exhibition", starts_at=month_ago, ends_at=now + timedelta(days=9))
    make_event(title="Later", starts_at=now + timedelta(days=40))

    page = client.get("/search/", asked)

    links = re.findall(r'<a class="facet" href="([^"]*starts_before[^"]*)">[^<]*<span[^>]*>(\d+)<', page.text)
    led_to = [client.get(html.unescape(address)).context["result"].count for address, _said in links]
    assert led_to == [int(said) for _address, said in links]
    assert sum(led_to) == (7 if asked else 3)


@pytest.mark.parametrize("rows", [1, 3])
def test_page_takes_three_queries(client: Client, rows: int, django_assert_num_queries) -> None:
    for number in range(rows):
        event = make_event(category=make_category(f"kind-{number}"), venue=make_venue(city=f"City {number}"))
        event.performers.add(Performer.objects.create(slug=f"band-{number}", name=f"Band {number}"))
        make_general_admission(event, 2)
    with django_assert_num_queries(3):
        page = client.get("/search/")
    assert len(page.context["result"].events) == rows


def test_page_with_a_cursor_nobody_made_is_an_error_and_not_a_crash(client: Client) -> None:
    page = client.get("/search/", {"cursor": "nonsense"})
    assert (page.status_code, list(page.context["form"].errors)) == (400, ["cursor"])


def test_page_escapes_what_was_typed(client: Client) -> None:
    page = client.get("/search/", {"q": "<script>alert(1)</script>"})
    assert "<script>alert(1)" not in page.text
