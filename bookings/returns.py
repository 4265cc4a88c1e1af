"""What an event's rules say about tickets that their buyers return."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from events.models import Event


@dataclass(frozen=True)
class ReturnRules:
    """Until when buyers may return tickets themselves (None: never), and for which fee each, as of now."""

    until: datetime | None
    is_open: bool
    fee: Decimal


def return_rules(event: Event, now: datetime) -> ReturnRules:
    """The event's rules as of `now`; after a postponement returning costs nothing for a while.

    Of a cancelled event it never costs anything: who is quicker than the job that gives all money
    back gets no less than the others.
    """
    ends = [end for end in (event.refunds_until, event.free_refunds_until) if end is not None]
    until = max(ends, default=None)
    is_in_free_time = event.free_refunds_until is not None and now <= event.free_refunds_until
    is_free = is_in_free_time or event.status == Event.Status.CANCELLED
    return ReturnRules(
        until=until,
        is_open=until is not None and now <= until,
        fee=Decimal(0) if is_free else event.refund_fee,
    )
