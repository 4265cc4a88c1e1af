"""Makes the rows that tests need, with every default said here and nothing made by surprise."""

from __future__ import annotations

import itertools
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from bookings.models import User
from events.models import Event, PriceTier, Seat, Ticket, Venue

_numbers = itertools.count(1)


def make_venue(**fields: Any) -> Venue:
    number = next(_numbers)
    defaults = {
        "slug": f"venue-{number}",
        "name": f"Venue {number}",
        "city": "Leipzig",
        "country": "DE",
        "timezone": "Europe/Berlin",
    }
    return Venue.objects.create(**defaults | fields)


def make_event(**fields: Any) -> Event:
    """A published event in thirty days, on sale now, without price tiers."""
    number = next(_numbers)
    starts_at = fields.pop("starts_at", timezone.now() + timedelta(days=30))
    defaults = {
        "slug": f"event-{number}",
        "title": f"Event {number}",
        "starts_at": starts_at,
        "ends_at": starts_at + timedelta(hours=2),
        "status": Event.Status.PUBLISHED,
    }
    if "venue" not in fields:
        fields["venue"] = make_venue()
    return Event.objects.create(**defaults | fields)


def make_general_admission(
    event: Event, quantity: int, *, price: str = "20.00", name: str = "Standing"
) -> PriceTier:
    """A general-admission tier with its tickets, after those the event has."""
    tier = PriceTier.objects.create(event=event, name=name, price=Decimal(price), quantity=quantity)
    _make_tickets(event, [{"price_tier": tier} for _ in range(quantity)])
    return tier


def make_seated(
    event: Event,
    *,
    rows: int = 1,
    seats: int = 10,
    price: str = "30.00",
    name: str = "Stalls",
    section: str = "",
) -> PriceTier:
    """A seated tier: `rows` rows of `seats` seats of one section, and their tickets."""
    section = section or name
    tier = PriceTier.objects.create(
        event=event, name=name, price=Decimal(price), is_seated=True, sections=[section]
    )
    made = Seat.objects.bulk_create(
        Seat(
            venue=event.venue,
            guid=f"{section}-{row}-{seat}",
            section=section,
            row=str(row + 1),
            number=str(seat + 1),
            row_index=row,
            place=seat,
            x=seat * 20,
            y=row * 30,
        )
        for row in range(rows)
        for seat in range(seats)
    )
    _make_tickets(event, [{"price_tier": tier, "seat": seat} for seat in made])
    return tier


def make_seated_event(*, rows: int = 1, seats: int = 10, price: str = "30.00", **fields: Any) -> Event:
    event = make_event(**fields)
    make_seated(event, rows=rows, seats=seats, price=price)
    return event


def make_user(**fields: Any) -> User:
    number = next(_numbers)
    defaults = {"email": f"buyer{number}@example.org", "password": "correct horse battery"}
    return User.objects.create_user(**defaults | fields)


def make_staff(**fields: Any) -> User:
    number = next(_numbers)
    defaults = {"email": f"staff{number}@example.org", "password": "correct horse battery"}
    return User.objects.create_superuser(**defaults | fields)


def ticket_ids(event: Event) -> list[int]:
    """The event's ticket ids in the order of their positions."""
    return list(event.tickets.order_by("position").values_list("id", flat=True))


def _make_tickets(event: Event, facts: list[dict[str, Any]]) -> None:
    start = event.tickets.count()
    Ticket.objects.bulk_create(
        Ticket(event=event, position=start + number, **fact) for number, fact in enumerate(facts)
    )
