"""Who buys, and how much of one event one buyer may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings

from bookings.exceptions import LimitExceeded
from bookings.models import User
from events.models import Event
from events.statements import execute

# Guests who give an e-mail address are, behind one network address, so many times as many.
NAMED_TICKETS_PER_ADDRESS = 10

# The first limit that is exceeded with so many more tickets; no row where none is. The function (of migration
# 0010) locks the buyer and counts: live holds and booked tickets, and of a network address what was held and
# not paid within the last half hour.
EXCEEDED = """
    SELECT most FROM (
        SELECT most, bookings_held_by(kind, who, %(event)s::bigint, %(besides)s::uuid) AS held
        FROM unnest(%(limit_kinds)s::text[], %(limit_names)s::text[], %(limit_sizes)s::int[])
            AS bound (kind, who, most)
    ) AS counted
    WHERE counted.held + %(quantity)s::int > counted.most LIMIT 1
"""


@dataclass(frozen=True)
class Buyer:
    """Who asks: an account, else an e-mail address, else only a network address."""

    account: User | None = None
    email: str = ""
    address: str | None = None


class Limit(NamedTuple):
    """How many tickets of an event may count together for whom; `kind` says what counts."""

    kind: str
    who: str
    tickets: int


def limits_of(event: Event, buyer: Buyer) -> list[Limit]:
    """What bounds this buyer: an account, else an e-mail address, and for guests the network address too.

    A guest can make up addresses; so what one network may hold at a time is bounded for those
    who give one as well, and what it let lapse counts on for a while: whoever holds without
    ever paying soon holds nothing.
    """
    if buyer.account is not None:
        return [Limit("account", str(buyer.account.pk), event.max_tickets_per_booking)]
    limits = []
    if buyer.email:
        limits.append(Limit("email", buyer.email, event.max_tickets_per_booking))
    if buyer.address:
        most = settings.HOLD_TICKETS_PER_ADDRESS
        if buyer.email:
            limits.append(Limit("named", buyer.address, NAMED_TICKETS_PER_ADDRESS * most))
        else:
            limits.append(Limit("nameless", buyer.address, most))
    return limits


def values_for_exceeded(
    event: Event, buyer: Buyer, *, adding: int, besides: UUID | None = None
) -> dict[str, Any]:
    """What `EXCEEDED` needs to know."""
    limits = limits_of(event, buyer)
    return {
        "event": str(event.pk),
        "quantity": str(adding),
        "besides": besides,
        "limit_kinds": [limit.kind for limit in limits],
        "limit_names": [limit.who for limit in limits],
        # As text, since a list of numbers has another type for each size of its largest.
        "limit_sizes": [str(limit.tickets) for limit in limits],
    }


def check_limit(event: Event, buyer: Buyer, *, adding: int, besides: UUID | None = None) -> None:
    """Raise `LimitExceeded` if the buyer would have more of this event than allowed.

    Counted under a lock of the buyer, as a count alone guards nothing against two requests at once. The
    lock is kept until the caller's transaction ends.
    """
    exceeded = execute(EXCEEDED, values_for_exceeded(event, buyer, adding=adding, besides=besides)).fetchone()
    if exceeded is not None:
        raise LimitExceeded(limit=exceeded[0])
