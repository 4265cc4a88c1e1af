"""The one statement that reserves tickets: it decides, and writes all of a hold or nothing.

Everything that must not be torn apart is in it: what the buyer has already, whether the event is on
sale by the database's clock, which of the wanted rows are free, the booking, its items, the rows' new
state, and the mail that leads back to it. One round trip, so that a row is locked for as short as can
be, and a plan that the server keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db.models.functions import Coalesce, Now

from bookings.buyers import EXCEEDED, Buyer, values_for_exceeded
from bookings.exceptions import LimitExceeded, NotOnSale, TicketsUnavailable
from bookings.models import Booking
from bookings.outbox.models import Mail
from bookings.outbox.services import INSERT_MAILS
from events.models import Event, PriceTier
from events.querysets import IS_AVAILABLE
from events.statements import array_of, execute

# Whoever pays at once needs no mail that leads back to the hold.
WAY_BACK_AFTER = timedelta(seconds=60)

# Asked before any row is looked at, so that no row is locked before the buyer is.
IS_WITHIN_LIMITS = "NOT EXISTS (SELECT FROM exceeded)"

# The rows that are still free once their turn in the queue for the lock has come, in the order of
# their ids, so that no two buyers wait for each other.
CERTAIN_TICKETS = f"""
    SELECT id, price_tier_id, seat_id, position FROM events_ticket AS ticket
    WHERE id = ANY(%(tickets)s::bigint[]) AND event_id = %(event)s::bigint
        AND price_tier_id = coalesce(%(tier)s::bigint, price_tier_id)
        AND {IS_AVAILABLE} AND {IS_WITHIN_LIMITS}
    ORDER BY id FOR NO KEY UPDATE
"""  # noqa: S608  # Constants, as below.

# Unsold ones first, then lapsed ones. Rows that another buyer is just taking are passed over.
# `after` is where looking begins: behind what was sold lately, of which the index is still full.
ANY_OF_TIER = f"""
    SELECT * FROM (
        SELECT id, price_tier_id, seat_id, position FROM events_ticket
        WHERE price_tier_id = %(tier)s::bigint AND status = 'available' AND id > %(after)s::bigint
            AND {IS_WITHIN_LIMITS}
        ORDER BY id LIMIT %(quantity)s::int FOR NO KEY UPDATE SKIP LOCKED
    ) AS unsold
    UNION ALL
    SELECT * FROM (
        SELECT id, price_tier_id, seat_id, position FROM events_ticket
        WHERE price_tier_id = %(tier)s::bigint
            AND status = 'reserved' AND reserved_until <= statement_timestamp()
            AND {IS_WITHIN_LIMITS}
        ORDER BY reserved_until LIMIT %(quantity)s::int FOR NO KEY UPDATE SKIP LOCKED
    ) AS lapsed
    LIMIT %(quantity)s::int
"""  # noqa: S608

# As `queue_mail` puts it down when a hold is given another address.
MAIL_WAY_BACK = INSERT_MAILS.format(
    bookings="SELECT id FROM booking WHERE %(email)s <> ''",
    kind=f"'{Mail.Kind.RESERVED}'",
    key="%(email)s",
    facts="'{}'",
    is_bulk="false",
    delay=WAY_BACK_AFTER.total_seconds(),
)

RESERVE = """
WITH exceeded AS MATERIALIZED (
    {exceeded}
), sale AS (
    SELECT status, on_sale_at, coalesce(off_sale_at, starts_at) AS off_sale_at, currency
    FROM events_event WHERE id = %(event)s::bigint
), wanted AS MATERIALIZED (
    {pick}
), chosen AS (
    SELECT wanted.*, tier.price
    FROM wanted JOIN events_pricetier AS tier ON tier.id = wanted.price_tier_id
), booking AS (
    INSERT INTO bookings_booking (
        id, reference, event_id, account_id, email, name, access_token_hash, client_address,
        status, expires_at, extensions_used, total, currency, created_at
    )
    SELECT %(id)s::uuid, %(reference)s, %(event)s::bigint, %(account)s::bigint, %(email)s, '', %(token_hash)s,
        %(address)s::inet, 'reserved', statement_timestamp() + %(seconds)s::int * interval '1 second', 0,
        chosen.total, sale.currency, clock_timestamp()
    FROM sale, (SELECT count(*) AS quantity, sum(price) AS total FROM chosen) AS chosen
    WHERE chosen.quantity = %(quantity)s::int
        AND sale.status = 'published'
        AND (sale.on_sale_at IS NULL OR sale.on_sale_at <= statement_timestamp())
        AND statement_timestamp() < sale.off_sale_at
    RETURNING id, expires_at, total, created_at
), reserved AS (
    UPDATE events_ticket AS ticket
    SET status = 'reserved', booking_id = booking.id, reserved_until = booking.expires_at
    FROM chosen, booking
    WHERE ticket.id = chosen.id AND {is_available}
    RETURNING ticket.id
), items AS (
    INSERT INTO bookings_bookingitem (booking_id, ticket_id, price_tier_id, price, holder_name)
    SELECT booking.id, chosen.id, chosen.price_tier_id, chosen.price, ''
    FROM chosen JOIN reserved USING (id), booking
    RETURNING ticket_id
), mail AS (
    {mail_way_back}
)
SELECT (SELECT most FROM exceeded), sale.*, statement_timestamp(),
    booking.expires_at, booking.total, booking.created_at, (
    SELECT json_agg(json_build_array(
        chosen.id, chosen.price_tier_id, chosen.price::text, seat.section, seat.row, seat.number
    ) ORDER BY chosen.position)
    FROM items
    JOIN chosen ON chosen.id = items.ticket_id
    LEFT JOIN events_seat AS seat ON seat.id = chosen.seat_id
)
FROM sale LEFT JOIN booking ON true
"""
ALIKE = {"exceeded": EXCEEDED, "is_available": IS_AVAILABLE, "mail_way_back": MAIL_WAY_BACK}
HOLD_CERTAIN_TICKETS = RESERVE.format(pick=CERTAIN_TICKETS, **ALIKE)
HOLD_ANY_OF_TIER = RESERVE.format(pick=ANY_OF_TIER, **ALIKE)


class HeldTicket(NamedTuple):
    """A ticket of a new hold. General admission has no seat; the price is an amount in decimal digits."""

    ticket_id: int
    price_tier_id: int
    price: str
    section: str | None
    row: str | None
    seat: str | None


class Reserved(NamedTuple):
    """What was written: the tickets in the order of the hall, and the database's time then."""

    tickets: list[HeldTicket]
    now: datetime


