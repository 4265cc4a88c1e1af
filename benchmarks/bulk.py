"""What a long sale or a long season leaves in the database, written by SQL in place of a million requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from benchmarks.house import PRICE, make_venue
from events.models import Event, PriceTier

EVENTS_AT_ONCE = 100
BOOKINGS_AT_ONCE = 1000

# --- A season -----------------------------------------------------------------------------

MAKE_EVENTS = """
INSERT INTO events_event (
    slug, title, summary, description, venue_id, starts_at, ends_at, status, currency,
    max_tickets_per_booking, max_extensions, refund_fee, website, created_at, updated_at
)
SELECT 'season-' || number, 'Evening ' || number, 'One of many evenings.', '', %(venue)s,
    starts_at, starts_at + interval '3 hours', 'published', 'EUR', 10, 10, 0, '', now(), now()
FROM generate_series(%(first)s::int, %(last)s::int) AS number,
    LATERAL (SELECT now() + interval '30 days' + number * interval '1 hour' AS starts_at) AS evening
RETURNING id
"""
MAKE_TIERS = """
INSERT INTO events_pricetier (event_id, name, price, position, is_seated, sections)
SELECT event, 'Seats', %(price)s, 0, true, '{}' FROM unnest(%(events)s::bigint[]) AS event
"""
MAKE_TICKETS = """
INSERT INTO events_ticket (event_id, price_tier_id, seat_id, position, status)
SELECT tier.event_id, tier.id, seat.id, seat.position, 'available'
FROM events_pricetier AS tier, (
    SELECT id, row_number() OVER (ORDER BY section, row_index, place) - 1 AS position
    FROM events_seat WHERE venue_id = %(venue)s
) AS seat
WHERE tier.event_id = ANY(%(events)s::bigint[])
ORDER BY tier.event_id, seat.position
"""
FOREIGN_KEYS = """
SELECT format('ALTER TABLE events_ticket DROP CONSTRAINT %I', conname),
    format('ALTER TABLE events_ticket ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid))
FROM pg_constraint WHERE conrelid = 'events_ticket'::regclass AND contype = 'f'
"""
INDEXES = """
SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
FROM pg_index WHERE indrelid = 'events_ticket'::regclass AND NOT indisunique
"""


def make_season(events: int, *, tickets: int) -> None:
    """Add events on sale, each with so many seats, until there are so many; a venue for each hundred."""
    with _loading_tickets():
        for first in range(Event.objects.filter(slug__startswith="season-").count(), events, EVENTS_AT_ONCE):
            venue = make_venue(f"season-{first}", tickets)
            last = min(first + EVENTS_AT_ONCE, events) - 1
            with transaction.atomic(), connection.cursor() as cursor:
                values: dict[str, Any] = {"venue": venue.pk, "price": PRICE, "first": first, "last": last}
                cursor.execute(MAKE_EVENTS, values)
                values["events"] = [pk for (pk,) in cursor.fetchall()]
                cursor.execute(MAKE_TIERS, values)
                cursor.execute(MAKE_TICKETS, values)


@contextmanager
def _loading_tickets() -> Iterator[None]:
    """Without the tickets' foreign keys and plain indexes, which are made again from the whole.

    As `pg_restore` does it, since one by one they take longer than the rows themselves.
    """
    with connection.cursor() as cursor:
        cursor.execute(FOREIGN_KEYS)
        foreign_keys = cursor.fetchall()
        cursor.execute(INDEXES)
        steps = foreign_keys + cursor.fetchall()
        for drop, _make in steps:
            cursor.execute(drop)
        try:
            yield
        finally:
            for _drop, make in steps:
                cursor.execute(make)


def season_tickets(events: int) -> dict[str, list[int]]:
    """The tickets of the season's first events in the order of their places, by the event's slug."""
    found: dict[str, list[int]] = {}
    slugs = [f"season-{number}" for number in range(events)]
    rows = Event.objects.filter(slug__in=slugs).order_by("id", "tickets__position")
    for slug, ticket in rows.values_list("slug", "tickets__id"):
        found.setdefault(slug, []).append(ticket)
    return found


# --- A sale -------------------------------------------------------------------------------

RESERVE = """
WITH chosen AS MATERIALIZED (
    SELECT id, price_tier_id, event_id, (row_number() OVER (ORDER BY id) - 1) / 2 AS number
    FROM events_ticket WHERE price_tier_id = %(tier)s AND status = 'available'
    ORDER BY id LIMIT %(tickets)s
), made AS MATERIALIZED (
    SELECT gen_random_uuid() AS id, number, min(id) AS first, event_id, count(*) * %(price)s::numeric AS total
    FROM chosen GROUP BY number, event_id
), booking AS (
    INSERT INTO bookings_booking (
        id, reference, event_id, email, name, access_token_hash, status, expires_at, extensions_used,
        total, currency, created_at
    )
    SELECT id, lpad(first::text, 8, '0'), event_id, first || '@example.org', 'A buyer', md5(first::text),
        'reserved', now() + interval '10 minutes', 0, total, 'EUR', now()
    FROM made
), items AS (
    INSERT INTO bookings_bookingitem (booking_id, ticket_id, price_tier_id, price, holder_name)
    SELECT made.id, chosen.id, chosen.price_tier_id, %(price)s, '' FROM chosen JOIN made USING (number)
), reserved AS (
    UPDATE events_ticket AS ticket
    SET status = 'reserved', booking_id = made.id, reserved_until = now() + interval '10 minutes'
    FROM chosen JOIN made USING (number) WHERE ticket.id = chosen.id
)
SELECT id FROM made
"""
BOOK = """
WITH booking AS (
    UPDATE bookings_booking SET status = 'booked', booked_at = now() WHERE id = ANY(%(bookings)s)
    RETURNING id
), items AS (
    UPDATE bookings_bookingitem AS item SET code = lpad(item.ticket_id::text, 16, '0')
    FROM booking WHERE item.booking_id = booking.id
)
UPDATE events_ticket AS ticket SET status = 'booked', reserved_until = NULL
FROM booking WHERE ticket.booking_id = booking.id
"""


def sell_until(tier: PriceTier, *, left: int) -> None:
    """Book the tier's tickets in their order, two for each buyer, until so many are left.

    Leaves what a sale leaves of tickets, bookings and their items, each row written as often: held
    first, booked by another transaction. Payments and mails are left out.
    """
    while (more := tier.tickets.filter(status="available").count() - left) > 0:
        values: dict[str, Any] = {"tier": tier.pk, "price": tier.price}
        values["tickets"] = min(more, 2 * BOOKINGS_AT_ONCE)
        with connection.cursor() as cursor:
            cursor.execute(RESERVE, values)
            values["bookings"] = [pk for (pk,) in cursor.fetchall()]
            cursor.execute(BOOK, values)
