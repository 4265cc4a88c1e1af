"""What the box office says when it must refuse an organiser. The message is for people to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

if TYPE_CHECKING:
    from events.models import PriceTier

NAMED_AT_MOST = 5


def name_some(names: Iterable[str], total: int) -> str:
    """The first few names, and how many more there are."""
    shown = list(names)[:NAMED_AT_MOST]
    listed = "; ".join(shown)
    rest = total - len(shown)
    if rest <= 0:
        return listed
    return _("%(listed)s; and %(rest)d more") % {"listed": listed, "rest": rest}


class OrganiserError(Exception):
    """A refusal that the organiser is told about. Nothing was half done."""


class NothingForSale(OrganiserError):
    """The event has no price tier that sells anything, or one of them sells nothing."""


class UnclearPrice(OrganiserError):
    """Two price tiers claim the same seats."""


class TicketsTaken(OrganiserError):
    """The change would drop tickets that are reserved or booked."""

    def __init__(self, names: Iterable[str], total: int) -> None:
        super().__init__(
            ngettext(
                "%(total)d ticket is reserved or booked and would lose its place: %(names)s.",
                "%(total)d tickets are reserved or booked and would lose their places: %(names)s.",
                total,
            )
            % {"total": total, "names": name_some(names, total)}
        )
        self.total = total


class QuantityTooLow(OrganiserError):
    """A general-admission tier's quantity fell below what is reserved or booked."""

    def __init__(self, tier: PriceTier, taken: int) -> None:
        super().__init__(
            _("%(taken)d tickets of “%(tier)s” are reserved or booked: its quantity cannot be %(quantity)d.")
            % {"taken": taken, "tier": tier.name, "quantity": tier.quantity or 0}
        )
        self.taken = taken


class WrongStatus(OrganiserError):
    """The step does not fit the event's status."""


class ImpossibleTimes(OrganiserError):
    """The times contradict each other."""

    def __init__(self) -> None:
        super().__init__(
            _(
                "These times cannot be: doors open before the event starts, it ends afterwards, and its sale "
                "begins before it closes."
            )
        )


class SeatsCollide(OrganiserError):
    """The new seats would stand where others are, or make no sense."""


class SeatsInUse(OrganiserError):
    """The seats cannot go, as bookings of the past refer to their tickets."""

    def __init__(self, names: Iterable[str], total: int) -> None:
        super().__init__(
            ngettext(
                "%(total)d seat was held or sold before and must stay: %(names)s.",
                "%(total)d seats were held or sold before and must stay: %(names)s.",
                total,
            )
            % {"total": total, "names": name_some(names, total)}
        )
        self.total = total


class InvalidPlan(OrganiserError):
    """The seating plan is refused; `place` says where in the file, such as `zones[2].rows[0]`."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}" if place else reason)
        self.place = place
        self.reason = reason
