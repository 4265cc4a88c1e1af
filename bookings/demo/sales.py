"""Selling part of the season: bookings, items, payments and the sandbox's records, as real ones are."""

from __future__ import annotations

import itertools
import random
import secrets
import tomllib
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, models
from django.utils import timezone

from bookings.models import (
    Booking,
    BookingItem,
    Payment,
    PaymentEntry,
    User,
    hash_secret,
    make_code,
    make_reference,
)
from bookings.sandbox.models import SandboxIntent, make_intent_id
from events.models import Event, Seat

PARTY_SIZES, PARTY_WEIGHTS = (1, 2, 3, 4, 5, 6), (12, 52, 11, 17, 3, 5)
PEOPLE = tomllib.loads((Path(__file__).parent / "people.toml").read_text(encoding="utf-8"))
BOOK_TICKETS = """
UPDATE events_ticket AS ticket SET status = 'booked', booking_id = sold.booking
FROM unnest(%s::bigint[], %s::uuid[]) AS sold (ticket, booking)
WHERE ticket.id = sold.ticket AND ticket.status = 'available'
"""
BATCH = 500
Row = dict[str, Any]


@dataclass(frozen=True)
class OpenTicket:
    """A ticket that can be sold, with the row it is in (empty for general admission)."""

    id: int
    tier_id: int
    price: Decimal
    row: tuple[str, int] | None


@dataclass
class Ledger:
    """The rows of sales that are not written yet, by column."""

    bookings: list[Row] = field(default_factory=list)
    items: list[Row] = field(default_factory=list)
    payments: list[Row] = field(default_factory=list)
    entries: list[Row] = field(default_factory=list)
    intents: list[Row] = field(default_factory=list)


def open_tickets(event: Event) -> list[OpenTicket]:
    """The event's available tickets in the order of their positions."""
    prices = dict(event.price_tiers.values_list("id", "price"))
    rows_of_seats = read_rows(event.venue_id)
    tickets = event.tickets.filter(status="available").order_by("position")
    return [
        OpenTicket(ticket, tier, prices[tier], rows_of_seats[seat] if seat else None)
        for ticket, tier, seat in tickets.values_list("id", "price_tier_id", "seat_id")
    ]


def read_rows(venue_id: int) -> dict[int, tuple[str, int]]:
    """The section and row of each seat. Apart from the tickets: a join of new tables is badly planned."""
    seats = Seat.objects.filter(venue=venue_id).values_list("id", "section", "row_index")
    return {seat: (section, row) for seat, section, row in seats}


def sell_tickets(event: Event, shares: Mapping[int, float], dice: random.Random) -> None:
    """Book the share of each tier, in parties that sit together. Needs an open transaction."""
    ledger = Ledger()
    for party in choose_parties(open_tickets(event), shares, dice, event.max_tickets_per_booking):
        name = f"{dice.choice(PEOPLE['first_names'])} {dice.choice(PEOPLE['last_names'])}"
        record_sale(ledger, event, party, sale_time(event, dice), name=name)
        if len(ledger.bookings) == BATCH:
            # A transaction that is busy in here for long looks idle to the database.
            write(ledger)
            ledger = Ledger()
    write(ledger)


def sell_to(account: User, event: Event, quantity: int) -> bool:
    """Book the first tickets of the event for an account; False where there are too few."""
    tickets = open_tickets(event)
    row = next((t.row for t in tickets if sum(other.row == t.row for other in tickets) >= quantity), None)
    party = [ticket for ticket in tickets if ticket.row == row][:quantity]
    if len(party) < quantity:
        return False
    ledger = Ledger()
    record_sale(ledger, event, party, timezone.now() - timedelta(days=9), name="Robin Buyer", account=account)
    write(ledger)
    return True


def choose_parties(
    tickets: Sequence[OpenTicket], shares: Mapping[int, float], dice: random.Random, limit: int
) -> Iterator[Sequence[OpenTicket]]:
    """Neighbours in one row and tier, until each tier's share is about sold."""
    for (tier, _row), group in itertools.groupby(tickets, key=lambda ticket: (ticket.tier_id, ticket.row)):
        row = list(group)
        share = shares.get(tier, 0.0)
        # General admission has no places that could stay empty between two parties.
        wanted = row if row[0].row else row[: round(share * len(row))]
        begin = 0
        while begin < len(wanted):
            size = min(dice.choices(PARTY_SIZES, PARTY_WEIGHTS)[0], limit)
            if row[0].row is None or dice.random() < share:
                yield wanted[begin : begin + size]
            begin += size


