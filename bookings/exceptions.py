"""What the box office says when it must refuse. No HTTP here: pages and API translate."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime


class BoxOfficeError(Exception):
    """A refusal that the buyer is told about. Nothing was half done."""

    code = "refused"


class TicketsUnavailable(BoxOfficeError):
    """Some of the wanted tickets are gone, or a tier has fewer left than wanted; nothing is held."""

    code = "tickets_unavailable"

    def __init__(
        self,
        *,
        unavailable: Sequence[int] = (),
        available: int | None = None,
        suggestion: Sequence[int] = (),
    ) -> None:
        super().__init__("tickets are gone")
        self.unavailable = list(unavailable)
        self.available = available
        self.suggestion = list(suggestion)


class NotOnSale(BoxOfficeError):
    """The event's sale has not begun, is over, or never was for this caller."""

    code = "not_on_sale"

    def __init__(self, *, on_sale_at: datetime | None = None) -> None:
        super().__init__("not on sale")
        self.on_sale_at = on_sale_at


class LimitExceeded(BoxOfficeError):
    """More tickets than one buyer, or one network address, may have of this event."""

    code = "limit_exceeded"

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"at most {limit} tickets")
        self.limit = limit


class HoldExpired(BoxOfficeError):
    """The hold ran out, and its tickets went to someone else."""

    code = "hold_expired"


class ExtensionLimit(BoxOfficeError):
    """The hold was extended as often as the event allows."""

    code = "extension_limit"


class AlreadyBooked(BoxOfficeError):
    """The step is for a hold, and this booking is paid for already."""

    code = "already_booked"


class BookingClosed(BoxOfficeError):
    """The booking has ended and takes no further step."""

    code = "booking_closed"

    def __init__(self, status: str) -> None:
        super().__init__(f"the booking is {status}")
        self.status = status


class NotRefundable(BoxOfficeError):
    """The event's rules do not let its buyers return these tickets; `reason` says why, in their words."""

    code = "permission_denied"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidTickets(BoxOfficeError):
    """The wanted tickets are not ones of this event, or the wish makes no sense."""

    code = "validation_error"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class GatewayUnavailable(BoxOfficeError):
    """The payment gateway did not answer; the payment stays open and can be asked for again."""

    code = "temporarily_unavailable"


class InvalidNotice(Exception):
    """A payment notice whose signature, time stamp or form is wrong."""


class InvalidCode(Exception):
    """What was scanned or typed is no ticket's code, or its signature is wrong."""
