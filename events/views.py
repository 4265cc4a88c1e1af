"""The home page, an event's page, and its poster."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Q
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_safe

from events.descriptions import render_description
from events.hall import Wish, name_tickets, read_hall
from events.models import Category, Event, Venue
from events.posters import draw_poster
from events.querysets import PUBLIC_STATUSES
from events.requests import HtmxHttpRequest

SOON = 12
CITIES = 14


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """What is on soon, and ways into the rest."""
    upcoming = Q(events__status__in=PUBLIC_STATUSES, events__ends_at__gt=Now())
    context = {
        "events": Event.objects.published().upcoming().for_listing().order_by("starts_at", "id")[:SOON],
        "categories": Category.objects.annotate(count=Count("events", filter=upcoming))
        .filter(count__gt=0)
        .order_by("name"),
        "cities": Venue.objects.exclude(city="")
        .values("city")
        .annotate(count=Count("events", filter=upcoming))
        .filter(count__gt=0)
        .order_by("-count", "city")[:CITIES],
        "hide_site_search": True,
    }
    return render(request, "events/home.html", context)


@never_cache
@require_safe
def detail(request: HtmxHttpRequest, slug: str) -> HttpResponse:
    """An event; `?section=` opens one section of a large hall."""
    event = get_object_or_404(Event.objects.published().for_listing(), slug=slug)
    return event_page(request, event, section=request.GET.get("section", ""))


def event_page(
    request: HtmxHttpRequest,
    event: Event,
    *,
    section: str = "",
    wish: Wish | None = None,
    status: int = 200,
) -> HttpResponse:
    """The page of an event from `for_listing()`, with the buyer's wish where it was refused."""
    wish = wish or Wish()
    named = (
        {ticket.pk: ticket for ticket in name_tickets(event, [*wish.lost, *wish.suggestion])}
        if wish.refusal
        else {}
    )
    context: dict[str, Any] = {
        "event": event,
        "venue": event.venue,
        "hall": read_hall(event, section=section, wish=wish),
        "section": section,
        "wish": wish,
        "lost": [ticket for ticket in named.values() if ticket.pk in set(wish.lost)],
        "suggestion": [ticket for ticket in named.values() if ticket.pk in set(wish.suggestion)],
        "quantities": range(1, event.max_tickets_per_booking + 1),
        "description": render_description(event.description),
    }
    is_part = request.htmx and not request.htmx.history_restore_request
    template = "events/_seats.html" if is_part else "events/detail.html"
    response = render(request, template, context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


@require_safe
@cache_control(public=True, max_age=31_536_000, immutable=True)
def poster(request: HttpRequest, kind: str, slug: str) -> HttpResponse:
    """The picture that belongs to a slug. Asks nothing of the database."""
    return HttpResponse(draw_poster(kind, slug), content_type="image/svg+xml")
