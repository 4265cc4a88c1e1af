"""Putting mails into the outbox, in the transaction of what they tell of.

What each kind's text needs in `facts`, beyond the booking (all of it may be left out):

- `payment_failed`: `reason`, in words for the buyer.
- `refunded`: `refund`, the id of the `Refund`, which says the rest.
- `event_changed`, `event_postponed`: `old_starts_at`, `old_doors_at`, `old_venue` (a name), `reason` in
  words for the buyer, and `refunds_until`, until when tickets can be returned without a fee.
- `event_cancelled`: `reason`, and `refund`, the id of the `Refund`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction

from bookings.models import Booking
from bookings.outbox.models import Mail
from bookings.querysets import BookingQuerySet
from events.wake_up import wake_up

# A mail for each booking whose id the statement `bookings` gives. Each of the other words is a value's
# place, or the value itself where it is the same each time.
INSERT_MAILS = """
    INSERT INTO outbox_mail (id, kind, booking_id, key, facts, is_bulk, state, attempts,
        next_attempt_at, error, "to", subject, text, html, message_id, created_at)
    SELECT gen_random_uuid(), {kind}, chosen.id, {kind} || ':' || chosen.id || ':' || {key}, {facts},
        {is_bulk}, 'waiting', 0, statement_timestamp() + {delay} * interval '1 second',
        '', '', '', '', '', '', statement_timestamp()
    FROM ({bookings}) AS chosen (id)
    ON CONFLICT (key) DO NOTHING
"""

# News to all of an event's buyers, which waits behind what one buyer did just now.
BULK = {Mail.Kind.EVENT_CHANGED, Mail.Kind.EVENT_POSTPONED, Mail.Kind.EVENT_CANCELLED, Mail.Kind.REMINDER}


def queue_mail(
    kind: Mail.Kind,
    booking: Booking,
    *,
    key: str = "",
    delay: timedelta = timedelta(0),
    facts: dict[str, Any] | None = None,
) -> None:
    """Write down, in the caller's transaction, that the booking's buyer is to be mailed.

    `key` tells one occasion from another of the same kind: the same booking, kind and key is
    mailed once. A booking without an address is mailed nothing.
    """
    if not booking.email:
        return
    is_bulk = kind in BULK
    _insert("VALUES (%s::uuid)", [booking.pk], kind, key, facts, is_bulk=is_bulk, delay=delay)
    if not delay and not is_bulk:
        send_soon_after_commit()


def queue_mails(
    kind: Mail.Kind, bookings: BookingQuerySet, *, key: str, facts: dict[str, Any] | None = None
) -> int:
    """Write down that the buyers of all these bookings are to be mailed; returns how many will be.

    One statement, whatever their number, in the caller's transaction. What was queued before
    under the same kind and key is left as it is.
    """
    wanted = bookings.exclude(email="").order_by().values("pk")
    try:
        chosen, parameters = wanted.query.sql_with_params()
    except EmptyResultSet:
        return 0
    queued = _insert(chosen, parameters, kind, key, facts, is_bulk=True)
    if queued:
        send_soon_after_commit()
    return queued


def _insert(
    bookings: str,
    parameters: Sequence[Any],
    kind: Mail.Kind,
    key: str,
    facts: dict[str, Any] | None,
    *,
    is_bulk: bool,
    delay: timedelta = timedelta(0),
) -> int:
    """Queue a mail for each booking whose id the SQL `bookings` gives; returns how many are new."""
    told = json.dumps(facts or {}, cls=DjangoJSONEncoder)
    with connection.cursor() as cursor:
        cursor.execute(
            INSERT_MAILS.format(
                bookings=bookings, **dict.fromkeys(("kind", "key", "facts", "is_bulk", "delay"), "%s")
            ),
            [str(kind), str(kind), key, told, is_bulk, delay.total_seconds(), *parameters],
        )
        queued: int = cursor.rowcount
    return queued


def send_soon_after_commit() -> None:
    """Haste alone: the timetable finds what is waiting."""
    # Here and not above: the task sends, and what sends imports what queues.
    from bookings.outbox.tasks import send_mails

    transaction.on_commit(lambda: wake_up(send_mails), robust=True)
