"""The invariants of the box office, checked over the whole database (I1 to I5 of the architecture).

Each check is one statement that returns a row for every violation. Something that is still
on its way, such as money that is due to be captured, is not a violation until it has been
left undone for an hour, far longer than the timetable needs to finish it alone.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import connection, transaction
from django.db.models import Min

from bookings.models import Payment
from bookings.payments import FREE
from bookings.reconciling import find_differences

# The gateway dates its records by a clock of its own.
CLOCKS_APART = timedelta(hours=1)

CHECKS: dict[str, str] = {
    "I1 {0}: ticket {1} is {2}, but its booking {3} is {4}": """
        SELECT event.slug, ticket.id, ticket.status, booking.reference, booking.status
        FROM events_ticket ticket
        JOIN events_event event ON event.id = ticket.event_id
        JOIN bookings_booking booking ON booking.id = ticket.booking_id
        WHERE (ticket.status = 'booked' AND booking.status <> 'booked')
           OR (ticket.status = 'reserved' AND booking.status NOT IN ('reserved', 'expired'))
    """,
    "I1 ticket {0} belongs to booking {1}, which has no item for it": """
        SELECT ticket.id, booking.reference
        FROM events_ticket ticket
        JOIN bookings_booking booking ON booking.id = ticket.booking_id
        WHERE NOT EXISTS (
            SELECT FROM bookings_bookingitem item
            WHERE item.booking_id = ticket.booking_id AND item.ticket_id = ticket.id
        )
    """,
    "I1 ticket {0} still belongs to booking {1}, which gave it back": """
        SELECT ticket.id, booking.reference
        FROM bookings_bookingitem item
        JOIN bookings_booking booking ON booking.id = item.booking_id
        JOIN events_ticket ticket ON ticket.id = item.ticket_id
        WHERE item.refund_id IS NOT NULL AND ticket.booking_id = item.booking_id
    """,
    "I1 booking {0} has ticket {1} of another event": """
        SELECT booking.reference, ticket.id
        FROM bookings_bookingitem item
        JOIN bookings_booking booking ON booking.id = item.booking_id
        JOIN events_ticket ticket ON ticket.id = item.ticket_id
        WHERE ticket.event_id <> booking.event_id
    """,
    "I2 booking {0} is booked, but its ticket {1} is {2}": """
        SELECT booking.reference, ticket.id, ticket.status
        FROM bookings_booking booking
        JOIN bookings_bookingitem item ON item.booking_id = booking.id
        JOIN events_ticket ticket ON ticket.id = item.ticket_id
        WHERE booking.status = 'booked' AND item.refund_id IS NULL
          AND (ticket.status <> 'booked' OR ticket.booking_id IS DISTINCT FROM booking.id)
    """,
    "I2 booking {0} is booked and has no tickets": """
        SELECT booking.reference
        FROM bookings_booking booking
        WHERE booking.status = 'booked'
          AND NOT EXISTS (
              SELECT FROM bookings_bookingitem item
              WHERE item.booking_id = booking.id AND item.refund_id IS NULL
          )
    """,
    "I2 booking {0} is booked, but its ticket {1} has no code": """
        SELECT booking.reference, item.ticket_id
        FROM bookings_booking booking
        JOIN bookings_bookingitem item ON item.booking_id = booking.id
        WHERE booking.status = 'booked' AND item.refund_id IS NULL AND item.code IS NULL
    """,
    "I3 booking {0} ({1}): tickets and fees for {2}, but {3} taken or due to be taken": """
        WITH promised AS (
            SELECT payment_id, sum(amount) AS amount, sum(fee) AS fee FROM bookings_refund GROUP BY payment_id
        ), paid AS (
            SELECT booking_id, sum(payment.amount - coalesce(promised.amount, 0)) AS amount,
                sum(coalesce(promised.fee, 0)) AS fees
            FROM bookings_payment payment
            LEFT JOIN promised ON promised.payment_id = payment.id
            WHERE decision = 'capture' AND status IN ('authorised', 'captured', 'refunded')
            GROUP BY booking_id
        ), booked AS (
            SELECT booking_id, sum(item.price) AS price
            FROM bookings_bookingitem item
            JOIN bookings_booking booking ON booking.id = item.booking_id
            WHERE booking.status = 'booked' AND item.refund_id IS NULL
            GROUP BY booking_id
        )
        SELECT booking.reference, booking.status,
            coalesce(booked.price, 0) + coalesce(paid.fees, 0), coalesce(paid.amount, 0)
        FROM bookings_booking booking
        LEFT JOIN booked ON booked.booking_id = booking.id
        LEFT JOIN paid ON paid.booking_id = booking.id
        WHERE coalesce(booked.price, 0) + coalesce(paid.fees, 0) <> coalesce(paid.amount, 0)
    """,
    "I3 booking {0}: its total is {1}, its items cost {2}": """
        SELECT booking.reference, booking.total, coalesce(sum(item.price), 0)
        FROM bookings_booking booking
        LEFT JOIN bookings_bookingitem item ON item.booking_id = booking.id
        GROUP BY booking.id
        HAVING booking.total <> coalesce(sum(item.price), 0)
    """,
    "I3 payment {0} is {1} {2}, its booking {3} {4}": """
        SELECT payment.id, payment.amount, payment.currency, booking.total, booking.currency
        FROM bookings_payment payment
        JOIN bookings_booking booking ON booking.id = payment.booking_id
        WHERE payment.amount <> booking.total OR payment.currency <> booking.currency
    """,
    "I3 payment {0} says {1}, {2} taken, {3} given back; its entries say {4}, {5}, {6}": """
        SELECT payment.id, payment.status, payment.captured, payment.refunded,
            coalesce(books.status, 'pending'), coalesce(books.captured, 0), coalesce(books.refunded, 0)
        FROM bookings_payment payment
        LEFT JOIN bookings_books books ON books.payment_id = payment.id
        WHERE (payment.status, payment.captured, payment.refunded)
            <> (coalesce(books.status, 'pending'), coalesce(books.captured, 0), coalesce(books.refunded, 0))
    """,
    "I3 refund {0} gives back {1} and keeps {2}, its tickets cost {3}": """
        SELECT refund.id, refund.amount, refund.fee, sum(item.price)
        FROM bookings_refund refund
        JOIN bookings_bookingitem item ON item.refund_id = refund.id
        GROUP BY refund.id
        HAVING refund.amount + refund.fee <> sum(item.price)
    """,
    "I4 ticket {0} is reserved until {1}, its booking {2} only until {3}": """
        SELECT ticket.id, ticket.reserved_until, booking.reference, booking.expires_at
        FROM events_ticket ticket
        JOIN bookings_booking booking ON booking.id = ticket.booking_id
        WHERE ticket.status = 'reserved' AND ticket.reserved_until <> booking.expires_at
    """,
    "I4 booking {0} is a live hold, but its ticket {1} is not reserved for it": """
        SELECT booking.reference, item.ticket_id
        FROM bookings_booking booking
        JOIN bookings_bookingitem item ON item.booking_id = booking.id
        JOIN events_ticket ticket ON ticket.id = item.ticket_id
        WHERE booking.status = 'reserved' AND booking.expires_at > statement_timestamp()
          AND (ticket.status <> 'reserved' OR ticket.booking_id IS DISTINCT FROM booking.id)
    """,
    "I5 payment {0} of booking {1}: {2}, to {3}, and not done for an hour": """
        SELECT payment.id, booking.reference, payment.status, payment.decision
        FROM bookings_payment payment
        JOIN bookings_booking booking ON booking.id = payment.booking_id
        WHERE payment.status = 'authorised' AND payment.updated_at < statement_timestamp() - interval '1 hour'
    """,
    "I5 refund {0} of booking {1} was asked for at {2}, and is not done for a day": """
        SELECT refund.id, booking.reference, refund.requested_at
        FROM bookings_refund refund
        JOIN bookings_booking booking ON booking.id = refund.booking_id
        WHERE refund.status = 'requested' AND refund.requested_at < statement_timestamp() - interval '1 day'
    """,
    "I5 refund {0} of {1} is done, and no entry says that the money went": """
        SELECT refund.id, refund.amount
        FROM bookings_refund refund
        JOIN bookings_payment payment ON payment.id = refund.payment_id
        WHERE refund.status = 'done' AND refund.amount > 0 AND payment.captured > 0
          AND NOT EXISTS (SELECT FROM bookings_paymententry entry WHERE entry.refund_id = refund.id)
    """,
    "I5 payment {0} of booking {1} has been open since {2}": """
        SELECT payment.id, booking.reference, payment.created_at
        FROM bookings_payment payment
        JOIN bookings_booking booking ON booking.id = payment.booking_id
        WHERE payment.status = 'pending'
          AND booking.expires_at < statement_timestamp() - interval '3 hours'
    """,
    "I5 payment {0} was taken for booking {1}, which is {2}": """
        SELECT payment.id, booking.reference, booking.status
        FROM bookings_payment payment
        JOIN bookings_booking booking ON booking.id = payment.booking_id
        WHERE payment.status = 'captured' AND payment.decision = 'capture'
          AND booking.status NOT IN ('booked', 'cancelled', 'refunded')
    """,
    "I5 payment {0} took {1} for nothing, and {2} is promised back": """
        SELECT payment.id, payment.captured, promised.sum
        FROM bookings_payment payment
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(refund.amount), 0) AS sum
            FROM bookings_refund refund WHERE refund.payment_id = payment.id
        ) promised
        WHERE payment.decision <> 'capture' AND payment.captured > 0 AND payment.captured <> promised.sum
    """,
    "I5 payment {0} is decided about, and no entry says that it was authorised": """
        SELECT payment.id FROM bookings_payment payment
        WHERE payment.status = 'pending' AND payment.decision <> ''
    """,
    "I5 notice {0} from {1} has waited since {2}": """
        SELECT notice.provider_id, notice.gateway, notice.received_at
        FROM bookings_paymentnotice notice
        WHERE notice.status = 'waiting' AND notice.received_at < statement_timestamp() - interval '1 hour'
    """,
}


def find_violations() -> list[str]:
    """A line for each violation of an invariant; empty when all is well."""
    lines = []
    with transaction.atomic(), connection.cursor() as cursor:
        # Over a large season this takes longer than a request may.
        cursor.execute("SET LOCAL statement_timeout = '10min'")
        # Every check reads whole tables. Where they have just been filled the planner takes them for
        # empty, and would look up each row of one in all rows of the next.
        cursor.execute("SET LOCAL enable_nestloop = off")
        for sentence, query in CHECKS.items():
            cursor.execute(query)
            lines += [sentence.format(*row) for row in cursor.fetchall()]
    return lines


def compare_with_gateways() -> list[str]:
    """A line for each payment of which the books and its gateway's own records say different things.

    Raises `GatewayError` where a gateway does not answer.
    """
    begun = (
        Payment.objects.exclude(gateway=FREE).values("gateway").annotate(first=Min("created_at")).order_by()
    )
    return [
        f"{gateway} {difference.theirs.reference}, payment {difference.theirs.key}: {difference.sentence}"
        for gateway, first in begun.values_list("gateway", "first")
        for difference in find_differences(gateway, since=first - CLOCKS_APART)
    ]
