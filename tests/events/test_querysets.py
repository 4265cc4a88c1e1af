"""What can be taken now, in the ORM's words and as SQL."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from bookings.services import Buyer, hold_tickets
from events.models import Ticket
from events.querysets import IS_AVAILABLE
from events.statements import execute
from tests.factories import make_seated_event, ticket_ids

pytestmark = pytest.mark.django_db


def test_sql_calls_the_same_tickets_available_as_the_orm():
    event = make_seated_event(seats=5)
    ids = ticket_ids(event)
    booking = hold_tickets(event=event, ticket_ids=ids[:3], buyer=Buyer()).booking
    held = Ticket.objects.filter(booking_id=booking.pk)
    held.filter(pk=ids[0]).update(status="booked", reserved_until=None)
    held.filter(pk=ids[1]).update(reserved_until=Now() + timedelta(seconds=2))
    held.filter(pk=ids[2]).update(reserved_until=Now() - timedelta(milliseconds=1))
    Ticket.objects.filter(pk=ids[3]).update(status="blocked")

    found = execute(f"SELECT id FROM events_ticket AS ticket WHERE {IS_AVAILABLE} ORDER BY id", {})  # noqa: S608

    assert [pk for (pk,) in found] == [ids[2], ids[4]]
    assert list(Ticket.objects.available().order_by("id").values_list("pk", flat=True)) == [ids[2], ids[4]]
