"""Sending a mail once more, and to the right address."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from bookings.exceptions import BookingClosed
from bookings.models import Booking
from bookings.outbox.models import AGAIN, Mail
from bookings.outbox.services import queue_mail, send_soon_after_commit
from bookings.services import lock_booking


def send_again(mail_id: UUID) -> None:
    """Send a mail once more, written anew from the booking as it is by then.

    One that was sent stays as it is, and another is queued; one that failed or waits is tried
    now. Asking twice sends one: the booking is locked, so that two who ask come one after the other.
    """
    with transaction.atomic():
        booking = lock_booking(Mail.objects.values_list("booking", flat=True).get(pk=mail_id))
        _repeat(Mail.objects.get(pk=mail_id), booking)


def send_tickets_again(booking_id: UUID) -> None:
    """Mail a booked booking's tickets once more. Raises `BookingClosed` for any other booking."""
    with transaction.atomic():
        booking = lock_booking(booking_id)
        if booking.status != Booking.Status.BOOKED:
            raise BookingClosed(booking.status)
        last = tickets_mail(booking)
        if last is None:
            queue_mail(Mail.Kind.BOOKED, booking)
        else:
            _repeat(last, booking)


def tickets_mail(booking: Booking) -> Mail | None:
    """The newest mail that brings the booking's tickets, in whatever state; one query."""
    return booking.mails.filter(kind=Mail.Kind.BOOKED).order_by("-created_at", "-id").first()


def correct_address(*, booking_id: UUID, email: str) -> Booking:
    """Change where a booked booking's mails go, because it was mistyped.

    Links in mails to the old address open nothing any more. The limit on tickets for one buyer is
    not counted anew: the tickets are bought. Raises `BookingClosed` for a booking that is not booked.
    """
    with transaction.atomic():
        booking = lock_booking(booking_id)
        if booking.status != Booking.Status.BOOKED:
            raise BookingClosed(booking.status)
        booking.email = email.strip().lower()
        booking.save(update_fields=["email"])
    return booking


def _repeat(mail: Mail, booking: Booking) -> None:
    """Try a mail now that is still to be sent; of any other queue another. Needs the booking's lock."""
    same = booking.mails.filter(key__startswith=mail.first_key)
    unsent = same.filter(state=Mail.State.WAITING) or same.filter(pk=mail.pk, state=Mail.State.FAILED)
    if unsent:
        # One that a worker is just sending is left to it.
        unsent.filter(claimed_until=None).update(
            state=Mail.State.WAITING, attempts=0, next_attempt_at=Now(), error=""
        )
        send_soon_after_commit()
        return
    number = booking.mails.filter(kind=mail.kind).count() + 1
    key = f"{mail.occasion}{AGAIN}{number}"
    queue_mail(Mail.Kind(mail.kind), booking, key=key, facts=mail.facts)
