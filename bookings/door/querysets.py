"""The vocabulary of the door: which events, which tickets, which admissions."""

from __future__ import annotations

import typing
from collections.abc import Iterable
from datetime import timedelta
from typing import Self

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Coalesce, Now

from bookings.models import BookingItem
from events.models import Event
from events.querysets import EventQuerySet

if typing.TYPE_CHECKING:
    from bookings.door.models import Scan

# People come back in and lists are looked at for a while after the end.
STAYS_LISTED = timedelta(hours=12)


def events_at_the_door() -> EventQuerySet:
    """Events that have a door: what was never public or will not happen has none."""
    return Event.objects.filter(status__in=["published", "postponed"]).select_related("venue")


def open_doors() -> EventQuerySet:
    """Those that are on, or still to come, the nearest first."""
    return events_at_the_door().filter(ends_at__gt=Now() - STAYS_LISTED).order_by("starts_at", "id")


def tickets_of(event: Event) -> QuerySet[BookingItem]:
    """Everything that was ever booked for the event, given back or not. `section` is annotated."""
    # General admission has no section; there the price tier tells where people stand.
    section = Coalesce("ticket__seat__section", "price_tier__name")
    return tickets_of_all([event]).annotate(section=section)


def tickets_of_all(events: Iterable[Event]) -> QuerySet[BookingItem]:
    """Everything that was ever booked for these events."""
    return BookingItem.objects.filter(booking__event__in=list(events), code__isnull=False)


def valid() -> Q:
    """Booked tickets that were not given back."""
    return Q(refund=None, booking__status="booked")


def with_counts(tickets: QuerySet[BookingItem], group: str) -> list[dict[str, typing.Any]]:
    """How many of the valid tickets there are, and how many are in, for each group in order."""
    counts = tickets.filter(valid()).order_by(group).values(group)
    return list(counts.annotate(booked=Count("pk"), entered=Count("checked_in_at")))


class ScanQuerySet(QuerySet["Scan"]):
    """Scans by what came of them."""

    def of_items(self, items: Iterable[BookingItem]) -> Self:
        return self.filter(item__in=[item.pk for item in items])

    def standing_admissions(self) -> Self:
        """Admissions that were not undone: one at most for each ticket."""
        return self.filter(result="admitted", undone_by=None)

    def double_entries(self) -> Self:
        """People who went in at an offline door and would have been refused."""
        return self.filter(let_in=True).exclude(result="admitted")

    def with_details(self) -> Self:
        return self.select_related(
            "event__venue",
            "scanned_by",
            "item__booking__event__venue",
            "item__price_tier",
            "item__ticket__seat",
        )
