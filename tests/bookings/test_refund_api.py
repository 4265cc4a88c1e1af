"""Refunds through the API: asked for by staff and buyers, and listed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from bookings.models import ApiKey, Booking, BookingItem, Refund, User, hash_secret, make_access_token
from bookings.refunds import finish_refunds, request_refund
from bookings.services import Buyer, hold_tickets
from events.models import Event, Ticket
from tests.bookings.buying import buy
from tests.factories import make_seated_event, make_user, ticket_ids
from tests.utils import assert_audit_is_clean

pytestmark = pytest.mark.django_db

JSON = "application/json"


@pytest.fixture
def event() -> Event:
    """Three seats of 30; buyers may return them for a fee of 2 each."""
    return make_seated_event(
        seats=3, price="30.00", refunds_until=timezone.now() + timedelta(days=7), refund_fee=Decimal("2.00")
    )


@pytest.fixture
def booking(event: Event) -> Booking:
    """A guest's two tickets."""
    return buy(event, 2)


def as_guest(booking: Booking) -> dict[str, str]:
    return {"X-Booking-Token": make_access_token(booking.pk)}


def as_account(account: User) -> dict[str, str]:
    key = f"key-{account.pk}"
    ApiKey.objects.create(account=account, key_hash=hash_secret(key))
    return {"Authorization": f"Token {key}"}


def as_clerk(*rights: str) -> dict[str, str]:
    clerk = make_user(is_staff=True)
    clerk.user_permissions.set(
        Permission.objects.filter(content_type__app_label="bookings", codename__in=rights)
    )
    return as_account(clerk)


def ask(client: Client, booking: Booking, headers: dict[str, str], body: dict[str, Any] | None = None) -> Any:
    url = f"/api/v1/bookings/{booking.pk}/refunds/"
    return client.post(url, {} if body is None else body, content_type=JSON, headers=headers)


def items_of(booking: Booking) -> list[BookingItem]:
    return list(booking.items.order_by("ticket_id"))


def test_buyer_returns_one_ticket_for_its_price_less_the_fee(client: Client, booking: Booking):
    kept, returned = items_of(booking)

    answer = ask(client, booking, as_guest(booking), {"tickets": [returned.ticket_id], "reason": "Ill"})

    refund = Refund.objects.get()
    assert answer.status_code == 201
    assert answer.json() == {
        "id": str(refund.pk),
        "status": "requested",
        "amount": "28.00",
        "fee": "2.00",
        "currency": "EUR",
        "tickets": [returned.ticket_id],
        "reason": "Ill",
        "requested_at": answer.json()["requested_at"],
        "done_at": None,
    }
    assert (refund.origin, refund.requested_by) == ("buyer", None)
    booking.refresh_from_db()
    assert booking.status == "booked"
    statuses = dict(Ticket.objects.values_list("id", "status"))
    assert (statuses[returned.ticket_id], statuses[kept.ticket_id]) == ("available", "booked")


def test_ticket_that_was_returned_has_no_code_any_more(client: Client, booking: Booking):
    kept, returned = items_of(booking)
    ask(client, booking, as_guest(booking), {"tickets": [returned.ticket_id]})

    told = client.get(f"/api/v1/bookings/{booking.pk}/", headers=as_guest(booking)).json()

    has_code = {ticket["id"]: ticket["code"] is not None for ticket in told["tickets"]}
    assert has_code == {kept.ticket_id: True, returned.ticket_id: False}


def test_no_body_returns_all_that_are_left(client: Client, booking: Booking):
    first, second = items_of(booking)
    ask(client, booking, as_guest(booking), {"tickets": [first.ticket_id]})

    url = f"/api/v1/bookings/{booking.pk}/refunds/"
    answer = client.generic("POST", url, headers=as_guest(booking))

    assert (answer.status_code, answer.json()["tickets"]) == (201, [second.ticket_id])
    booking.refresh_from_db()
    assert booking.status == "refunded"


def test_money_follows_and_the_list_says_so(client: Client, booking: Booking):
    ask(client, booking, as_guest(booking))
    finish_refunds()

    url = f"/api/v1/bookings/{booking.pk}/"
    listed = client.get(f"{url}refunds/", headers=as_guest(booking)).json()["results"]
    payments = client.get(f"{url}payments/", headers=as_guest(booking)).json()["results"]

    assert [(refund["status"], refund["amount"], refund["done_at"] is None) for refund in listed] == [
        ("done", "56.00", False)
    ]
    assert [(payment["captured"], payment["refunded"]) for payment in payments] == [("60.00", "56.00")]
    assert_audit_is_clean()


def test_staff_refund_the_full_price_whatever_the_rules_say(client: Client, event: Event, booking: Booking):
    Event.objects.update(refunds_until=None)
    headers = as_clerk("add_refund")

    answer = ask(client, booking, headers, {"reason": "Hall flooded"})

    refund = Refund.objects.get()
    assert (answer.status_code, answer.json()["amount"], answer.json()["fee"]) == (201, "60.00", "0.00")
    assert (refund.origin, refund.requested_by.is_staff, refund.reason) == ("staff", True, "Hall flooded")


@pytest.mark.parametrize("rights", [(), ("view_booking",), ("view_booking", "change_booking")])
def test_staff_without_the_right_to_refund_find_nothing(client: Client, booking: Booking, rights: tuple):
    answer = ask(client, booking, as_clerk(*rights))

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert Refund.objects.count() == 0


