"""Who buys, and how much of one event one buyer may have."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings

from bookings.exceptions import LimitExceeded
from bookings.models import User
from bookings.statements import execute
from events.models import Event

# What a guest let lapse unpaid counts against the network address for so long.
LAPSED_COUNTS_FOR = timedelta(minutes=30)
# Guests who give an e-mail address are, behind one network address, so many times as many.
NAMED_TICKETS_PER_ADDRESS = 10

# Live holds and booked bookings. The states first, by themselves: that is the condition of the indexes.
COUNTS = """booking.status IN ('reserved', 'booked')
    AND (booking.status = 'booked' OR booking.expires_at > statement_timestamp())"""
# Live holds, and those that ended unpaid a short while ago, whether anything swept them or not.
HELD_OR_LAPSED_LATELY = f"""booking.status IN ('reserved', 'expired')
    AND booking.expires_at > statement_timestamp() - interval '{LAPSED_COUNTS_FOR.total_seconds()} seconds'"""

OF_ACCOUNT = f"booking.account_id = %(who)s::bigint AND {COUNTS}"
OF_EMAIL = f"booking.email = %(who)s AND booking.email <> '' AND {COUNTS}"
OF_ADDRESS = f"""booking.account_id IS NULL AND booking.client_address = %(who)s::inet
    AND {HELD_OR_LAPSED_LATELY}"""

COUNT_TICKETS = """
    SELECT count(*) FROM bookings_booking AS booking
    JOIN bookings_bookingitem AS item ON item.booking_id = booking.id AND item.refund_id IS NULL
    WHERE booking.event_id = %(event)s::bigint AND {whose}
        AND booking.id IS DISTINCT FROM %(besides)s::uuid
"""
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%(lock)s, 0))"


@dataclass(frozen=True)
class Buyer:
    """Who asks: an account, else an e-mail address, else only a network address."""

    account: User | None = None
    email: str = ""
    address: str | None = None


@dataclass(frozen=True)
class Limit:
    """How many tickets of an event may count together, and what counts: the bookings in `whose` name."""

    kind: str
    who: str
    whose: str
    tickets: int


def limits_of(event: Event, buyer: Buyer) -> list[Limit]:
    """What bounds this buyer: an account, else an e-mail address, and for guests the network address too.

    A guest can make up addresses; so what one network may hold at a time is bounded for those
    who give one as well, and what it let lapse counts on for a while: whoever holds without
    ever paying soon holds nothing.
    """
    if buyer.account is not None:
        return [Limit("account", str(buyer.account.pk), OF_ACCOUNT, event.max_tickets_per_booking)]
    limits = []
    if buyer.email:
        limits.append(Limit("email", buyer.email, OF_EMAIL, event.max_tickets_per_booking))
    if buyer.address:
        most = settings.HOLD_TICKETS_PER_ADDRESS
        if buyer.email:
            whose = f"{OF_ADDRESS} AND booking.email <> ''"
            limits.append(Limit("named", buyer.address, whose, NAMED_TICKETS_PER_ADDRESS * most))
        else:
            limits.append(Limit("nameless", buyer.address, f"{OF_ADDRESS} AND booking.email = ''", most))
    return limits


def check_limit(event: Event, buyer: Buyer, *, adding: int, besides: UUID | None = None) -> None:
    """Raise `LimitExceeded` if the buyer would have more of this event than allowed.

    Counted under an advisory lock of the buyer, as a count alone guards nothing against two
    requests at once; and by a statement of its own, as only the next sees what was committed
    while it waited for the lock.
    """
    for limit in limits_of(event, buyer):
        execute(LOCK, {"lock": f"limit:{event.pk}:{limit.kind}:{limit.who}"})
        values = {"who": limit.who, "event": str(event.pk), "besides": besides}
        [counted] = execute(COUNT_TICKETS.format(whose=limit.whose), values).fetchone()
        if counted + adding > limit.tickets:
            raise LimitExceeded(limit=limit.tickets)
