"""Finding events: which, in what order, on which page, and what else there is to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypedDict

from django.db import connection
from django.db.models import DurationField, ExpressionWrapper, F, FloatField, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Abs, Cast, Extract
from django.utils import timezone

from events.models import Event
from search.cursors import Cursor, Order
from search.filters import EventFilter
from search.index import TextQuery, text_rank
from search.spelling import Statement, correct_typing

if TYPE_CHECKING:
    from events.querysets import EventQuerySet

# An event this far away in time counts half as much as one that begins now.
HALF_LIFE_DAYS = 180
# The most of one kind that a facet lists.
FACET_LENGTH = 50

# Facets and their total in one pass over the events found.
FACETS = """
    WITH matching (id, starts_at, slug, name, city, country) AS ({matching}),
    narrowed AS (
        SELECT slug, name, city, country, to_char(starts_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month
        FROM matching {with_text}
    )
    SELECT
        CASE WHEN grouping(slug) = 0 THEN 'category' WHEN grouping(city) = 0 THEN 'city'
             WHEN grouping(month) = 0 THEN 'month' ELSE 'all' END AS kind,
        count(*), slug, name, city, country, month
    FROM narrowed
    GROUP BY GROUPING SETS ((), (slug, name), (city, country), (month))
    ORDER BY 1, 2 DESC, name, city, country, month
"""

# What `_with_text` says.
WITH_TEXT = """JOIN search_searchdocument AS document
        ON document.event_id = matching.id AND document.vector @@ search_query(%s, false)"""


class CategoryFacet(TypedDict):
    slug: str
    name: str
    count: int


class CityFacet(TypedDict):
    name: str
    country: str
    count: int


class MonthFacet(TypedDict):
    """`month` is a month of the calendar in UTC, such as `2026-12`."""

    month: str
    count: int


class Facets(TypedDict):
    """What the events found could be narrowed to; the commonest first, months in their order."""

    category: list[CategoryFacet]
    city: list[CityFacet]
    month: list[MonthFacet]


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """One page of events, and facts about all that were found."""

    events: Sequence[Event]
    next: str | None
    previous: str | None
    count: int
    count_is_exact: bool
    facets: Facets
    did_you_mean: str | None


def search_events(asked: EventFilter) -> SearchResult:
    """The page that `asked`, which must be valid, asks for.

    Where its words find nothing, they are searched once more with their typing errors
    corrected; `did_you_mean` then says which words the events were found by.
    """
    wishes = asked.form.cleaned_data
    text = wishes["q"]
    matching = _matching_all() if asked.narrows_nothing() else _matching(asked)
    count, facets = _count(matching, text)
    did_you_mean = None
    if text and not count and (corrected := correct_typing(text, matching)):
        count, facets = _count(matching, corrected)
        if count:
            text = did_you_mean = corrected
    page = _Page.of(_with_text(asked.qs, text), text, wishes) if count else _Page()
    return SearchResult(
        events=page.events,
        next=page.next,
        previous=page.previous,
        count=count,
        count_is_exact=True,
        facets=facets,
        did_you_mean=did_you_mean,
    )


def _with_text(matching: EventQuerySet, text: str) -> EventQuerySet:
    if not text:
        return matching
    return matching.filter(search_document__vector=TextQuery(text))


@dataclass(frozen=True, kw_only=True)
class _Page:
    events: Sequence[Event] = ()
    next: str | None = None
    previous: str | None = None

    @classmethod
    def of(cls, found: EventQuerySet, text: str, wishes: dict[str, Any]) -> _Page:
        """One row more than the page shows is read, to know whether there is a page beyond."""
        ordering, cursor, size = wishes["ordering"], wishes["cursor"], wishes["page_size"]
        as_of = cursor.as_of if cursor else timezone.now()
        backwards = bool(cursor and cursor.backwards)
        order = Order(descending=ordering in DESCENDING, nullable=ordering in {"price", "-price"})
        if backwards:
            order = order.reversed()

        rows = found.for_listing().annotate(sort_key=_sort_key(ordering, text, as_of))
        if cursor:
            rows = rows.filter(order.beyond(cursor))
        events = list(rows.order_by(*order.expressions())[: size + 1])
        has_more = len(events) > size
        events = events[:size]
        if backwards:
            events.reverse()

        def beside(event: Event, *, backwards: bool) -> str:
            place = Cursor(key=event.sort_key, event_id=event.pk, backwards=backwards, as_of=as_of)  # type: ignore[attr-defined]
            return place.encode(ordering)

        has_next = has_more if not backwards else True
        has_previous = has_more if backwards else cursor is not None
        return cls(
            events=events,
            next=beside(events[-1], backwards=False) if events and has_next else None,
            previous=beside(events[0], backwards=True) if events and has_previous else None,
        )


DESCENDING = frozenset({"relevance", "-starts_at", "-price"})


def _sort_key(ordering: str, text: str, as_of: datetime) -> Combinable:
    match ordering:
        case "relevance":
            return _relevance(text, as_of)
        case "price" | "-price":
            return F("price_min")
        case "distance":
            return F("distance_km")
    return F("starts_at")


def _relevance(text: str, as_of: datetime) -> Combinable:
    """How well the words match, and how near in time the event is."""
    away = ExpressionWrapper(F("starts_at") - Value(as_of), DurationField())
    days = Abs(Cast(Extract(away, "epoch"), FloatField())) / 86_400.0
    return text_rank(text) / (1.0 + days / float(HALF_LIFE_DAYS))


def _matching(asked: EventFilter) -> Statement:
    """The events that may be found, whatever the words, with what facets are made of."""
    columns = asked.qs.order_by().values_list(
        "pk", "starts_at", "category__slug", "category__name", "venue__city", "venue__country"
    )
    return Statement(*columns.query.sql_with_params())


@cache
def _matching_all() -> Statement:
    """The same where nothing is asked for but words, as most do; writing it takes longer than all else."""
    return _matching(EventFilter({}, queryset=Event.objects.all()))


def _count(matching: Statement, text: str) -> tuple[int, Facets]:
    """How many of the events have the text, and their facets."""
    statement = FACETS.format(matching=matching.sql, with_text=WITH_TEXT if text else "")
    with connection.cursor() as database:
        database.execute(statement, [*matching.parameters, text] if text else matching.parameters)
        rows = database.fetchall()
    facets: Facets = {"category": [], "city": [], "month": []}
    total = 0
    for kind, count, slug, name, city, country, month in rows:
        if kind == "all":
            total = count
        elif kind == "category" and slug and len(facets["category"]) < FACET_LENGTH:
            facets["category"].append({"slug": slug, "name": name, "count": count})
        elif kind == "city" and city and len(facets["city"]) < FACET_LENGTH:
            facets["city"].append({"name": city, "country": country, "count": count})
        elif kind == "month":
            facets["month"].append({"month": month, "count": count})
    facets["month"].sort(key=lambda facet: facet["month"])
    return total, facets
