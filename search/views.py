"""The search page."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from events.models import Event
from events.requests import HtmxHttpRequest
from search.api.parameters import NAMES
from search.filters import EventFilter
from search.queries import SearchResult, search_events

# What others add to an address to see where people come from.
TRACKING = ("utm_", "fbclid", "gclid", "mc_")


@require_safe
def search_page(request: HtmxHttpRequest) -> HttpResponse:
    """The form and what it finds; htmx is given the results alone, at the same address.

    Wrong parameters are said beside their field, unknown ones by their names, with nothing
    searched; only what newsletters and other sites add to our links is left alone.
    """
    asked = EventFilter(request.GET, queryset=Event.objects.all())
    unknown = [name for name in request.GET if name not in NAMES and not name.startswith(TRACKING)]
    result = search_events(asked) if asked.is_valid() and not unknown else None
    context = {
        "form": asked.form,
        "result": result,
        "unknown": unknown,
        "next_url": _address(request, result.next if result else None),
        "previous_url": _address(request, result.previous if result else None),
        "months": _month_links(asked, result) if result else [],
        "is_narrowed": any(request.GET.get(name) for name in asked.form.fields),
    }
    template = "search/_results.html" if request.htmx else "search/results.html"
    # htmx shows nothing of an answer that is an error.
    status = 200 if result is not None or request.htmx else 400
    response = render(request, template, context, status=status)
    # The same address answers with a page or with a part of one.
    patch_vary_headers(response, ["HX-Request"])
    return response


class MonthLink(NamedTuple):
    """A month (`2026-12`), the time to ask for to see its events, and how many those are."""

    month: str
    starts_after: str | None
    starts_before: str
    number: int


def _month_links(asked: EventFilter, result: SearchResult) -> list[MonthLink]:
    """The months of what was found, each counting just what its link leads to.

    A search for a time that is past shows ended events too. So the running month asks for no
    beginning, and counts what began in an earlier month and still goes on.
    """
    facets = result.facets["month"]
    if asked.asks_for_the_past():
        return [_month_link(facet["month"], facet["count"]) for facet in facets]
    running = f"{datetime.now(UTC):%Y-%m}"
    begun = sum(facet["count"] for facet in facets if facet["month"] <= running)
    links = [_month_link(running, begun)._replace(starts_after=None)] if begun else []
    return links + [
        _month_link(facet["month"], facet["count"]) for facet in facets if facet["month"] > running
    ]


def _month_link(month: str, count: int) -> MonthLink:
    first = date.fromisoformat(f"{month}-01")
    after_last = (first + timedelta(days=31)).replace(day=1)
    return MonthLink(month, first.isoformat(), after_last.isoformat(), count)


def _address(request: HttpRequest, cursor: str | None) -> str:
    """This page at another cursor; empty where there is none."""
    if not cursor:
        return ""
    query = request.GET.copy()
    query["cursor"] = cursor
    return f"?{query.urlencode()}"
