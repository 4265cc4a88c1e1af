"""What an event page offers to choose from: price tiers, sections, and the rows of one section."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple

from django.db.models import Count, Q

from events.availability import with_live_status
from events.models import Event, PriceTier, Ticket

# A hall with no more seats than this is shown at once; a larger one section by section.
SEATS_AT_ONCE = 400


@dataclass(frozen=True)
class Wish:
    """What a buyer asked for and could not have, so that the page comes back as they left it."""

    ticket_ids: Collection[int] = ()
    price_tier_id: int | None = None
    quantity: int | None = None
    refusal: str = ""
    lost: Collection[int] = ()
    suggestion: Collection[int] = ()


@dataclass(frozen=True)
class TierOffer:
    """A price tier and how many of its tickets can be taken now."""

    tier: PriceTier
    available: int


@dataclass
class SectionOffer:
    """A section with numbered seats; `available` counts the seats that can be taken now."""

    name: str
    available: int = 0
    total: int = 0
    prices: set[Decimal] = field(default_factory=set)

    @property
    def price_min(self) -> Decimal:
        return min(self.prices)

    @property
    def price_max(self) -> Decimal:
        return max(self.prices)


@dataclass(frozen=True)
class Row:
    """One row of seats in their order. Each ticket has its `live_status`, seat and price tier."""

    name: str
    tickets: Sequence[Ticket]


class SeatCount(NamedTuple):
    """The seats of one price tier in one section: how many are for sale, and how many are free now."""

    section: str
    price_tier_id: int
    for_sale: int
    free: int


@dataclass(frozen=True)
class Counts:
    """How many tickets of an event there are at one moment, but for those kept back."""

    ticket_count: int
    # By the id of the price tier.
    free_in_tier: Mapping[int, int]
    seats: Sequence[SeatCount]


@dataclass(frozen=True)
class Hall:
    """Everything there is to choose from, and the rows of the sections that are open."""

    tiers: Sequence[TierOffer]
    sections: Sequence[SectionOffer]
    open_sections: Sequence[tuple[SectionOffer, Sequence[Row]]] = ()

    @property
    def is_shown_at_once(self) -> bool:
        return sum(section.total for section in self.sections) <= SEATS_AT_ONCE


def read_hall(event: Event, counts: Counts, *, section: str, wish: Wish) -> Hall:
    """The event's offer in two queries: tiers, and the seats of what is open.

    `section` opens one; without it the wished seats' sections are open, which costs a third
    query. A small hall is open altogether.
    """
    tiers = {
        tier.pk: TierOffer(tier, counts.free_in_tier.get(tier.pk, 0)) for tier in event.price_tiers.all()
    }
    sections: dict[str, SectionOffer] = {}
    for seats in counts.seats:
        if seats.price_tier_id not in tiers:
            # Taken away since it was counted.
            continue
        found = sections.setdefault(seats.section, SectionOffer(seats.section))
        found.available += seats.free
        found.total += seats.for_sale
        found.prices.add(tiers[seats.price_tier_id].tier.price)
    hall = Hall(list(tiers.values()), sorted(sections.values(), key=_as_people_count))
    opened = _sections_to_open(hall, event, section, wish)
    rows = _read_rows(event, opened)
    return replace(hall, open_sections=[(sections[name], found) for name, found in rows])


def count_tickets(event: Event) -> Counts:
    """Counted by the database, in one query. Of a large hall a picture knows as much."""
    found = (
        with_live_status(Ticket.objects.filter(event=event), event.pk)
        .order_by("seat__section", "price_tier")
        .values_list("seat__section", "price_tier")
        .annotate(
            for_sale=Count("pk", filter=~Q(status=Ticket.Status.BLOCKED)),
            free=Count("pk", filter=Q(live_status=Ticket.Status.AVAILABLE)),
        )
    )
    ticket_count, free_in_tier, seats = 0, Counter[int](), []
    for section, tier_id, for_sale, free in found:
        ticket_count += for_sale
        free_in_tier[tier_id] += free
        if section is not None:
            seats.append(SeatCount(section, tier_id, for_sale, free))
    return Counts(ticket_count, free_in_tier, seats)


def name_tickets(event: Event, ticket_ids: Iterable[int]) -> list[Ticket]:
    """These tickets of the event with their seats and tiers, in their order in the hall."""
    tickets = event.tickets.filter(pk__in=set(ticket_ids)).select_related("seat", "price_tier")
    return list(tickets.order_by("position"))


def _as_people_count(section: SectionOffer) -> list[tuple[int, str]]:
    """Sorts Block 2 before Block 10."""
    return [(int(digits or 0), words) for words, digits in re.findall(r"(\D+|(?=\d))(\d*)", section.name)]


def _sections_to_open(hall: Hall, event: Event, section: str, wish: Wish) -> list[str]:
    names = [offer.name for offer in hall.sections]
    if hall.is_shown_at_once:
        return names
    if not section and wish.ticket_ids:
        wished = event.tickets.filter(pk__in=list(wish.ticket_ids), seat__isnull=False)
        found = wished.order_by("seat__section").values_list("seat__section", flat=True).distinct()
        # The counts may be a moment older than the rows.
        return [name for name in found if name in names]
    return [section] if section in names else []


def _read_rows(event: Event, sections: Sequence[str]) -> list[tuple[str, list[Row]]]:
    if not sections:
        return []
    tickets = (
        with_live_status(event.tickets.filter(seat__section__in=sections), event.pk)
        .select_related("seat", "price_tier")
        .order_by("seat__section", "seat__row_index", "seat__place")
    )
    return [
        (section, [Row(name, list(seats)) for name, seats in groupby(found, key=_row_of)])
        for section, found in groupby(tickets, key=_section_of)
    ]


def _section_of(ticket: Ticket) -> str:
    return ticket.seat.section if ticket.seat else ""


def _row_of(ticket: Ticket) -> str:
    return ticket.seat.row if ticket.seat else ""