def reserve_tickets(
    booking: Booking, event: Event, buyer: Buyer, ticket_ids: Sequence[int], tier: PriceTier | None = None
) -> Reserved:
    """Write the new booking and move exactly these tickets of the event to it, of the tier if one is given.

    Sets the booking's `expires_at`, `created_at`, `total` and `currency`. Raises `LimitExceeded` where the
    buyer would have too many, `NotOnSale`, or `TicketsUnavailable` unless all of them are free; then nothing
    was written. Locks the buyer, and then the tickets in the order of their ids.
    """
    picked = {"tickets": array_of(ticket_ids), "tier": None if tier is None else str(tier.pk)}
    return _reserve(HOLD_CERTAIN_TICKETS, booking, event, buyer, len(ticket_ids), **picked)


def reserve_any(
    booking: Booking, event: Event, buyer: Buyer, tier: PriceTier, quantity: int, *, after: int
) -> Reserved:
    """The same for any free tickets of a tier without seats; of the unsold ones, those behind id `after`."""
    return _reserve(HOLD_ANY_OF_TIER, booking, event, buyer, quantity, tier=str(tier.pk), after=str(after))


def check_on_sale(event: Event) -> None:
    """Raise `NotOnSale` unless the event can be bought now, by the database's clock."""
    facts = Event.objects.filter(pk=event.pk).annotate(
        ends=Coalesce("off_sale_at", "starts_at"), database_now=Now()
    )
    _refuse_unless_open(*facts.values_list("status", "on_sale_at", "ends", "database_now").get())


def _refuse_unless_open(
    status: str, on_sale_at: datetime | None, off_sale_at: datetime, now: datetime
) -> None:
    if status == Event.Status.PUBLISHED and on_sale_at is not None and now < on_sale_at:
        raise NotOnSale(on_sale_at=on_sale_at)
    if status != Event.Status.PUBLISHED or now >= off_sale_at:
        raise NotOnSale


def _reserve(
    statement: str, booking: Booking, event: Event, buyer: Buyer, quantity: int, **picked: str | None
) -> Reserved:
    values = {
        "seconds": str(settings.HOLD_SECONDS),
        "id": str(booking.pk),
        "reference": booking.reference,
        "account": None if booking.account_id is None else str(booking.account_id),
        "email": booking.email,
        "token_hash": booking.access_token_hash,
        "address": booking.client_address,
    }
    values |= values_for_exceeded(event, buyer, adding=quantity) | picked
    row = execute(statement, values).fetchone()
    if row is None:
        raise NotOnSale
    exceeded, status, on_sale_at, off_sale_at, currency, now, expires_at, total, created_at, facts = row
    if exceeded is not None:
        raise LimitExceeded(limit=exceeded)
    _refuse_unless_open(status, on_sale_at, off_sale_at, now)
    if facts is None or len(facts) != quantity:
        raise TicketsUnavailable
    booking.expires_at, booking.created_at = expires_at, created_at
    booking.total, booking.currency = total, currency
    booking._state.adding = False
    return Reserved([HeldTicket(*fact) for fact in facts], now)
