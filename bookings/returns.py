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
    """The event's rules as of `now`; after a postponement returning costs nothing for a while."""
    ends = [end for end in (event.refunds_until, event.free_refunds_until) if end is not None]
    until = max(ends, default=None)
    is_free = event.free_refunds_until is not None and now <= event.free_refunds_until
    return ReturnRules(
        until=until,
        is_open=until is not None and now <= until,
        fee=Decimal(0) if is_free else event.refund_fee,
    )
