"""The event's list, which a device holds so that it can go on deciding without a connection.

Tickets are named by a hash of their codes: who finds a lost device learns no code from it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Q, QuerySet

from bookings.door.models import Scan
from bookings.door.querysets import tickets_of, with_counts
from bookings.models import Booking, BookingItem, Refund
from events.models import Event
from events.templatetags.box_office import place_name

# A transaction that was under way when a device last asked shows later, with an earlier time: no
# transaction may run for so long.
OVERLAP = timedelta(seconds=60)
HASH_BYTES = 12


@dataclass(frozen=True)
class SectionCount:
    """How full a part of the house is: how many tickets were sold there, how many are in."""

    name: str
    booked: int
    entered: int


def count_sections(event: Event) -> list[SectionCount]:
    """In the order of their names, the empty ones too."""
    rows = with_counts(tickets_of(event), "section")
    return [SectionCount(row["section"], row["booked"], row["entered"]) for row in rows]


def code_key(code: str) -> str:
    """The first 96 bits of the code's SHA-256 in URL-safe base64: too many to be any other code's."""
    digest = hashlib.sha256(code.encode()).digest()[:HASH_BYTES]
    return base64.urlsafe_b64encode(digest).decode()


def list_version(event: Event) -> str:
    """Different whenever a ticket was booked, given back, let in or undone. Begins with when that was."""
    booked = Booking.objects.filter(event=event).aggregate(
        last=Max("booked_at"), number=Count("pk", filter=Q(booked_at__isnull=False))
    )
    refunded = Refund.objects.filter(booking__event=event).aggregate(
        last=Max("requested_at"), number=Count("pk")
    )
    scanned = Scan.objects.filter(event=event).aggregate(last=Max("recorded_at"), number=Count("pk"))
    parts = (booked, refunded, scanned)
    last = max((part["last"] for part in parts if part["last"]), default=datetime.fromtimestamp(0, UTC))
    numbers = [f"{part['number']:x}" for part in parts]
    return "-".join([f"{int(last.timestamp()):x}", *numbers])


def version_time(version: str) -> datetime | None:
    """From when on the changes after that version are to be looked for; None for what is no version."""
    try:
        seconds = int(version.partition("-")[0], 16)
        return datetime.fromtimestamp(seconds, UTC) - OVERLAP
    except (ValueError, OverflowError, OSError):
        return None


def held_tickets(event: Event, *, since: datetime | None = None) -> list[dict[str, Any]]:
    """Every ticket, or those that anything happened to since then, as a device keeps them."""
    tickets = tickets_of(event)
    if since is not None:
        tickets = tickets.filter(_changed_since(event, since))
    doors = _doors(event, since)
    rows = tickets.select_related("booking", "ticket__seat", "price_tier").order_by("pk")
    return [_describe(item, doors) for item in rows]


def _changed_since(event: Event, since: datetime) -> Q:
    scanned = Scan.objects.filter(event=event, recorded_at__gt=since).values("item")
    return Q(booking__booked_at__gt=since) | Q(refund__requested_at__gt=since) | Q(pk__in=scanned)


def _doors(event: Event, since: datetime | None) -> dict[int | None, str]:
    """Where each ticket that is in went in."""
    admissions: QuerySet[Scan] = Scan.objects.filter(event=event).standing_admissions()
    if since is not None:
        admissions = admissions.filter(recorded_at__gt=since)
    return dict(admissions.values_list("item", "door"))


def _describe(item: BookingItem, doors: dict[int | None, str]) -> dict[str, Any]:
    return {
        "id": item.ticket_id,
        "key": code_key(item.code or ""),
        "section": item.section,  # type: ignore[attr-defined]  # Annotated by tickets_of().
        "place": place_name(item.ticket.seat, item.price_tier),
        "holder_name": item.holder_name or item.booking.name,
        "state": _state(item),
        "checked_in_at": item.checked_in_at,
        "door": doors.get(item.pk, ""),
    }


def _state(item: BookingItem) -> str:
    if item.refund_id is not None or item.booking.status != Booking.Status.BOOKED:
        return "refunded"
    return "booked" if item.checked_in_at is None else "used"


def doors_of(event: Event) -> list[str]:
    """The names of the doors that were used so far, to choose from."""
    return sorted(set(Scan.objects.filter(event=event).values_list("door", flat=True).distinct()))


def total(counts: Iterable[SectionCount]) -> SectionCount:
    counts = list(counts)
    return SectionCount("", sum(count.booked for count in counts), sum(count.entered for count in counts))
