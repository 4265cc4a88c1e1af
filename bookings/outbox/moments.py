"""Whether a mail is still worth sending when its turn comes."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from bookings.models import Booking
from bookings.outbox.models import Mail
from events.models import Event

Kind = Mail.Kind

# Nobody finds their way back to a hold that ends sooner.
TOO_LATE_TO_PAY = timedelta(minutes=1)


def why_not_needed(mail: Mail, booking: Booking, now: datetime) -> str:
    """Why the mail is not to be sent any more, in words for staff; nothing where it is."""
    if not booking.email:
        return _("The booking has no e-mail address.")
    match mail.kind:
        case Kind.RESERVED:
            return _why_no_hold(mail, booking, now)
        case Kind.PAYMENT_FAILED:
            return _("The tickets have been booked since.") if booking.booked_at else ""
        case Kind.EXPIRED:
            return _why_no_regret(booking)
        case Kind.BOOKED | Kind.EVENT_CHANGED | Kind.EVENT_POSTPONED:
            return _why_no_tickets(booking, now)
        case Kind.REMINDER:
            return _why_no_reminder(mail, booking, now)
    return ""


def _why_no_hold(mail: Mail, booking: Booking, now: datetime) -> str:
    if booking.status != Booking.Status.RESERVED:
        return _("The booking is not reserved any more: it is %(status)s.") % {
            "status": booking.get_status_display()
        }
    if booking.expires_at - now < TOO_LATE_TO_PAY:
        return _("The hold has run out.")
    if mail.occasion != booking.email:
        return _("The address has been changed since.")
    return ""


def _why_no_regret(booking: Booking) -> str:
    if booking.booked_at:
        return _("The tickets have been booked since.")
    others = Booking.objects.filter(event=booking.event_id, email=booking.email).exclude(pk=booking.pk)
    if others.counting_towards_limit().exists():
        return _("The buyer has other tickets for this event.")
    return ""


def _why_no_tickets(booking: Booking, now: datetime) -> str:
    if booking.status != Booking.Status.BOOKED:
        return _("The booking is not booked any more: it is %(status)s.") % {
            "status": booking.get_status_display()
        }
    # The day of a postponed event is not its day any more.
    if booking.event.ends_at <= now and booking.event.status != Event.Status.POSTPONED:
        return _("The event is over.")
    return ""


def _why_no_reminder(mail: Mail, booking: Booking, now: datetime) -> str:
    event = booking.event
    if event.status != Event.Status.PUBLISHED or event.starts_at.isoformat() != mail.occasion:
        return _("The event was moved or called off.")
    if event.starts_at <= now:
        return _("The event has begun.")
    return _why_no_tickets(booking, now)
