"""The events, buyers and keys that the benchmarks use, made through the same models and services."""

from __future__ import annotations

import secrets
from datetime import timedelta
from decimal import Decimal

from django.utils import timezone

from bookings.models import ApiKey, User, hash_secret
from events.models import Event, PriceTier, Seat, Venue
from events.services import publish_event

SEATS_IN_ROW = 40
ROWS_IN_SECTION = 25
PRICE = Decimal("45.00")


def make_venue(slug: str, seats: int = 0) -> Venue:
    """A venue with so many seats in sections of a thousand."""
    venue = Venue.objects.create(
        slug=slug, name=slug.title(), city="Leipzig", country="DE", timezone="Europe/Berlin"
    )
    Seat.objects.bulk_create((_seat(venue, number) for number in range(seats)), batch_size=5000)
    return venue


def _seat(venue: Venue, number: int) -> Seat:
    row, place = divmod(number, SEATS_IN_ROW)
    section, row = divmod(row, ROWS_IN_SECTION)
    return Seat(
        venue=venue,
        guid=str(number),
        section=f"Block {section + 1}",
        row=str(row + 1),
        number=str(place + 1),
        category="Seats",
        row_index=row,
        place=place,
        x=place * 20,
        y=row * 20,
    )


def make_event(slug: str, venue: Venue, *, standing: int = 0) -> Event:
    """An event on sale: all the venue's seats in one tier, and so many tickets without a seat."""
    starts_at = timezone.now() + timedelta(days=60)
    event = Event.objects.create(
        slug=slug,
        title=f"The benchmark's {slug}",
        summary="An evening that is sold again and again.",
        description="Doors open early. **Bring a friend.**",
        venue=venue,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(hours=3),
    )
    if venue.seats.exists():
        PriceTier.objects.create(event=event, name="Seats", price=PRICE, is_seated=True)
    if standing:
        PriceTier.objects.create(event=event, name="Standing", price=PRICE, quantity=standing, position=1)
    publish_event(event)
    return event


def ticket_ids(event: Event) -> list[int]:
    return list(event.tickets.order_by("position").values_list("id", flat=True))


def first_account() -> int:
    """The id of the first account that `make_keys` made; those of the others follow it."""
    first: int = User.objects.order_by("id").values_list("id", flat=True)[0]
    return first


def make_keys(count: int) -> list[str]:
    """So many accounts with an API key each; a buyer may have only so many tickets of an event."""
    first = User.objects.count()
    users = User.objects.bulk_create(
        User(email=f"buyer{number}@example.org") for number in range(first, first + count)
    )
    keys = [secrets.token_urlsafe(24) for _ in users]
    now = timezone.now()
    ApiKey.objects.bulk_create(
        ApiKey(account=user, name="bench", key_hash=hash_secret(key), hint=key[:8], last_used_at=now)
        for user, key in zip(users, keys, strict=True)
    )
    return keys
