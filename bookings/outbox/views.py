"""The mail with the tickets, on the buyer's page."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from bookings import access
from bookings.exceptions import BookingClosed
from bookings.limits import is_too_often
from bookings.models import Booking
from bookings.outbox.again import correct_address, send_tickets_again, tickets_mail
from bookings.outbox.forms import AddressForm
from bookings.outbox.models import Mail
from bookings.refusals import explain
from events.requests import network_of

# A mail goes to whom the buyer names, so nobody shall be written to again and again.
SENDS_PER_HOUR = 3
SENDS_PER_HOUR_AND_CALLER = 20


def mail_context(booking: Booking) -> dict[str, Any]:
    """What the booking's page says of the mail with its tickets; one query."""
    mail = tickets_mail(booking)
    is_refused = mail is not None and mail.state == Mail.State.FAILED
    form = AddressForm(initial={"email": booking.email}) if is_refused else None
    return {"mail": mail, "address_form": form}


@require_POST
def send_again(request: HttpRequest, booking_id: UUID) -> HttpResponse:
    """Send the tickets once more; to another address only where the mail did not get through."""
    booking = access.get_booking(request, booking_id, to_change=True)
    if _is_too_often(request, booking):
        messages.error(request, _("We have just sent it. Please wait an hour before you ask again."))
        return redirect(booking)
    try:
        booking = _correct_if_refused(request, booking)
        send_tickets_again(booking.pk)
    except BookingClosed as refusal:
        messages.error(request, explain(refusal))
        return redirect(booking)
    if booking.email:
        messages.success(request, _("Your tickets are on their way to %(to)s.") % {"to": booking.email})
    return redirect(booking)


def _correct_if_refused(request: HttpRequest, booking: Booking) -> Booking:
    """Take the posted address where there is one and the last mail was refused."""
    form = AddressForm(request.POST)
    if mail_context(booking)["address_form"] is None or not form.is_valid():
        return booking
    return correct_address(booking_id=booking.pk, email=form.cleaned_data["email"])


def _is_too_often(request: HttpRequest, booking: Booking) -> bool:
    # Both are counted each time, so that neither hides the other.
    by_booking = is_too_often(f"mail:booking:{booking.pk}", SENDS_PER_HOUR, seconds=3600)
    by_caller = is_too_often(f"mail:address:{network_of(request)}", SENDS_PER_HOUR_AND_CALLER, seconds=3600)
    return by_booking or by_caller
