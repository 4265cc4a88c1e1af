"""The pages for door staff. They work without JavaScript; with it, also without a connection."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from bookings.access import AccountRequest
from bookings.door.forms import CodeForm
from bookings.door.held_list import SectionCount, count_sections, doors_of, total
from bookings.door.models import Scan
from bookings.door.permissions import may_check_in
from bookings.door.querysets import events_at_the_door, open_doors, tickets_of_all, with_counts
from bookings.door.services import ScanResult, admit, describe, undo
from events.models import Event

# Enough for a week of a busy house; who wants a later door waits a day.
DOORS_LISTED = 40
SESSION_DOOR = "door"

Parameters = ParamSpec("Parameters")
View = Callable[Concatenate[AccountRequest, Parameters], HttpResponse]


def door_staff_only(view: View[Parameters]) -> Callable[..., HttpResponse]:
    """Sign in first; 403 for accounts that may not check tickets in."""

    @wraps(view)
    def guarded(request: AccountRequest, *args: Parameters.args, **kwargs: Parameters.kwargs) -> HttpResponse:
        if not may_check_in(request.user):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return login_required(guarded)


@never_cache
@require_safe
@door_staff_only
def listing(request: AccountRequest) -> HttpResponse:
    """Today's doors, and the next ones."""
    events = list(open_doors()[:DOORS_LISTED])
    rows = with_counts(tickets_of_all(events), "booking__event")
    counts = {row["booking__event"]: SectionCount("", row["booked"], row["entered"]) for row in rows}
    doors = [(event, counts.get(event.pk, SectionCount("", 0, 0))) for event in events]
    today = [door for door in doors if is_today(door[0])]
    return render(
        request, "door/list.html", {"today": today, "later": [door for door in doors if door not in today]}
    )


def is_today(event: Event) -> bool:
    """By the venue's calendar; what began before and has not ended is today's too."""
    now = timezone.now().astimezone(event.venue.zone)
    return event.starts_at.astimezone(event.venue.zone).date() <= now.date()


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@door_staff_only
def check_in(request: AccountRequest, slug: str) -> HttpResponse:
    """The door of one event: a typed code is posted here."""
    event = get_object_or_404(events_at_the_door(), slug=slug)
    if request.method != "POST":
        return door_page(request, event, new_form(request), found=_found(request, event))
    form = CodeForm(request.POST)
    if not form.is_valid():
        return door_page(request, event, form, status=400)
    typed = form.cleaned_data
    request.session[SESSION_DOOR] = typed["door"]
    found = admit(
        event=event, code=typed["code"], door=typed["door"], by=request.user, scan_id=typed["scan_id"]
    )
    return to_result(event, found)


def new_form(request: HttpRequest) -> CodeForm:
    door = request.session.get(SESSION_DOOR) or _("Main entrance")
    return CodeForm(initial={"door": door, "scan_id": uuid.uuid4()})


def _found(request: HttpRequest, event: Event) -> ScanResult | None:
    """The scan that the address names, where it is one of this event."""
    try:
        scan_id = uuid.UUID(request.GET.get("scan", ""))
    except ValueError:
        return None
    scan = Scan.objects.filter(pk=scan_id, event=event).first()
    return None if scan is None else describe([scan])[0]


def door_page(
    request: HttpRequest, event: Event, form: CodeForm, *, found: ScanResult | None = None, status: int = 200
) -> HttpResponse:
    sections = count_sections(event)
    context = {
        "event": event,
        "form": form,
        "found": found,
        "sections": sections,
        "total": total(sections),
        "doors": doors_of(event),
        "results": Scan.Result.values,
    }
    return render(request, "door/event.html", context, status=status)


def to_result(event: Event, found: ScanResult) -> HttpResponse:
    return redirect(f"{reverse('door:event', args=[event.slug])}?scan={found.scan.pk}")


@require_POST
@door_staff_only
def undo_scan(request: AccountRequest, slug: str, scan_id: uuid.UUID) -> HttpResponse:
    """Take an admission back."""
    scan = get_object_or_404(Scan, pk=scan_id, event__slug=slug, result=Scan.Result.ADMITTED)
    return to_result(scan.event, undo(scan_id=scan.pk, by=request.user))


@cache_control(no_cache=True)
@require_safe
def worker(request: HttpRequest) -> HttpResponse:
    """The service worker: here and not among the static files, as it may only serve what is below it."""
    return render(request, "door/worker.js", content_type="text/javascript")
