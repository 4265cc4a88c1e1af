"""What staff with one right alone may do: whoever may look at bookings may not change them by that."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from bookings.models import ApiKey, Booking, Payment, hash_secret
from bookings.payments import start_payment
from bookings.sandbox.models import SandboxIntent
from bookings.services import Buyer, hold_tickets
from tests.factories import make_seated_event, make_user, ticket_ids

pytestmark = pytest.mark.django_db

JSON = "application/json"


@pytest.fixture
def booking() -> Booking:
    """A guest's hold."""
    event = make_seated_event()
    buyer = Buyer(email="guest@example.org")
    return hold_tickets(event=event, ticket_ids=ticket_ids(event)[:1], buyer=buyer).booking


def log_in(client: Client, *rights: str) -> dict[str, str]:
    """Log in as a clerk with these rights alone; returns the headers of the clerk's key."""
    clerk = make_user(is_staff=True)
    clerk.user_permissions.set(
        Permission.objects.filter(content_type__app_label="bookings", codename__in=rights)
    )
    ApiKey.objects.create(account=clerk, key_hash=hash_secret("clerk"))
    client.force_login(clerk)
    return {"Authorization": "Token clerk"}


def run_action(client: Client, model: str, action: str, row: Booking | Payment) -> Any:
    url = reverse(f"admin:bookings_{model}_changelist")
    return client.post(url, {"action": action, "_selected_action": [row.pk]})


def change_by_api(client: Client, booking: Booking, headers: dict[str, str]) -> list[int]:
    """Try every change of a booking that the API has; returns the answers' statuses."""
    url = f"/api/v1/bookings/{booking.pk}/"
    answers = [
        client.patch(url, {"name": "Changed"}, content_type=JSON, headers=headers),
        client.post(f"{url}extend/", content_type=JSON, headers=headers),
        client.post(f"{url}payments/", {}, content_type=JSON, headers=headers),
        client.delete(url, headers=headers),
    ]
    return [answer.status_code for answer in answers]


def facts(booking: Booking) -> tuple[str, str, int, int]:
    booking.refresh_from_db()
    return booking.status, booking.name, booking.extensions_used, booking.payments.count()


def test_right_to_view_changes_no_booking_by_api(client: Client, booking: Booking):
    headers = log_in(client, "view_booking")

    assert client.get(f"/api/v1/bookings/{booking.pk}/", headers=headers).status_code == 200
    assert change_by_api(client, booking, headers) == [404] * 4

    assert facts(booking) == ("reserved", "", 0, 0)


def test_right_to_change_changes_a_booking_by_api(client: Client, booking: Booking):
    headers = log_in(client, "change_booking")

    assert change_by_api(client, booking, headers) == [200, 200, 201, 204]

    assert facts(booking) == ("released", "Changed", 1, 1)


def test_right_to_change_alone_shows_no_booking_by_api(client: Client, booking: Booking):
    headers = log_in(client, "change_booking")

    assert client.get(f"/api/v1/bookings/{booking.pk}/", headers=headers).status_code == 404


def test_no_right_shows_and_changes_nothing(client: Client, booking: Booking):
    headers = log_in(client)

    assert client.get(f"/api/v1/bookings/{booking.pk}/", headers=headers).status_code == 404
    assert change_by_api(client, booking, headers) == [404] * 4
    assert run_action(client, "booking", "release", booking).status_code == 403

    assert facts(booking) == ("reserved", "", 0, 0)


@pytest.mark.parametrize(
    ("rights", "status"),
    [
        (["view_booking"], "reserved"),
        (["view_booking", "change_payment"], "reserved"),
        (["view_booking", "change_booking"], "released"),
    ],
)
def test_only_the_right_to_change_bookings_releases_a_hold_in_the_admin(
    client: Client, booking: Booking, rights: list[str], status: str
):
    log_in(client, *rights)

    run_action(client, "booking", "release", booking)

    assert facts(booking)[0] == status


@pytest.mark.parametrize(
    ("rights", "status"),
    [
        (["view_payment"], "pending"),
        (["view_payment", "change_booking"], "pending"),
        (["view_payment", "change_payment"], "captured"),
    ],
)
def test_only_the_right_to_change_payments_settles_one_in_the_admin(
    client: Client, booking: Booking, rights: list[str], status: str
):
    payment = start_payment(booking_id=booking.pk)
    SandboxIntent.objects.update(status="authorised")
    log_in(client, *rights)

    run_action(client, "payment", "settle", payment)

    payment.refresh_from_db()
    assert payment.status == status
