"""Cursors: every row once, in both directions, whatever the order and however many ties."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import signing
from django.test import Client
from django.utils import timezone

from tests.factories import make_event, make_general_admission, make_venue
from tests.search.helpers import ask, found, refused

pytestmark = pytest.mark.django_db

ORDERINGS = ["starts_at", "-starts_at", "price", "-price", "distance", "relevance"]


@pytest.fixture
def _events_with_ties() -> None:
    """Eleven events: three times, three prices, some without one, and three places."""
    start = timezone.now() + timedelta(days=20)
    places = [make_venue(latitude=51.0 + step, longitude=12.0) for step in (0, 0, 1)]
    for number in range(11):
        event = make_event(
            title=f"Jazz {number}", venue=places[number % 3], starts_at=start + timedelta(days=number // 4)
        )
        if number % 3:
            make_general_admission(event, 1, price=f"{number % 2 * 10}.00")


def walk(client: Client, address: str, direction: str) -> Iterator[dict[str, Any]]:
    """The answer at `address` and those beside it in the direction."""
    while address:
        answer = client.get(address).json()
        yield answer
        address = answer[direction]


def titles(answer: dict[str, Any]) -> list[str]:
    return [event["title"] for event in answer["results"]]


@pytest.mark.usefixtures("_events_with_ties")
@pytest.mark.parametrize("size", [1, 3, 11])
@pytest.mark.parametrize("ordering", ORDERINGS)
def test_pages_show_each_event_once_in_both_directions(client: Client, ordering: str, size: int) -> None:
    query = f"q=jazz&near=51,12&radius=500&ordering={ordering}"
    whole = titles(client.get(f"/api/v1/events/?{query}&page_size=100").json())
    forwards = list(walk(client, f"/api/v1/events/?{query}&page_size={size}", "next"))
    assert [title for answer in forwards for title in titles(answer)] == whole
    assert len(set(whole)) == 11
    assert forwards[0]["previous"] is None

    last = client.get(forwards[-2]["next"]).json() if size < 11 else forwards[0]
    backwards = list(walk(client, last["previous"], "previous")) if last["previous"] else []
    before = [title for answer in reversed(backwards) for title in titles(answer)]
    assert before + titles(last) == whole
    if backwards:
        assert titles(client.get(backwards[0]["next"]).json()) == titles(last)


@pytest.mark.usefixtures("_events_with_ties")
@pytest.mark.parametrize("ordering", ["price", "-price"])
def test_events_without_a_price_come_last(client: Client, ordering: str) -> None:
    prices = [event["price_min"] for event in ask(client, ordering=ordering)["results"]]
    ascending = ["0.00"] * 4 + ["10.00"] * 3
    assert prices == (ascending if ordering == "price" else ascending[::-1]) + [None] * 4


@pytest.mark.usefixtures("_events_with_ties")
def test_page_is_not_moved_by_an_event_that_is_added_before_it(client: Client) -> None:
    first = ask(client, page_size=4)
    make_event(title="Sooner", starts_at=timezone.now() + timedelta(days=1))
    assert titles(client.get(first["next"]).json()) == [f"Jazz {number}" for number in range(4, 8)]


@pytest.mark.usefixtures("_events_with_ties")
def test_cursor_of_another_ordering_is_refused(client: Client) -> None:
    address = ask(client, page_size=4)["next"]
    cursor = dict(part.split("=") for part in address.partition("?")[2].split("&"))["cursor"]
    cursor = cursor.replace("%3A", ":")
    assert found(client, page_size=4, cursor=cursor)[0] == "Jazz 4"
    assert refused(client, ordering="-starts_at", cursor=cursor) == [("cursor", "invalid")]
    assert refused(client, q="jazz", cursor=cursor) == [("cursor", "invalid")]
    assert refused(client, cursor=cursor[:-1]) == [("cursor", "invalid")]


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "é", "bz0xMDAwMDAwMDAmcD0x", "a" * 501, signing.dumps(["datetime", "2026", 1, False, "2026"])],
    # A signature tells the time, and test names must be the same in every process.
    ids=["empty", "short", "accented", "of another library", "long", "signed for another purpose"],
)
def test_forged_cursor_is_refused(client: Client, cursor: str) -> None:
    assert refused(client, cursor=cursor)[0][0] == "cursor"


def test_page_is_twenty_events_unless_said_otherwise(client: Client) -> None:
    for _ in range(21):
        make_event()
    answer = ask(client)
    assert (len(answer["results"]), answer["count"]) == (20, 21)
    assert len(client.get(answer["next"]).json()["results"]) == 1
    assert len(ask(client, page_size=100)["results"]) == 21
