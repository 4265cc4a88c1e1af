"""What was mailed before there was an outbox is not mailed again, and what was not is."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connection

from bookings.outbox.models import Mail
from bookings.services import Buyer, hold_tickets
from tests.factories import make_seated_event, ticket_ids

pytestmark = pytest.mark.django_db(transaction=True)

SENT_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def make_booking(email: str) -> UUID:
    event = make_seated_event(seats=1)
    return hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=Buyer(email=email)).booking.pk


def set_before_the_outbox(booking_id: UUID, status: str, sent_at: datetime | None) -> None:
    """Say of a booking what the table said of it before the outbox came."""
    booked_at = None if status == "expired" else SENT_AT
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE bookings_booking SET status = %s, booked_at = %s, confirmation_sent_at = %s"
            " WHERE id = %s",
            [status, booked_at, sent_at, booking_id],
        )


def test_each_booking_that_was_not_mailed_waits_for_its_mail_once():
    mailed, refunded, unmailed = (make_booking(f"{name}@example.org") for name in ("a", "b", "c"))
    nameless, late, expired = make_booking(""), make_booking("d@example.org"), make_booking("e@example.org")
    Mail.objects.all().delete()
    call_command("migrate", "outbox", "0001", verbosity=0)
    try:
        set_before_the_outbox(mailed, "booked", SENT_AT)
        set_before_the_outbox(refunded, "refunded", SENT_AT)
        set_before_the_outbox(unmailed, "booked", None)
        set_before_the_outbox(nameless, "booked", None)
        set_before_the_outbox(late, "refunded", None)
        set_before_the_outbox(expired, "expired", None)
    finally:
        call_command("migrate", verbosity=0)

    assert set(Mail.objects.values_list("key", "state", "to", "sent_at")) == {
        (f"booked:{mailed}:", "sent", "a@example.org", SENT_AT),
        (f"booked:{refunded}:", "sent", "b@example.org", SENT_AT),
        (f"booked:{unmailed}:", "waiting", "", None),
    }
