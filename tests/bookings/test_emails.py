"""The mail with the tickets: once per booking, and never lost to a server that fails."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.core.mail.backends.locmem import EmailBackend
from django.utils import timezone

from bookings import emails
from bookings.models import Booking
from bookings.payments import start_payment
from bookings.services import Buyer, hold_tickets
from tests.factories import make_seated_event, make_venue, ticket_ids

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def booked() -> Booking:
    """A booked booking, of an event that costs nothing."""
    event = make_seated_event(seats=1, price="0.00", title="Bach & Sons")
    booking = hold_tickets(
        event=event, ticket_ids=ticket_ids(event), buyer=Buyer(email="ada@example.org")
    ).booking
    start_payment(booking_id=booking.pk)
    booking.refresh_from_db()
    return booking


def test_confirmation_goes_out_once(booked, mailoutbox, settings):
    assert emails.send_confirmations() == 1
    assert emails.send_confirmations() == 0

    [mail] = mailoutbox
    assert mail.to == ["ada@example.org"]
    assert mail.subject == f"Your tickets for Bach & Sons ({booked.reference})"
    assert "Here is your ticket for Bach & Sons." in mail.body
    assert f"{settings.SITE_URL}/bookings/{booked.pk}/" in mail.body
    booked.refresh_from_db()
    assert booked.confirmation_sent_at is not None


@pytest.mark.parametrize(("name", "greeting"), [("Ada & Co", "Hello Ada & Co,"), ("", "Hello,")])
def test_confirmation_says_when_where_and_what(name, greeting):
    event = make_seated_event(
        seats=2,
        price="1250.00",
        title="Bach & Sons",
        venue=make_venue(name="Café Müller", city="Leipzig", address="Ring 1", timezone="Europe/Berlin"),
        starts_at=datetime(2031, 1, 15, 19, 30, tzinfo=UTC),
        doors_at=datetime(2031, 1, 15, 18, 30, tzinfo=UTC),
    )
    buyer = Buyer(email="ada@example.org")
    held = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=buyer).booking
    Booking.objects.update(name=name)
    booking = Booking.objects.with_details().get(pk=held.pk)

    mail = emails.confirmation_mail(booking)

    assert mail.body.split("Show your tickets")[0].splitlines() == [
        greeting,
        "",
        "Here are your 2 tickets for Bach & Sons.",
        "",
        "When: Wednesday, 15 January 2031, 20:30 (Central European Standard Time)",
        "Doors: 19:30",
        "Where: Café Müller, Leipzig",
        "Ring 1",
        f"Reference: {booking.reference}",
        "",
        "Your tickets:",
        "- Stalls, row 1, seat 1: €1,250.00",
        "- Stalls, row 1, seat 2: €1,250.00",
        "Paid: €2,500.00",
        "",
    ]


def test_title_with_a_line_break_cannot_add_a_header(booked, mailoutbox):
    type(booked.event).objects.update(title="Bach\nBcc: victim@example.org")

    emails.send_confirmations()

    assert mailoutbox[0].subject == f"Your tickets for Bach Bcc: victim@example.org ({booked.reference})"


def test_mail_server_that_fails_leaves_the_mail_to_the_next_turn(booked, mailoutbox, monkeypatch):
    def fail(self, messages):
        raise ConnectionRefusedError

    monkeypatch.setattr(EmailBackend, "send_messages", fail)
    assert emails.send_confirmations() == 0
    monkeypatch.undo()
    assert emails.send_confirmations() == 0

    Booking.objects.update(confirmation_claimed_until=timezone.now())
    assert emails.send_confirmations() == 1
    assert len(mailoutbox) == 1


@pytest.mark.parametrize("change", [{"email": ""}, {"confirmation_sent_at": timezone.now()}])
def test_booking_without_an_address_or_mailed_before_is_left_alone(booked, mailoutbox, change):
    Booking.objects.update(**change)

    assert emails.send_confirmations() == 0
    assert mailoutbox == []


def test_hold_is_not_mailed(mailoutbox):
    event = make_seated_event(seats=1)
    hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=Buyer(email="ada@example.org"))

    assert emails.send_confirmations() == 0
    assert mailoutbox == []
