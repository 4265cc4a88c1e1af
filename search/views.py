"""The search page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe
from django_htmx.middleware import HtmxDetails

from events.models import Event
from search.filters import EventFilter
from search.queries import search_events


class HtmxHttpRequest(HttpRequest):
    htmx: HtmxDetails


@require_safe
def search_page(request: HtmxHttpRequest) -> HttpResponse:
    """The form and what it finds; htmx is given the results alone, at the same address.

    Parameters that the form does not know (a newsletter's, say) are left alone, unlike in
    the API. Wrong ones are said beside their field, with nothing searched.
    """
    asked = EventFilter(request.GET, queryset=Event.objects.all())
    result = search_events(asked) if asked.is_valid() else None
    context = {
        "form": asked.form,
        "result": result,
        "next_url": _address(request, result.next if result else None),
        "previous_url": _address(request, result.previous if result else None),
        "is_narrowed": any(request.GET.get(name) for name in asked.form.fields),
    }
    template = "search/_results.html" if request.htmx else "search/results.html"
    response = render(request, template, context)
    # The same address answers with a page or with a part of one.
    patch_vary_headers(response, ["HX-Request"])
    return response


def _address(request: HttpRequest, cursor: str | None) -> str:
    """This page at another cursor; empty where there is none."""
    if not cursor:
        return ""
    query = request.GET.copy()
    query["cursor"] = cursor
    return f"?{query.urlencode()}"
