"""What the box office refuses, in words for a buyer."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from bookings.exceptions import (
    AlreadyBooked,
    BookingClosed,
    BoxOfficeError,
    ExtensionLimit,
    GatewayUnavailable,
    HoldExpired,
    InvalidTickets,
    LimitExceeded,
    NotOnSale,
    NotRefundable,
    TicketsUnavailable,
)
from bookings.models import Booking

FIXED_WORDS = {
    GatewayUnavailable: _lazy(
        "The payment provider does not answer. You have not been charged; please try again."
    ),
    ExtensionLimit: _lazy("This hold cannot be extended again."),
    HoldExpired: _lazy("The time to pay is over, and these tickets are no longer held."),
    AlreadyBooked: _lazy("This booking is complete already: its tickets are booked."),
    InvalidTickets: _lazy(
        "What was asked for does not fit this event. Nothing was changed; please choose again."
    ),
}


def explain(refusal: BoxOfficeError) -> str:
    """A refusal in words for the buyer."""
    match refusal:
        case TicketsUnavailable():
            return _explain_unavailable(refusal)
        case BookingClosed():
            return _explain_closed(refusal)
        case NotRefundable():
            return refusal.reason
        case LimitExceeded():
            return ngettext(
                "One buyer can have at most %(limit)d ticket for this event, all bookings together.",
                "One buyer can have at most %(limit)d tickets for this event, all bookings together.",
                refusal.limit,
            ) % {"limit": refusal.limit}
        case NotOnSale(on_sale_at=None):
            return _("This event is not on sale.")
        case NotOnSale():
            return _("This event is not on sale yet.")
    fallback = _lazy("The box office could not do that. Please look at your booking before you try again.")
    return str(FIXED_WORDS.get(type(refusal), fallback))


def _explain_closed(refusal: BookingClosed) -> str:
    match refusal.status:
        case Booking.Status.CANCELLED:
            return _("This booking was cancelled.")
        case Booking.Status.REFUNDED:
            return _("This booking was refunded.")
        case Booking.Status.RELEASED:
            return _("These tickets were given back, and are no longer held.")
    return _("This booking is over, and nothing can be changed in it.")


def _explain_unavailable(refusal: TicketsUnavailable) -> str:
    if refusal.available is None:
        return ngettext(
            "Someone was quicker: this ticket has just been taken.",
            "Someone was quicker: these tickets have just been taken.",
            len(refusal.unavailable),
        )
    if refusal.suggestion:
        return _("There are not that many seats side by side any more.")
    if not refusal.available:
        return _("Someone was quicker: there are none left at this price.")
    return ngettext(
        "Only %(number)d ticket is left at this price.",
        "Only %(number)d tickets are left at this price.",
        refusal.available,
    ) % {"number": refusal.available}
