"""The mail that brings a buyer their tickets."""

from __future__ import annotations

import logging
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _

from bookings.models import Booking

logger = logging.getLogger(__name__)

BATCH = 50


def send_confirmations() -> int:
    """Mail every booked booking that has not been mailed; returns how many went out.

    The row is locked while its mail is sent, so that two workers never send it twice; a mail
    server that fails leaves the booking to the next turn.
    """
    due = Booking.objects.confirmation_due().order_by("booked_at").values_list("pk", flat=True)
    return sum(_send_confirmation(booking_id) for booking_id in due[:BATCH])


def _send_confirmation(booking_id: UUID) -> bool:
    with transaction.atomic():
        rows = Booking.objects.confirmation_due().select_for_update(
            skip_locked=True, no_key=True, of=("self",)
        )
        booking = rows.select_related("event__venue").filter(pk=booking_id).first()
        if booking is None:
            return False
        try:
            confirmation_mail(booking).send()
        except OSError as error:
            logger.warning("The mail for %s did not go out: %s", booking.reference, error)
            return False
        booking.confirmation_sent_at = timezone.now()
        booking.save(update_fields=["confirmation_sent_at"])
    return True


def confirmation_mail(booking: Booking) -> EmailMessage:
    """The mail with the link to the tickets. Needs the event and its venue loaded."""
    context = {
        "booking": booking,
        "url": settings.SITE_URL + booking.get_absolute_url(),
        "site_name": settings.SITE_NAME,
    }
    subject = _("Your tickets for %(event)s (%(reference)s)") % {
        "event": booking.event.title,
        "reference": booking.reference,
    }
    body = render_to_string("bookings/emails/confirmation.txt", context)
    return EmailMessage(" ".join(subject.split()), body, to=[booking.email])
