"""What the box office refuses, in words for a buyer."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from bookings.exceptions import (
    BoxOfficeError,
    ExtensionLimit,
    GatewayUnavailable,
    HoldExpired,
    LimitExceeded,
    NotOnSale,
    TicketsUnavailable,
)


def explain(refusal: BoxOfficeError) -> str:
    """A refusal in words for the buyer."""
    match refusal:
        case TicketsUnavailable():
            return _explain_unavailable(refusal)
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
        case GatewayUnavailable():
            return _("The payment provider does not answer. You have not been charged; please try again.")
        case ExtensionLimit():
            return _("This hold cannot be extended again.")
        case HoldExpired():
            return _(
                "The ten minutes are over, and the tickets went to someone else. You have not been charged."
            )
    return _("That did not work: these tickets cannot be held any more.")


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
