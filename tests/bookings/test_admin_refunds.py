"""Staff give money back in the admin, and look up what became of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bookings.models import Booking, BookingItem, Refund
from bookings.refunds import finish_refunds, request_refund
from bookings.services import Buyer, hold_tickets
from events.models import Ticket
from tests.bookings.buying import buy
from tests.factories import make_seated_event, make_staff, make_user, ticket_ids
from tests.utils import assert_audit_is_clean

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(make_staff())
    return client


@pytest.fixture
def booking() -> Booking:
    """Three tickets of an event whose buyers may not return any."""
    return buy(make_seated_event(seats=4, price="30.00"), 3)


def refund_url(booking: Booking) -> str:
    return reverse("admin:bookings_booking_refund", args=[booking.pk])


def change_url(booking: Booking) -> str:
    return reverse("admin:bookings_booking_change", args=[booking.pk])


def ids_of(booking: Booking) -> list[int]:
    return list(booking.items.order_by("ticket_id").values_list("ticket_id", flat=True))


def page_of(response: Any) -> str:
    return " ".join(response.content.decode().split())


def test_booking_page_offers_the_refund_and_a_refunded_one_does_not(staff: Client, booking: Booking):
    assert refund_url(booking) in page_of(staff.get(change_url(booking)))

    request_refund(booking_id=booking.pk, origin=Refund.Origin.STAFF)

    assert refund_url(booking) not in page_of(staff.get(change_url(booking)))


def test_preview_says_what_goes_back_and_changes_nothing(staff: Client, booking: Booking):
    first, second, third = ids_of(booking)

    page = page_of(
        staff.post(refund_url(booking), {"tickets": [first, third], "reason": "Ill", "preview": "1"})
    )

    assert "€60.00 goes back to the buyer." in page
    assert "The tickets are on sale again at once" in page
    assert f'name="tickets" value="{second}"' not in page
    assert Refund.objects.count() == 0


def test_staff_refund_some_tickets_with_a_reason(staff: Client, booking: Booking):
    first, second, third = ids_of(booking)

    page = page_of(
        staff.post(
            refund_url(booking),
            {"tickets": [first, third], "reason": "Broken seats", "confirm": "1"},
            follow=True,
        )
    )

    refund = Refund.objects.get()
    assert (refund.amount, refund.fee, refund.origin, refund.reason) == (
        Decimal("60.00"),
        Decimal("0.00"),
        "staff",
        "Broken seats",
    )
    assert refund.requested_by.email.startswith("staff")
    assert list(Ticket.objects.filter(status="booked").values_list("pk", flat=True)) == [second]
    assert "The tickets are on sale again, and €60.00 is on its way to the buyer." in page
    assert LogEntry.objects.get().change_message == "Refunded €60.00: Broken seats"


def test_all_that_are_left_are_refunded(staff: Client, booking: Booking):
    first = ids_of(booking)[0]
    request_refund(booking_id=booking.pk, ticket_ids=[first], origin=Refund.Origin.STAFF)

    preview = staff.post(refund_url(booking), {"all": "1", "reason": "Flood"})
    staff.post(refund_url(booking), {"tickets": ids_of(booking)[1:], "reason": "Flood", "confirm": "1"})

    assert "€60.00 goes back to the buyer." in page_of(preview)
    booking.refresh_from_db()
    assert booking.status == "refunded"
    finish_refunds()
    assert_audit_is_clean()


@pytest.mark.parametrize(
    ("posted", "words"),
    [
        ({"reason": "Ill"}, "Choose at least one ticket."),
        ({"tickets": "first"}, "This field is required."),
        ({"tickets": "foreign", "reason": "Ill"}, "Nothing was changed; please choose again."),
    ],
)
def test_incomplete_wish_is_refused(staff: Client, booking: Booking, posted: dict[str, str], words: str):
    known = {"first": ids_of(booking)[0], "foreign": ticket_ids(booking.event)[3]}
    data = {name: known.get(value, value) for name, value in posted.items()}

    response = staff.post(refund_url(booking), data | {"confirm": "1"})

    assert response.status_code == 400
    assert words in page_of(response)
    assert Refund.objects.count() == 0


def test_used_ticket_can_be_refunded_by_staff(staff: Client, booking: Booking):
    used = ids_of(booking)[0]
    BookingItem.objects.filter(ticket_id=used).update(checked_in_at=timezone.now())

    staff.post(refund_url(booking), {"tickets": [used], "reason": "No view", "confirm": "1"})

    assert Refund.objects.get().amount == Decimal("30.00")


@pytest.mark.parametrize("name", ["refund", "change"])
def test_unknown_booking_is_not_found(staff: Client, name: str):
    unknown = [uuid4(), "nonsense"]

    answers = [staff.get(reverse(f"admin:bookings_booking_{name}", args=[pk])) for pk in unknown]

    assert [answer.status_code for answer in answers] == [404 if name == "refund" else 302] * 2


def test_hold_has_nothing_to_refund(staff: Client):
    event = make_seated_event()
    held = hold_tickets(event=event, ticket_ids=ticket_ids(event)[:1], buyer=Buyer()).booking

    response = staff.post(
        refund_url(held), {"tickets": ticket_ids(event)[:1], "reason": "Ill", "confirm": "1"}
    )

    assert (response.status_code, Refund.objects.count()) == (400, 0)


@pytest.mark.parametrize(
    ("rights", "status"),
    [
        (["view_booking"], 403),
        (["view_booking", "change_booking"], 403),
        (["add_refund"], 403),
        (["view_booking", "add_refund"], 200),
    ],
)
def test_only_the_right_to_refund_opens_the_page(
    client: Client, booking: Booking, rights: list[str], status: int
):
    clerk = make_user(is_staff=True)
    clerk.user_permissions.set(
        Permission.objects.filter(content_type__app_label="bookings", codename__in=rights)
    )
    client.force_login(clerk)

    looked = client.get(refund_url(booking))
    client.post(refund_url(booking), {"tickets": ids_of(booking), "reason": "Ill", "confirm": "1"})

    assert looked.status_code == status
    assert Refund.objects.count() == (1 if status == 200 else 0)


def test_booking_page_shows_money_books_and_mails(staff: Client, booking: Booking):
    request_refund(
        booking_id=booking.pk, ticket_ids=ids_of(booking)[:1], origin=Refund.Origin.STAFF, reason="No view"
    )
    finish_refunds()

    page = page_of(staff.get(change_url(booking)))

    payment = booking.payments.get()
    assert "Entries in the books" in page
    for words in ("Authorised", "Taken", "Given back", "No view", payment.gateway_reference):
        assert words in page
    kinds = list(booking.mails.order_by("kind").values_list("kind", flat=True))
    assert kinds == ["booked", "refunded", "reserved"]
    assert "money given back" in page.lower()


@pytest.mark.parametrize("tickets", [1, 3])
def test_booking_page_has_a_fixed_number_of_queries(
    staff: Client, tickets: int, django_assert_num_queries: Any
):
    booking = buy(make_seated_event(seats=4), 4)
    for ticket_id in ids_of(booking)[:tickets]:
        request_refund(booking_id=booking.pk, ticket_ids=[ticket_id], origin=Refund.Origin.STAFF)
    finish_refunds()

    with django_assert_num_queries(11):
        staff.get(change_url(booking))


def test_refund_page_shows_its_tickets(staff: Client, booking: Booking):
    refund = request_refund(
        booking_id=booking.pk, ticket_ids=ids_of(booking)[:2], origin=Refund.Origin.STAFF, reason="Ill"
    )

    page = page_of(staff.get(reverse("admin:bookings_refund_change", args=[refund.pk])))

    assert "Stalls, row 1, seat 1; Stalls, row 1, seat 2" in page


def test_refund_is_carried_out_from_the_list(staff: Client, booking: Booking):
    refund = request_refund(booking_id=booking.pk, origin=Refund.Origin.STAFF)

    staff.post(
        reverse("admin:bookings_refund_changelist"),
        {"action": "carry_out", "_selected_action": [refund.pk]},
    )

    refund.refresh_from_db()
    assert refund.status == "done"


def test_neither_refunds_nor_books_are_changed_by_forms(staff: Client, booking: Booking):
    refund = request_refund(booking_id=booking.pk, origin=Refund.Origin.STAFF)
    entry = booking.payments.get().entries.first()

    answers = [
        staff.post(reverse(f"admin:bookings_{name}_{deed}", args=args), {})
        for name, row in (("refund", refund), ("paymententry", entry))
        for deed, args in (("add", []), ("change", [row.pk]), ("delete", [row.pk]))
    ]

    assert [answer.status_code for answer in answers] == [403] * 6
