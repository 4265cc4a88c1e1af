from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from bookings.models import Booking
from bookings.services import Buyer, hold_tickets
from tests.factories import make_seated_event, make_staff, ticket_ids
from tests.utils import let_hold_lapse

pytestmark = pytest.mark.django_db


@pytest.fixture
def hold() -> Booking:
    event = make_seated_event(seats=1)
    return hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=Buyer()).booking


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize(("has_lapsed", "status"), [(False, "reserved"), (True, "expired")])
def test_current_status_does_not_ask_the_clock_of_the_application(
    hold: Booking, monkeypatch, hours: int, has_lapsed: bool, status: str
):
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(hours=hours))
    if has_lapsed:
        let_hold_lapse(hold)

    found = Booking.objects.with_details().get()

    assert (found.current_status, found.status) == (status, "reserved")


def test_list_of_staff_tells_a_lapsed_hold_as_expired(hold: Booking, client):
    client.force_login(make_staff())
    let_hold_lapse(hold)

    page = client.get("/admin/bookings/booking/").content.decode()

    assert hold.reference in page
    assert "expired" in page