def sale_time(event: Event, dice: random.Random) -> datetime:
    """Some moment since the sale began: many buy at once, others over the weeks."""
    now = timezone.now() - timedelta(minutes=30)
    began = event.on_sale_at or now - timedelta(days=60)
    waited: float = dice.random() ** 1.6
    return began + (now - began) * waited


def record_sale(
    ledger: Ledger,
    event: Event,
    party: Sequence[OpenTicket],
    moment: datetime,
    *,
    name: str,
    account: User | None = None,
) -> None:
    """Add the rows of one paid booking. Codes and references are random, as real ones are."""
    booking_id, payment_id, intent_id = uuid.uuid4(), uuid.uuid4(), make_intent_id()
    reference = make_reference()
    total = sum((ticket.price for ticket in party), Decimal(0))
    paid_at = moment + timedelta(minutes=3)
    mailbox = f"{name.casefold().replace(' ', '.')}.{reference.casefold()}@example.net"
    ledger.bookings.append(
        {
            "id": booking_id,
            "reference": reference,
            "event_id": event.pk,
            "account_id": account.pk if account else None,
            "email": account.email if account else mailbox,
            "name": name,
            "access_token_hash": hash_secret(secrets.token_urlsafe(16)),
            "status": "booked",
            "expires_at": moment + timedelta(seconds=settings.HOLD_SECONDS),
            "total": total,
            "currency": event.currency,
            "created_at": moment,
            "booked_at": paid_at,
        }
    )
    ledger.items += [
        {
            "booking_id": booking_id,
            "ticket_id": ticket.id,
            "price_tier_id": ticket.tier_id,
            "price": ticket.price,
            "code": make_code(),
        }
        for ticket in party
    ]
    ledger.payments.append(
        {
            "id": payment_id,
            "booking_id": booking_id,
            "gateway": "sandbox",
            "gateway_reference": intent_id,
            "status": "captured",
            "decision": "capture",
            "amount": total,
            "captured": total,
            "currency": event.currency,
            "next_attempt_at": paid_at,
            "created_at": moment,
            "updated_at": paid_at,
        }
    )
    ledger.entries += [
        {"payment_id": payment_id, "kind": kind, "amount": total, "recorded_at": paid_at}
        for kind in ("authorised", "captured")
    ]
    ledger.intents.append(
        {
            "id": intent_id,
            "idempotency_key": str(payment_id),
            "status": "captured",
            "amount": total,
            "currency": event.currency,
            "description": f"{settings.SITE_NAME} {reference}",
            "return_url": settings.SITE_URL,
            "created_at": moment,
        }
    )


def write(ledger: Ledger) -> None:
    """Write the rows, and give the tickets to their bookings."""
    if not ledger.bookings:
        return
    copy_rows(Booking, ledger.bookings)
    copy_rows(BookingItem, ledger.items)
    # Before the payments, which say already what follows from them: nothing is left to derive.
    copy_rows(PaymentEntry, ledger.entries)
    copy_rows(Payment, ledger.payments)
    copy_rows(SandboxIntent, ledger.intents)
    tickets = [item["ticket_id"] for item in ledger.items]
    bookings = [item["booking_id"] for item in ledger.items]
    with connection.cursor() as cursor:
        cursor.execute(BOOK_TICKETS, [tickets, bookings])
        if cursor.rowcount != len(tickets):
            raise RuntimeError(f"{len(tickets)} tickets were sold, {cursor.rowcount} booked")


def copy_rows(model: type[models.Model], rows: Iterable[Row]) -> None:
    """Insert rows by COPY, several times as fast as INSERT. What a row leaves out gets its default."""
    fields = [f for f in model._meta.concrete_fields if not isinstance(f, models.AutoField)]
    # A default that is made anew each time, such as a key, would be the same in every row.
    defaults = {f.attname: f.get_default() for f in fields if not (f.has_default() and callable(f.default))}
    names = [f.attname for f in fields]
    columns = ", ".join(connection.ops.quote_name(f.column or "") for f in fields)
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
        for row in rows:
            values = defaults | row
            copy.write_row([values[name] for name in names])
