"""The mail that brings a buyer their tickets."""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import F
from django.db.models.functions import Now
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from bookings.access import access_link
from bookings.models import Booking

logger = logging.getLogger(__name__)

BATCH = 50
# Longer than sending one mail can take.
CLAIM = timedelta(minutes=1)


def send_confirmations() -> int:
    """Mail every booked booking that has not been mailed; returns how many went out."""
    due = (
        Booking.objects.confirmation_due()
        .order_by(
            # Those that failed before wait behind those that were never tried.
            F("confirmation_claimed_until").asc(nulls_first=True),
            "booked_at",
        )
        .values_list("pk", flat=True)
    )
    return sum(_send_confirmation(booking_id) for booking_id in due[:BATCH])


def _send_confirmation(booking_id: UUID) -> bool:
    """Claim the mail for a while, so that two workers do not send it at once, then send it.

    A mail server that fails leaves it to a later turn.
    """
    mine = Booking.objects.filter(pk=booking_id)
    if not mine.confirmation_due().update(confirmation_claimed_until=Now() + CLAIM):
        return False
    try:
        confirmation_mail(mine.with_details().get()).send()
    except OSError as error:
        logger.warning("The mail for booking %s did not go out: %s", booking_id, error)
        return False
    mine.update(confirmation_sent_at=Now())
    return True


def confirmation_mail(booking: Booking) -> EmailMessage:
    """The mail with the link to the tickets. Needs a booking from `with_details()`."""
    context = {
        "booking": booking,
        "venue": booking.event.venue,
        "items": booking.items.all(),
        "url": settings.SITE_URL + access_link(booking),
        "site_name": settings.SITE_NAME,
    }
    subject = _("Your tickets for %(event)s (%(reference)s)") % {
        "event": booking.event.title,
        "reference": booking.reference,
    }
    body = render_to_string("bookings/emails/confirmation.txt", context)
    return EmailMessage(" ".join(subject.split()), body, to=[booking.email])
