"""Returning tickets in the browser, without JavaScript."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bookings.access import access_link
from bookings.models import Booking, BookingItem, Refund
from bookings.refunds import finish_refunds, request_refund
from bookings.services import Buyer
from events.models import Event, Ticket
from tests.bookings.buying import buy
from tests.factories import make_seated_event, make_user
from tests.utils import assert_audit_is_clean

pytestmark = pytest.mark.django_db


@pytest.fixture
def event() -> Event:
    """Four seats of 30; buyers may return them for a fee of 2 each."""
    return make_seated_event(
        seats=4, price="30.00", refunds_until=timezone.now() + timedelta(days=7), refund_fee=Decimal("2.00")
    )


@pytest.fixture
def booking(client: Client, event: Event) -> Booking:
    """A guest's three tickets, opened in this browser by the link from the mail."""
    booking = buy(event, 3)
    client.get(access_link(booking))
    return booking


def ids_of(booking: Booking) -> list[int]:
    return list(booking.items.order_by("ticket_id").values_list("ticket_id", flat=True))


def refund_url(booking: Booking) -> str:
    return reverse("bookings:refund", args=[booking.pk])


def page_of(response: Any) -> str:
    """The page's words, without line breaks."""
    return " ".join(response.content.decode().split())


def give_back(client: Client, booking: Booking, ids: list[int], amount: str) -> Any:
    return client.post(refund_url(booking), {"tickets": ids, "amount": amount}, follow=True)


def test_booking_page_leads_to_returning(client: Client, booking: Booking):
    page = page_of(client.get(booking.get_absolute_url()))

    assert refund_url(booking) in page
    assert "A fee of €2.00 is kept of each" in page


def test_choosing_shows_what_comes_back_and_changes_nothing(client: Client, booking: Booking):
    first, second, third = ids_of(booking)

    page = page_of(client.get(refund_url(booking), {"tickets": [first, third], "next": "1"}))

    assert "2 tickets to return" in page
    assert "−€4.00" in page
    assert '<span>You get back</span><span class="price">€56.00</span>' in page
    assert (f'value="{first}"' in page, f'value="{second}"' in page) == (True, False)
    assert Refund.objects.count() == 0
    assert Ticket.objects.filter(status="booked").count() == 3


def test_buyer_returns_what_was_chosen(client: Client, booking: Booking):
    first, second, third = ids_of(booking)

    page = page_of(give_back(client, booking, [first, third], "56.00"))

    refund = Refund.objects.get()
    assert (refund.amount, refund.fee, refund.origin) == (Decimal("56.00"), Decimal("4.00"), "buyer")
    assert dict(Ticket.objects.exclude(pk=second).values_list("pk", "status")).items() >= {
        (first, "available"),
        (third, "available"),
    }
    assert "You gave the tickets back, and €56.00 is on its way to you." in page
    assert "€56.00 on its way back to you" in page
    assert page.count("QR code to show at the door") == 1
    assert page.count(">Returned<") == 2


def test_page_says_when_the_money_has_gone(client: Client, booking: Booking):
    give_back(client, booking, ids_of(booking), "84.00")
    finish_refunds()

    page = page_of(client.get(booking.get_absolute_url()))

    assert "€84.00 given back" in page
    assert "on its way back" not in page
    assert refund_url(booking) not in page
    assert_audit_is_clean()


def test_nothing_chosen_is_asked_for_again(client: Client, booking: Booking):
    response = client.get(refund_url(booking), {"next": "1"})

    assert response.status_code == 400
    assert "Choose at least one ticket." in page_of(response)


def test_choosing_again_keeps_the_choice(client: Client, booking: Booking):
    first, second, _third = ids_of(booking)

    page = page_of(client.get(refund_url(booking), {"choose": "1", "tickets": [second]}))

    assert f'value="{second}" checked' in page
    assert f'value="{first}" checked' not in page


def test_a_single_ticket_is_ticked_already(client: Client, event: Event):
    booking = buy(event, 1)
    client.get(access_link(booking))

    page = page_of(client.get(refund_url(booking)))

    assert f'value="{ids_of(booking)[0]}" checked' in page


