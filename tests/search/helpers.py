"""How search tests ask, and what they compare."""

from __future__ import annotations

from typing import Any

from django.test import Client

from events.models import Category, Event, Performer


def ask(client: Client, **parameters: Any) -> dict[str, Any]:
    """The API's answer, which must be a good one."""
    response = client.get("/api/v1/events/", parameters)
    assert response.status_code == 200, response.content
    answer = dict(response.json())
    if answer["next"] is None and answer["previous"] is None:
        # By another statement than the results.
        assert answer["count"] == len(answer["results"])
    return answer


def found(client: Client, **parameters: Any) -> list[str]:
    """The titles of the events found, in their order."""
    return [event["title"] for event in ask(client, **parameters)["results"]]


def refused(client: Client, **parameters: Any) -> list[tuple[str, str]]:
    """Field and code of each error of an answer that must be `invalid_parameter`."""
    response = client.get("/api/v1/events/", parameters)
    body = response.json()
    assert (response.status_code, body["code"]) == (400, "invalid_parameter"), body
    return [(error["field"], error["code"]) for error in body["errors"]]


def make_category(slug: str, name: str = "") -> Category:
    return Category.objects.create(slug=slug, name=name or slug.title())


def make_performer(name: str, *events: Event, slug: str = "") -> Performer:
    performer = Performer.objects.create(slug=slug or name.lower().replace(" ", "-"), name=name)
    performer.events.add(*events)
    return performer
