"""People with tickets in front of a door, and people who let them in."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.models import Permission

from bookings.door.services import Attempt
from bookings.models import Booking, BookingItem, User
from bookings.payments import start_payment
from bookings.services import Buyer, change_details, hold_tickets
from events.models import Event
from tests.factories import make_user, ticket_ids


def make_door_staff(**fields: Any) -> User:
    """Someone who may check tickets in, and nothing else."""
    user = make_user(**fields)
    user.user_permissions.add(Permission.objects.get(codename="check_in", content_type__app_label="door"))
    return user


def book(event: Event, quantity: int = 1, *, name: str = "Ada Lovelace") -> list[BookingItem]:
    """The event's next free tickets, booked; the event must cost nothing."""
    free = [pk for pk in ticket_ids(event) if event.tickets.get(pk=pk).status == "available"]
    booking = hold_tickets(event=event, ticket_ids=free[:quantity], buyer=Buyer(account=make_user())).booking
    change_details(booking_id=booking.pk, email=None, name=name, holder_names={})
    start_payment(booking_id=booking.pk)
    return items_of(booking)


def items_of(booking: Booking) -> list[BookingItem]:
    return list(booking.items.select_related("booking").order_by("ticket__position"))


def attempt(item: BookingItem, **fields: Any) -> Attempt:
    defaults: dict[str, Any] = {"id": uuid.uuid4(), "code": item.code, "door": "North door"}
    return Attempt(**defaults | fields)