def test_amount_that_changed_is_shown_before_anything_happens(client: Client, booking: Booking):
    Event.objects.update(refund_fee=Decimal("5.00"))

    response = client.post(refund_url(booking), {"tickets": ids_of(booking), "amount": "84.00"})

    assert response.status_code == 409
    assert "What you get back has changed. Please look again." in page_of(response)
    assert "€75.00" in page_of(response)
    assert Refund.objects.count() == 0


def test_refusal_keeps_the_choice(client: Client, booking: Booking):
    first, second, _third = ids_of(booking)
    BookingItem.objects.filter(ticket_id=first).update(checked_in_at=timezone.now())

    response = client.post(refund_url(booking), {"tickets": [first, second], "amount": "56.00"})

    assert response.status_code == 409
    page = page_of(response)
    assert "A ticket that was used at the door cannot be returned." in page
    assert f'value="{second}" checked' in page
    assert f'value="{first}" disabled' in page
    assert Refund.objects.count() == 0


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"refunds_until": None}, "Tickets for this event cannot be returned."),
        ({"refunds_until": timezone.now() - timedelta(hours=1)}, "That time is over."),
    ],
)
def test_page_says_plainly_where_nothing_can_be_returned(
    client: Client, booking: Booking, rules: dict[str, Any], words: str
):
    Event.objects.update(**rules)

    for page in (
        page_of(client.get(booking.get_absolute_url())),
        page_of(client.get(refund_url(booking))),
    ):
        assert words in page
        assert "checkbox" not in page
    refused = client.post(refund_url(booking), {"tickets": ids_of(booking), "amount": "84.00"})
    assert (refused.status_code, Refund.objects.count()) == (409, 0)


def test_returning_after_a_postponement_costs_nothing(client: Client, booking: Booking):
    Event.objects.update(refunds_until=None, free_refunds_until=timezone.now() + timedelta(days=3))

    page = page_of(client.get(refund_url(booking), {"tickets": ids_of(booking)}))

    assert '<span>You get back</span><span class="price">€90.00</span>' in page
    assert "Fee that is kept" not in page


def test_nobody_returns_someone_elses_tickets(client: Client, event: Event):
    booking = buy(event, 1, Buyer(account=make_user()))
    client.force_login(make_user())

    looked = client.get(refund_url(booking))
    posted = client.post(refund_url(booking), {"tickets": ids_of(booking), "amount": "28.00"})

    assert (looked.status_code, posted.status_code, Refund.objects.count()) == (404, 404, 0)


def test_account_returns_its_own_and_the_refund_says_who(client: Client, event: Event):
    account = make_user()
    booking = buy(event, 1, Buyer(account=account))
    client.force_login(account)

    give_back(client, booking, ids_of(booking), "28.00")

    assert Refund.objects.values_list("requested_by", "amount").get() == (account.pk, Decimal("28.00"))


def test_hold_leads_back_to_its_own_page(client: Client, booking: Booking):
    request_refund(booking_id=booking.pk, origin=Refund.Origin.STAFF)

    response = client.get(refund_url(booking))

    assert (response.status_code, response["Location"]) == (302, booking.get_absolute_url())


@pytest.mark.parametrize("text", ["x", "9" * 30, "-1"])
def test_nonsense_is_no_ticket(client: Client, booking: Booking, text: str):
    assert client.get(refund_url(booking), {"tickets": text}).status_code == 400


def test_list_of_bookings_tells_how_many_were_returned(client: Client, event: Event):
    account = make_user()
    part, whole = (buy(event, number, Buyer(account=account)) for number in (3, 1))
    request_refund(booking_id=part.pk, ticket_ids=ids_of(part)[:1], origin=Refund.Origin.STAFF)
    request_refund(booking_id=whole.pk, origin=Refund.Origin.STAFF)
    client.force_login(account)

    page = page_of(client.get(reverse("bookings:list")))

    assert "1 of 3 returned" in page
    assert '<span class="badge badge--refunded">Refunded</span>' in page


@pytest.mark.parametrize("tickets", [1, 3])
def test_returning_has_a_fixed_number_of_queries(
    client: Client, event: Event, tickets: int, django_assert_num_queries: Any
):
    booking = buy(event, tickets)
    chosen = ids_of(booking)
    client.get(access_link(booking))

    with django_assert_num_queries(4):
        client.get(refund_url(booking))
    with django_assert_num_queries(6):
        client.get(refund_url(booking), {"tickets": chosen})
