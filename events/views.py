"""The home page, an event's page, and its poster."""

from __future__ import annotations

import secrets
from typing import Any

from django.conf import settings
from django.db.models import Count, Q
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from events.descriptions import render_description
from events.hall import Counts, Wish, name_tickets, read_hall
from events.models import Category, Event, Venue
from events.pictures import Picture, counts_of, large_picture_of
from events.posters import draw_poster
from events.querysets import PUBLIC_STATUSES
from events.requests import HtmxHttpRequest

SOON = 12
CITIES = 14
# Seconds. So far may a page that visitors share be behind, so that not each of them asks whether it is.
PAGE_BEHIND = 0.05
# The page of a session is its own, htmx is given a part of it, and nobody may keep what is so soon untrue.
PAGE_HEADERS = {"Vary": "HX-Request, Cookie", "Cache-Control": "no-store, private"}


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


@require_safe
def detail(request: HtmxHttpRequest, slug: str) -> HttpResponse:
    """An event; `?section=` opens one section of a large hall."""
    picture = large_picture_of(slug, behind=PAGE_BEHIND) if is_like_anybodys(request) else None
    if picture is not None:
        try:
            return picture.once("page", lambda: DrawnPage(picture, request)).answer(request)
        except Event.DoesNotExist as error:
            raise Http404 from error
    event = get_object_or_404(Event.objects.published().for_listing(), slug=slug)
    return event_page(request, event, section=request.GET.get("section", ""))


def is_like_anybodys(request: HtmxHttpRequest) -> bool:
    """Whether everybody who has no session sees the same page at this address, but for the CSRF token."""
    sent = request.META
    is_plain = not sent["QUERY_STRING"] and "HTTP_HX_REQUEST" not in sent
    return is_plain and settings.SESSION_COOKIE_NAME not in request.COOKIES


class DrawnPage:
    """The page of a large hall for visitors without a session, drawn once for each picture of it.

    Each answer has a CSRF token of its own.
    """

    # Stands where the token belongs. Nobody can write it into a title or a description.
    TOKEN = secrets.token_hex(32)

    def __init__(self, picture: Picture, request: HttpRequest) -> None:
        context = page_context(picture.event, picture.counts) | {"csrf_token": self.TOKEN}
        html = render_to_string("events/detail.html", context, request)
        self._parts = html.encode().split(self.TOKEN.encode())

    def answer(self, request: HttpRequest) -> HttpResponse:
        # A page without a form needs no token, and leaves no cookie.
        is_plain = len(self._parts) == 1
        page = self._parts[0] if is_plain else get_token(request).encode().join(self._parts)
        return HttpResponse(page, headers=PAGE_HEADERS)


def event_page(
    request: HtmxHttpRequest,
    event: Event,
    *,
    section: str = "",
    wish: Wish | None = None,
    status: int = 200,
) -> HttpResponse:
    """The page of an event from `for_listing()`, with the buyer's wish where it was refused."""
    is_part = request.htmx and not request.htmx.history_restore_request
    template = "events/_seats.html" if is_part else "events/detail.html"
    context = page_context(event, counts_of(event), section=section, wish=wish)
    response = render(request, template, context, status=status)
    for name, value in PAGE_HEADERS.items():
        response.headers[name] = value
    return response


def page_context(
    event: Event, counts: Counts, *, section: str = "", wish: Wish | None = None
) -> dict[str, Any]:
    wish = wish or Wish()
    named = (
        {ticket.pk: ticket for ticket in name_tickets(event, [*wish.lost, *wish.suggestion])}
        if wish.refusal
        else {}
    )
    return {
        "event": event,
        "venue": event.venue,
        "hall": read_hall(event, counts, section=section, wish=wish),
        "section": section,
        "wish": wish,
        "lost": [ticket for ticket in named.values() if ticket.pk in set(wish.lost)],
        "suggestion": [ticket for ticket in named.values() if ticket.pk in set(wish.suggestion)],
        "quantities": range(1, event.max_tickets_per_booking + 1),
        "description": render_description(event.description),
    }


@require_safe
@cache_control(public=True, max_age=31_536_000, immutable=True)
def poster(request: HttpRequest, kind: str, slug: str) -> HttpResponse:
    """The picture that belongs to a slug. Asks nothing of the database."""
    return HttpResponse(draw_poster(kind, slug), content_type="image/svg+xml")
