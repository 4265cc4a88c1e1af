"""Reminding buyers of what they booked."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import F
from django.db.models.functions import Now

from bookings.models import Booking
from bookings.outbox.models import Mail
from bookings.outbox.services import queue_mails
from events.models import Event

BEFORE = timedelta(days=2)
# A timetable that stood still for longer than this reminds nobody: the event is about to begin.
LATEST = timedelta(hours=12)
# Whoever booked so shortly before has just had the tickets, and needs no reminder.
BOOKED_BEFORE = timedelta(days=3)


def queue_reminders() -> int:
    """Queue a reminder to each buyer of an event that starts within two days; returns how many.

    One statement for each event. An event that is moved reminds again, of its new date: the date
    is the mail's occasion. Bookings made less than three days before the start are left out.
    """
    soon = Event.objects.filter(
        status=Event.Status.PUBLISHED, starts_at__gt=Now() + LATEST, starts_at__lte=Now() + BEFORE
    )
    return sum(_remind_of(event) for event in soon)


def _remind_of(event: Event) -> int:
    in_time = Booking.objects.filter(
        event=event, status=Booking.Status.BOOKED, booked_at__lte=F("event__starts_at") - BOOKED_BEFORE
    )
    return queue_mails(Mail.Kind.REMINDER, in_time, key=event.starts_at.isoformat())
