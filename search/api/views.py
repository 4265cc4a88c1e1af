"""Finding events, for programs."""

from __future__ import annotations

from functools import cache

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from events.api.parameters import StrictParameters
from events.models import Event
from search.api.parameters import NAMES, SEARCH_PARAMETERS, SUGGEST_PARAMETERS, check_form
from search.api.serializers import EventSummarySerializer, SearchResultSerializer, SuggestionsSerializer
from search.filters import EventFilter
from search.forms import SuggestForm
from search.queries import SearchResult, search_events
from search.suggestions import suggest


class EventSearchView(StrictParameters, APIView):
    """Published events, found by words and filters."""

    parameters = NAMES

    @extend_schema(
        operation_id="search_events",
        tags=["events"],
        summary="Search events",
        parameters=SEARCH_PARAMETERS,
        responses=SearchResultSerializer,
    )
    def get(self, request: Request) -> Response:
        asked = EventFilter(request.query_params, queryset=Event.objects.all())
        check_form(request.query_params, asked.form)
        return Response(describe(request, search_events(asked)))


class SuggestView(StrictParameters, APIView):
    """What someone who is still typing may mean."""

    parameters = frozenset({"q"})

    @extend_schema(
        operation_id="suggest",
        tags=["events"],
        summary="Suggest events, performers, venues and cities",
        parameters=SUGGEST_PARAMETERS,
        responses=SuggestionsSerializer,
    )
    def get(self, request: Request) -> Response:
        form = SuggestForm(request.query_params)
        check_form(request.query_params, form)
        return Response(SuggestionsSerializer(suggest(form.cleaned_data["q"])).data)


def describe(request: Request, found: SearchResult) -> dict[str, object]:
    """What `SearchResultSerializer` tells of: the cursors as addresses, and no member that says nothing."""
    here = request.build_absolute_uri()
    correction = {} if found.did_you_mean is None else {"did_you_mean": found.did_you_mean}
    return {
        "next": found.next and replace_query_param(here, "cursor", found.next),
        "previous": found.previous and replace_query_param(here, "cursor", found.previous),
        "count": found.count,
        "count_is_exact": found.count_is_exact,
        **correction,
        "facets": found.facets,
        "results": [_summary().to_representation(event) for event in found.events],
    }


@cache
def _summary() -> EventSummarySerializer:
    """Made once: finding out its fields takes longer than what it then writes."""
    return EventSummarySerializer()
