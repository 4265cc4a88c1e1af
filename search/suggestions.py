"""What someone who is still typing may mean: events, performers, venues and cities to come."""

from __future__ import annotations

from typing import Any, TypedDict

from django.db.models import (
    BooleanField,
    Case,
    Exists,
    F,
    FloatField,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Value,
    When,
)

from events.models import Event, Performer, Venue
from search.index import Fold, TextQuery, text_rank

LENGTH = 5


class Named(TypedDict):
    slug: str
    name: str


class Titled(TypedDict):
    slug: str
    title: str


class City(TypedDict):
    name: str
    country: str


class Suggestions(TypedDict):
    """Up to five of each, the likeliest first."""

    events: list[Titled]
    performers: list[Named]
    venues: list[Named]
    cities: list[City]


def suggest(typed: str) -> Suggestions:
    """Names that begin with what was typed, then names that are like it, in four queries."""
    if not any(character.isalnum() for character in typed):
        return {"events": [], "performers": [], "venues": [], "cities": []}
    to_come = Event.objects.published().upcoming()
    performers = Performer.objects.filter(Exists(to_come.filter(performers=OuterRef("pk"))))
    venues = Venue.objects.filter(Exists(to_come.filter(venue=OuterRef("pk"))))
    return {
        "events": [
            {"slug": slug, "title": title}
            for slug, title in _events_like(typed, to_come).values_list("slug", "title")[:LENGTH]
        ],
        "performers": _named(_like(typed, performers, "name")),
        "venues": _named(_like(typed, venues, "name")),
        "cities": [
            {"name": name, "country": country}
            for name, country in _like(typed, venues, "city")
            .values_list("city", "country")
            .distinct()[:LENGTH]
        ],
    }


def _events_like(typed: str, events: QuerySet[Event]) -> QuerySet[Event]:
    words = Q(search_document__vector=TextQuery(typed))
    similar = Q(search_document__names__trigram_word_similar=Fold(Value(typed)))
    return (
        events.annotate(
            fits=Case(When(words, then=True), default=False, output_field=BooleanField()),
            rank=text_rank(typed),
        )
        .filter(words | similar)
        .order_by("-fits", "-rank", "starts_at", "id")
    )


def _like(typed: str, rows: QuerySet[Any], column: str) -> QuerySet[Any]:
    folded = Fold(Value(typed))
    begins = Q(folded__startswith=folded)
    found: QuerySet[Any] = (
        rows.alias(folded=Fold(column))
        .annotate(
            fits=Case(When(begins, then=True), default=False, output_field=BooleanField()),
            similarity=Func(folded, F("folded"), function="word_similarity", output_field=FloatField()),
        )
        .filter(begins | Q(folded__trigram_word_similar=folded))
        .order_by("-fits", "-similarity", column, *(["country"] if column == "city" else ["id"]))
    )
    return found


def _named(rows: QuerySet[Any]) -> list[Named]:
    return [{"slug": slug, "name": name} for slug, name in rows.values_list("slug", "name")[:LENGTH]]
