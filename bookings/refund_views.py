"""Giving tickets back in the browser: choose which, see what comes back, confirm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from bookings import access
from bookings.exceptions import BoxOfficeError
from bookings.forms import ReturnForm
from bookings.models import Booking, BookingItem, Refund, User
from bookings.refunds import quote_refund, request_refund
from bookings.refusals import explain
from bookings.returns import return_rules
from bookings.tasks import finish_refunds
from events.templatetags.box_office import money
from events.wake_up import wake_up


def returns_context(booking: Booking) -> dict[str, Any]:
    """What the booking's page says of returned tickets, and of returning more."""
    refunds = booking.refunds.exclude(origin=Refund.Origin.LATE_PAYMENT).with_tickets()
    return {"refunds": refunds, "rules": return_rules(booking.event, booking.database_now)}


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def refund(request: HttpRequest, booking_id: UUID) -> HttpResponse:
    """Without a choice, what can be given back; with one, what it brings; posted, it is done."""
    booking = access.get_booking_to_refund(request, booking_id)
    if booking.status != Booking.Status.BOOKED:
        return redirect(booking)
    form = ReturnForm(request.POST if request.method == "POST" else request.GET)
    if not form.is_valid():
        return _choose_page(request, booking, [], refusal=_("That is not a ticket."), status=400)
    chosen = form.cleaned_data["tickets"]
    if request.method == "POST":
        return _give_back(request, booking, form)
    if form.cleaned_data["choose"] or not chosen:
        refusal = _("Choose at least one ticket.") if form.cleaned_data["next"] else ""
        return _choose_page(request, booking, chosen, refusal=refusal, status=400 if refusal else 200)
    return _review_page(request, booking, chosen)


def _give_back(request: HttpRequest, booking: Booking, form: ReturnForm) -> HttpResponse:
    chosen, promised = form.cleaned_data["tickets"], form.cleaned_data["amount"]
    try:
        if promised != quote_refund(booking, chosen, Refund.Origin.BUYER).amount:
            # The fee may have changed while the page was open: nothing happens that was not seen.
            return _review_page(
                request, booking, chosen, refusal=_("What you get back has changed. Please look again.")
            )
        made = request_refund(
            booking_id=booking.pk,
            ticket_ids=chosen,
            origin=Refund.Origin.BUYER,
            by=request.user if isinstance(request.user, User) else None,
        )
    except BoxOfficeError as refusal:
        return _choose_page(request, booking, chosen, refusal=explain(refusal), status=409)
    wake_up(finish_refunds)
    messages.success(request, _said(made))
    return redirect(booking)


def _said(made: Refund) -> str:
    if not made.amount:
        return _("You gave the tickets back.")
    return _("You gave the tickets back, and %(amount)s is on its way to you.") % {
        "amount": money(made.amount, made.currency)
    }


def _review_page(
    request: HttpRequest, booking: Booking, chosen: Sequence[int], *, refusal: str = ""
) -> HttpResponse:
    """What the chosen tickets bring, to be confirmed."""
    try:
        quote = quote_refund(booking, chosen, Refund.Origin.BUYER)
    except BoxOfficeError as error:
        return _choose_page(request, booking, chosen, refusal=explain(error), status=409)
    context = _page_context(booking) | {
        "quote": quote,
        "chosen": [item for item in _items_left(booking) if item.ticket_id in quote.ticket_ids],
        "refusal": refusal,
    }
    return render(request, "bookings/refund_review.html", context, status=409 if refusal else 200)


def _choose_page(
    request: HttpRequest, booking: Booking, chosen: Sequence[int], *, refusal: str = "", status: int = 200
) -> HttpResponse:
    left = _items_left(booking)
    # A single ticket needs no choosing.
    ticked = chosen or [item.ticket_id for item in left if len(left) == 1]
    context = _page_context(booking) | {"left": left, "ticked": ticked, "refusal": refusal}
    return render(request, "bookings/refund.html", context, status=status)


def _items_left(booking: Booking) -> list[BookingItem]:
    return [item for item in booking.items.all() if item.refund_id is None]


def _page_context(booking: Booking) -> dict[str, Any]:
    return {
        "booking": booking,
        "venue": booking.event.venue,
        "rules": return_rules(booking.event, booking.database_now),
    }
