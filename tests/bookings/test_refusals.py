"""Every refusal is told in a sentence that is true of it."""

from __future__ import annotations

import pytest
from django.utils import timezone

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
from bookings.refusals import explain

TOLD = [
    (TicketsUnavailable(unavailable=[1]), "Someone was quicker: this ticket has just been taken."),
    (TicketsUnavailable(unavailable=[1, 2]), "Someone was quicker: these tickets have just been taken."),
    (TicketsUnavailable(available=0), "Someone was quicker: there are none left at this price."),
    (TicketsUnavailable(available=1), "Only 1 ticket is left at this price."),
    (TicketsUnavailable(available=2), "Only 2 tickets are left at this price."),
    (
        TicketsUnavailable(available=4, suggestion=[1, 2]),
        "There are not that many seats side by side any more.",
    ),
    (
        LimitExceeded(limit=1),
        "One buyer can have at most 1 ticket for this event, all bookings together.",
    ),
    (
        LimitExceeded(limit=8),
        "One buyer can have at most 8 tickets for this event, all bookings together.",
    ),
    (NotOnSale(), "This event is not on sale."),
    (NotOnSale(on_sale_at=timezone.now()), "This event is not on sale yet."),
    (HoldExpired(), "The time to pay is over, and these tickets are no longer held."),
    (ExtensionLimit(), "This hold cannot be extended again."),
    (AlreadyBooked(), "This booking is complete already: its tickets are booked."),
    (BookingClosed("cancelled"), "This booking was cancelled."),
    (BookingClosed("refunded"), "This booking was refunded."),
    (BookingClosed("released"), "These tickets were given back, and are no longer held."),
    (BookingClosed("expired"), "This booking is over, and nothing can be changed in it."),
    (
        NotRefundable("Tickets for this event cannot be returned."),
        "Tickets for this event cannot be returned.",
    ),
    (
        InvalidTickets("tickets", "Name at least one ticket, and none twice."),
        "What was asked for does not fit this event. Nothing was changed; please choose again.",
    ),
    (
        GatewayUnavailable(),
        "The payment provider does not answer. You have not been charged; please try again.",
    ),
]


@pytest.mark.parametrize(("refusal", "words"), TOLD, ids=lambda value: getattr(value, "code", None))
def test_refusal_is_explained(refusal: BoxOfficeError, words: str) -> None:
    assert explain(refusal) == words


def test_every_refusal_of_a_buyer_has_words_of_its_own() -> None:
    # What the door refuses is told to its staff alone.
    refusals = {kind for kind in BoxOfficeError.__subclasses__() if "door" not in kind.__module__}
    assert {type(refusal) for refusal, _words in TOLD} == refusals


def test_refusal_nobody_thought_of_claims_nothing() -> None:
    assert explain(BoxOfficeError()) == (
        "The box office could not do that. Please look at your booking before you try again."
    )
