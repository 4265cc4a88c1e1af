"""Events for programs: what they are, their tickets, and the live picture."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, TypeVar

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from events.api.filters import TicketFilter
from events.api.parameters import PAGE_PARAMETERS, StrictFilterBackend, StrictParameters
from events.api.serializers import AvailabilitySerializer, EventSerializer, TicketSerializer
from events.availability import Snapshot, remember, with_live_status
from events.models import Event, Ticket
from events.pictures import picture_of
from events.querysets import TicketQuerySet

Found = TypeVar("Found")


class EventView(StrictParameters, APIView):
    """One event that the public may see."""

    @extend_schema(
        operation_id="event",
        tags=["events"],
        summary="One event, with its prices and how many tickets are left",
        responses=EventSerializer,
        extensions={"x-problems": ["not_found"]},
    )
    def get(self, request: Request, slug: str) -> HttpResponse:
        return json_response(_found_or_404(lambda: event_as_json(slug)))


class TicketListView(StrictParameters, ListAPIView[Ticket]):
    """The tickets of one event, with what never changes about them, and their state."""

    queryset = Ticket.objects.none()
    serializer_class = TicketSerializer
    filter_backends = [StrictFilterBackend]
    filterset_class = TicketFilter
    cursor_ordering = ("position",)
    parameters = PAGE_PARAMETERS | {"status", "price_tier", "section"}

    def get_queryset(self) -> TicketQuerySet:
        event = get_object_or_404(Event.objects.published(), slug=self.kwargs["slug"])
        return with_live_status(
            Ticket.objects.filter(event=event).select_related("seat", "price_tier"), event.pk
        )

    @extend_schema(
        operation_id="tickets",
        tags=["events"],
        summary="The event's tickets by position",
        extensions={"x-problems": ["not_found"]},
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class AvailabilityView(StrictParameters, APIView):
    """The state of every ticket of one event, small enough to ask for every second."""

    parameters = frozenset({"since"})

    @extend_schema(
        operation_id="availability",
        tags=["events"],
        summary="The live picture",
        description=(
            "`statuses` is base64 of two bits per ticket in `position` order: 0 available, 1 reserved, "
            "2 booked, 3 blocked. The ticket at position p is in byte p // 4, at bits 2 * (p % 4), "
            "low bits first; the rest of the last byte is zero.\n\n"
            "With `since`, a `version` from a few minutes ago at most, "
            "`changes` lists `[position, state]` of the tickets that are different now, in place of "
            "`statuses`. Where that version is not remembered, `statuses` comes again in full."
        ),
        parameters=[OpenApiParameter("since", str, description="A `version` that the caller already has.")],
        responses=AvailabilitySerializer,
        extensions={"x-problems": ["not_found"]},
    )
    def get(self, request: Request, slug: str) -> HttpResponse:
        picture = _found_or_404(lambda: picture_of(slug))
        snapshot = picture.snapshot
        picture.once("remembered", lambda: remember(snapshot))
        since = request.query_params.get("since")
        changes = None if since is None else picture.changes_since(since)
        if changes is None:
            return json_response(picture.once("all states as JSON", lambda: describe_states(snapshot)))
        return json_response(describe_states(snapshot, changes))


def _found_or_404(find: Callable[[], Found]) -> Found:
    try:
        return find()
    except Event.DoesNotExist as error:
        raise Http404 from error


def json_response(content: bytes) -> HttpResponse:
    """An answer that is JSON already."""
    return HttpResponse(content, content_type=JSONRenderer.media_type)


def event_as_json(slug: str) -> bytes:
    """The event with the numbers of its picture. Raises `Event.DoesNotExist`."""
    picture = picture_of(slug)

    def describe() -> bytes:
        event = picture.event
        described = EventSerializer(event, context={"event": event, "snapshot": picture.snapshot})
        return as_json(described.data)

    return picture.once("event as JSON", describe)


def describe_states(snapshot: Snapshot, changes: list[tuple[int, int]] | None = None) -> bytes:
    """The picture as JSON: in full, or what has changed since another."""
    if changes is None:
        states: dict[str, Any] = {"statuses": base64.b64encode(snapshot.packed).decode()}
    else:
        states = {"changes": changes}
    tiers = [{"id": tier, "available": count} for tier, count in snapshot.available_in_tier.items()]
    described = {"version": snapshot.version, "as_of": snapshot.as_of, **states, "price_tiers": tiers}
    return as_json(described)


def as_json(described: Any) -> bytes:
    content: bytes = JSONRenderer().render(described)
    return content
