"""Support staff's admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bookings.models import Booking, User
from bookings.services import Buyer, hold_tickets
from events.models import Ticket
from tests.factories import make_seated_event, make_staff, make_user, ticket_ids

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(make_staff())
    return client


def hold_one() -> Booking:
    event = make_seated_event()
    return hold_tickets(
        event=event, ticket_ids=ticket_ids(event)[:1], buyer=Buyer(account=None, email="guest@example.org")
    ).booking


@pytest.mark.parametrize("bookings", [1, 3])
def test_booking_list_has_a_fixed_number_of_queries(
    staff: Client, bookings: int, django_assert_num_queries: Any
) -> None:
    for _number in range(bookings):
        hold_one()

    with django_assert_num_queries(5):
        page = staff.get(reverse("admin:bookings_booking_changelist")).content.decode()

    assert page.count("guest@example.org") == bookings


def test_hold_is_released_through_the_service(staff: Client) -> None:
    booking = hold_one()

    staff.post(
        reverse("admin:bookings_booking_changelist"), {"action": "release", "_selected_action": [booking.pk]}
    )

    booking.refresh_from_db()
    assert booking.status == "released"
    assert Ticket.objects.filter(status="available").count() == 10


def test_refused_release_names_the_booking_and_says_why(staff: Client) -> None:
    booking = hold_one()
    Booking.objects.update(status="booked", booked_at=timezone.now())

    page = staff.post(
        reverse("admin:bookings_booking_changelist"),
        {"action": "release", "_selected_action": [booking.pk]},
        follow=True,
    )

    assert [str(message) for message in page.context["messages"]] == [
        f"{booking.reference}: This booking is complete already: its tickets are booked."
    ]


def test_booking_cannot_be_changed_or_deleted(staff: Client) -> None:
    booking = hold_one()

    changed = staff.post(reverse("admin:bookings_booking_change", args=[booking.pk]), {"status": "booked"})
    deleted = staff.post(reverse("admin:bookings_booking_delete", args=[booking.pk]), {"post": "yes"})

    booking.refresh_from_db()
    assert (changed.status_code, deleted.status_code, booking.status) == (403, 403, "reserved")


def test_booking_page_shows_its_tickets(staff: Client) -> None:
    booking = hold_one()

    page = staff.get(reverse("admin:bookings_booking_change", args=[booking.pk])).content.decode()

    assert "Stalls, row 1, seat 1" in page
    assert booking.access_token_hash not in page


def test_audit_says_that_all_is_well(staff: Client) -> None:
    hold_one()

    page = staff.get(reverse("admin:bookings_booking_audit")).content.decode()

    assert "Everything agrees." in page


def test_audit_shows_a_violation(staff: Client) -> None:
    booking = hold_one()
    Ticket.objects.filter(booking_id=booking.pk).update(status="booked", reserved_until=None)

    page = staff.get(reverse("admin:bookings_booking_audit")).content.decode()

    assert "The books do not agree." in page


def test_only_a_superuser_changes_accounts(client: Client) -> None:
    clerk = make_user(is_staff=True)
    client.force_login(clerk)

    response = client.post(reverse("admin:bookings_user_change", args=[clerk.pk]), {"is_superuser": "on"})

    assert response.status_code == 403
    assert User.objects.filter(is_superuser=True).count() == 0


def test_superuser_makes_an_account(staff: Client) -> None:
    staff.post(
        reverse("admin:bookings_user_add"),
        {
            "email": "clerk@example.org",
            "usable_password": "true",
            "password1": "a long walk home",
            "password2": "a long walk home",
        },
    )

    assert User.objects.get(email="clerk@example.org").check_password("a long walk home")
