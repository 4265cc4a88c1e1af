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
from bookings.models import Booking, Refund
from events.models import Event
from events.templatetags.box_office import seat_name

# A transaction that was under way when a device last asked shows later, with an earlier time: no
# transaction may run for so long.
OVERLAP = timedelta(seconds=60)
HASH_BYTES = 12
# What a device is told of a ticket is made of these.
FACTS = (
    "pk",
    "ticket",
    "code",
    "section",
    "ticket__seat__row",
    "ticket__seat__number",
    "holder_name",
    "booking__name",
    "booking__status",
    "refund",
    "checked_in_at",
)


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
    # Plain rows: a model for each of a stadium's tickets, and for what it refers to, takes ten times as long.
    rows = tickets.order_by("pk").values(*FACTS)
    return [_describe(row, doors) for row in rows.iterator(chunk_size=2000)]


def _changed_since(event: Event, since: datetime) -> Q:
    scanned = Scan.objects.filter(event=event, recorded_at__gt=since).values("item")
    return Q(booking__booked_at__gt=since) | Q(refund__requested_at__gt=since) | Q(pk__in=scanned)


def _doors(event: Event, since: datetime | None) -> dict[int | None, str]:
    """Where each ticket that is in went in."""
    admissions: QuerySet[Scan] = Scan.objects.filter(event=event).standing_admissions()
    if since is not None:
        admissions = admissions.filter(recorded_at__gt=since)
    return dict(admissions.values_list("item", "door"))


def _describe(row: dict[str, Any], doors: dict[int | None, str]) -> dict[str, Any]:
    number = row["ticket__seat__number"]
    return {
        "id": row["ticket"],
        "key": code_key(row["code"]),
        "section": row["section"],
        "place": row["section"]
        if number is None
        else seat_name(row["section"], row["ticket__seat__row"], number),
        "holder_name": row["holder_name"] or row["booking__name"],
        "state": _state(row),
        "checked_in_at": row["checked_in_at"],
        "door": doors.get(row["pk"], ""),
    }


def _state(row: dict[str, Any]) -> str:
    if row["refund"] is not None or row["booking__status"] != Booking.Status.BOOKED:
        return "refunded"
    return "booked" if row["checked_in_at"] is None else "used"


def doors_of(event: Event) -> list[str]:
    """The names of the doors that were used so far, to choose from."""
    return sorted(set(Scan.objects.filter(event=event).values_list("door", flat=True).distinct()))


def total(counts: Iterable[SectionCount]) -> SectionCount:
    counts = list(counts)
    return SectionCount("", sum(count.booked for count in counts), sum(count.entered for count in counts))