def test_someone_elses_booking_is_not_found(client: Client, booking: Booking):
    assert ask(client, booking, as_account(make_user())).status_code == 404
    assert ask(client, booking, {}).status_code == 404
    assert client.get(f"/api/v1/bookings/{booking.pk}/refunds/").status_code == 404
    assert Refund.objects.count() == 0


@pytest.mark.parametrize(
    ("rules", "detail"),
    [
        ({"refunds_until": None}, "Tickets for this event cannot be returned."),
        (
            {"refunds_until": timezone.now() - timedelta(hours=1)},
            "The time to return tickets for this event is over.",
        ),
    ],
)
def test_buyer_outside_the_rules_is_told_why(
    client: Client, booking: Booking, rules: dict[str, Any], detail: str
):
    Event.objects.update(**rules)

    answer = ask(client, booking, as_guest(booking))

    assert answer["Content-Type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (
        403,
        "permission_denied",
        detail,
    )
    assert Ticket.objects.filter(status="booked").count() == 2


def test_used_ticket_is_not_returned_by_its_buyer(client: Client, booking: Booking):
    used, other = items_of(booking)
    BookingItem.objects.filter(pk=used.pk).update(checked_in_at=timezone.now())

    refused = ask(client, booking, as_guest(booking), {"tickets": [used.ticket_id]})
    taken = ask(client, booking, as_guest(booking), {"tickets": [other.ticket_id]})

    assert (refused.status_code, taken.status_code) == (403, 201)
    assert refused.json()["detail"] == "A ticket that was used at the door cannot be returned."


def test_nothing_left_is_booking_closed(client: Client, booking: Booking):
    ask(client, booking, as_guest(booking))

    answer = ask(client, booking, as_guest(booking))

    assert (answer.status_code, answer.json()["code"], answer.json()["booking_status"]) == (
        409,
        "booking_closed",
        "refunded",
    )
    assert Refund.objects.count() == 1


def test_hold_cannot_be_refunded(client: Client, event: Event):
    held = hold_tickets(event=event, ticket_ids=ticket_ids(event)[:1], buyer=Buyer()).booking

    answer = ask(client, held, as_guest(held))

    assert (answer.status_code, answer.json()["booking_status"]) == (409, "reserved")


def test_tickets_that_are_not_in_the_booking_are_named_as_wrong(
    client: Client, event: Event, booking: Booking
):
    foreign = ticket_ids(event)[2]
    returned = items_of(booking)[0].ticket_id
    ask(client, booking, as_guest(booking), {"tickets": [returned]})

    for wrong in ([foreign], [returned], [items_of(booking)[1].ticket_id, foreign]):
        answer = ask(client, booking, as_guest(booking), {"tickets": wrong})
        assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")
        assert [error["field"] for error in answer.json()["errors"]] == ["tickets"]
    assert Refund.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"tickets": []}, "tickets", "min_length"),
        ({"tickets": [7, 7]}, "tickets", "duplicate"),
        ({"tickets": ["7"]}, "tickets.0", "invalid"),
        ({"ticket": [7]}, "ticket", "unknown"),
        ({"reason": "x" * 201}, "reason", "max_length"),
    ],
)
def test_malformed_wish_is_refused(
    client: Client, booking: Booking, body: dict[str, Any], field: str, code: str
):
    answer = ask(client, booking, as_guest(booking), body)

    assert answer.status_code == 400
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]
    assert Refund.objects.count() == 0


def test_same_key_refunds_once(client: Client, booking: Booking):
    headers = as_guest(booking) | {"Idempotency-Key": "once"}
    body = {"tickets": [items_of(booking)[0].ticket_id]}

    first, again = ask(client, booking, headers, body), ask(client, booking, headers, body)
    other = ask(client, booking, headers, {})

    assert (first.status_code, again.status_code, again["Idempotent-Replayed"]) == (201, 201, "true")
    assert again.json() == first.json()
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert Refund.objects.count() == 1


def test_same_key_replays_a_refusal(client: Client, booking: Booking):
    Event.objects.update(refunds_until=None)
    headers = as_guest(booking) | {"Idempotency-Key": "once"}

    first = ask(client, booking, headers)
    Event.objects.update(refunds_until=timezone.now() + timedelta(days=1))
    again = ask(client, booking, headers)

    assert (first.status_code, again.status_code) == (403, 403)
    assert again.json() == first.json()


@pytest.mark.parametrize("refunds", [1, 3])
def test_list_of_refunds_has_a_fixed_number_of_queries(
    client: Client, refunds: int, event: Event, django_assert_num_queries: Any
):
    booking = buy(event, 3)
    for item in items_of(booking)[:refunds]:
        request_refund(booking_id=booking.pk, ticket_ids=[item.ticket_id], origin=Refund.Origin.STAFF)

    with django_assert_num_queries(3):
        listed = client.get(f"/api/v1/bookings/{booking.pk}/refunds/", headers=as_guest(booking)).json()

    assert [len(refund["tickets"]) for refund in listed["results"]] == [1] * refunds


def test_list_of_refunds_goes_on_by_cursor(client: Client, event: Event):
    booking = buy(event, 2)
    for item in items_of(booking):
        request_refund(booking_id=booking.pk, ticket_ids=[item.ticket_id], origin=Refund.Origin.STAFF)

    url = f"/api/v1/bookings/{booking.pk}/refunds/?page_size=1"
    first = client.get(url, headers=as_guest(booking)).json()
    second = client.get(first["next"], headers=as_guest(booking)).json()

    told = [page["results"][0]["tickets"] for page in (first, second)]
    assert told == [[item.ticket_id] for item in reversed(items_of(booking))]
    assert second["next"] is None
