"""A booking that is paid for, without a browser and without waiting."""

from __future__ import annotations

from collections.abc import Sequence

from bookings.models import Booking
from bookings.payments import settle_payment, start_payment
from bookings.sandbox.models import SandboxIntent
from bookings.services import Buyer, hold_tickets
from events.models import Event

GUEST = Buyer(email="guest@example.org")


def buy(event: Event, ids: Sequence[int] | int = 1, buyer: Buyer = GUEST) -> Booking:
    """Hold these tickets, or so many of the event's first free ones, and pay for them."""
    if isinstance(ids, int):
        free = event.tickets.available().order_by("position").values_list("id", flat=True)
        ids = list(free[:ids])
    booking = hold_tickets(event=event, ticket_ids=ids, buyer=buyer).booking
    payment = start_payment(booking_id=booking.pk)
    SandboxIntent.objects.filter(idempotency_key=str(payment.pk)).update(status="authorised")
    settle_payment(payment.pk)
    booking.refresh_from_db()
    assert booking.status == "booked"
    return booking
