"""What the mails say, in text and in HTML alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.conf import settings
from django.utils.html import strip_tags

from bookings.models import Booking, Refund
from bookings.outbox import rendering
from bookings.outbox.models import Mail
from bookings.outbox.rendering import Written, write_mail
from bookings.refunds import request_refund
from bookings.services import Buyer, hold_tickets
from events.models import Event
from tests.bookings.buying import buy
from tests.factories import make_seated_event, make_venue, ticket_ids

pytestmark = pytest.mark.django_db

STARTS_AT = datetime(2031, 1, 15, 19, 30, tzinfo=UTC)
BUYER = Buyer(email="ada@example.org")


@pytest.fixture
def event() -> Event:
    return make_seated_event(
        seats=3,
        price="1250.00",
        title="Bach & Sons",
        venue=make_venue(name="Café Müller", city="Leipzig", address="Ring 1", timezone="Europe/Berlin"),
        starts_at=STARTS_AT,
        doors_at=STARTS_AT - timedelta(hours=1),
    )


def write(kind: str, booking: Booking, **facts: Any) -> Written:
    fresh = Booking.objects.with_details().get(pk=booking.pk)
    return write_mail(Mail(kind=kind, booking=fresh, facts=facts), fresh, fresh.database_now)


def say_the_same(written: Written, *sentences: str) -> bool:
    """Whether both forms of the mail have all these sentences."""
    html = unescape(strip_tags(written.html))
    return all(sentence in written.text and sentence in html for sentence in sentences)


@pytest.mark.parametrize(("name", "greeting"), [("Ada & Co", "Hello Ada & Co,"), ("", "Hello,")])
def test_tickets_come_with_when_where_and_what(event, name, greeting):
    booking = buy(event, 2, BUYER)
    Booking.objects.update(name=name)

    written = write("booked", booking)

    text = written.text.splitlines()
    assert text[:6] == [
        greeting,
        "",
        "Here are your 2 tickets for Bach & Sons.",
        "",
        "Show your tickets at the door, on your phone or printed. They are attached, and behind this link.",
        "",
    ]
    assert text[6] == "Show my tickets:"
    assert text[7].startswith(f"{settings.SITE_URL}/bookings/{booking.pk}/?token=")
    assert text[8:21] == [
        "",
        "Paid: €2,500.00",
        "Event: Bach & Sons",
        "When: Wednesday, 15 January 2031, 20:30 (Central European Standard Time)",
        "Doors: 19:30",
        "Where: Café Müller, Leipzig",
        "Ring 1",
        f"Reference: {booking.reference}",
        "",
        "Tickets:",
        "- Stalls, row 1, seat 1: €1,250.00",
        "- Stalls, row 1, seat 2: €1,250.00",
        "",
    ]
    assert say_the_same(written, greeting, "Here are your 2 tickets for Bach & Sons.", booking.reference)
    assert [name for name, _content, _type in written.attachments] == [
        f"{booking.reference}.pdf",
        f"{booking.reference}.ics",
    ]
    assert written.attachments[0][1].startswith(b"%PDF")
    assert written.attachments[1][1].startswith(b"BEGIN:VCALENDAR")


def test_attachments_that_no_server_would_take_are_left_out(event, monkeypatch):
    monkeypatch.setattr(rendering, "MOST_ATTACHED_BYTES", 1000)

    written = write("booked", buy(event, 1, BUYER))

    assert written.attachments == []
    assert "/?token=" in written.text


def test_returned_tickets_and_their_money_are_named(event):
    event.refund_fee, event.refunds_until = 50, STARTS_AT
    event.save()
    booking = buy(event, 3, BUYER)
    refund = request_refund(
        booking_id=booking.pk, ticket_ids=ticket_ids(event)[:1], origin=Refund.Origin.BUYER
    )

    written = write("refunded", booking, refund=str(refund.pk))

    assert written.subject == f"Your refund for Bach & Sons ({booking.reference})"
    assert say_the_same(
        written,
        "Tickets of your booking for Bach & Sons were returned.",
        "2 tickets of this booking are still valid.",
        "Stalls, row 1, seat 1",
        "The codes of returned tickets no longer open any door.",
    )
    assert "Given back: €1,200.00\nFee kept: €50.00\n" in written.text
    assert "seat 2" not in written.text


def test_cancelled_event_says_why_and_what_comes_back(event):
    booking = buy(event, 1, BUYER)
    refund = request_refund(
        booking_id=booking.pk, origin=Refund.Origin.CANCELLATION, reason="The hall is flooded."
    )

    written = write("event_cancelled", booking, refund=str(refund.pk), reason=refund.reason)

    assert written.subject == f"Cancelled: Bach & Sons ({booking.reference})"
    assert say_the_same(written, "Bach & Sons will not take place", "The hall is flooded.", "€1,250.00")
    assert written.attachments == []


def test_changed_event_says_what_it_was_before(event):
    booking = buy(event, 1, BUYER)

    written = write(
        "event_changed",
        booking,
        old_starts_at="2031-01-15T18:00:00Z",
        old_venue="Old Hall",
        refunds_until="2031-01-10T18:00:00Z",
    )

    assert "Before: Wednesday, 15 January 2031, 19:00\nBefore at: Old Hall\n" in written.text
    assert say_the_same(
        written,
        "Wednesday, 15 January 2031, 20:30",
        "return your tickets without a fee, on your booking's page, until 10 Jan 2031, 19:00",
    )
    assert [name for name, _content, _type in written.attachments] == [f"{booking.reference}.ics"]


def test_event_postponed_without_a_date_names_none(event):
    booking = buy(event, 1, BUYER)
    Event.objects.update(status="postponed")

    written = write("event_postponed", booking, old_starts_at=STARTS_AT.isoformat())

    assert written.subject == f"Postponed: Bach & Sons ({booking.reference})"
    assert "Before: Wednesday, 15 January 2031, 20:30\n" in written.text
    assert "When: a new date will follow\n" in written.text
    assert say_the_same(written, "a new date will follow", "they stay valid, and we write again.")
    assert written.attachments == []


def test_event_with_a_new_date_names_it(event):
    booking = buy(event, 1, BUYER)
    Event.objects.update(starts_at=STARTS_AT + timedelta(days=7), ends_at=STARTS_AT + timedelta(days=8))

    written = write("event_postponed", booking, old_starts_at=STARTS_AT.isoformat(), reason="Illness.")

    assert written.subject == f"New date: Bach & Sons ({booking.reference})"
    assert say_the_same(written, "now takes place on Wednesday, 22 January 2031 at 20:30", "Illness.")


def test_failed_payment_leads_back_to_the_hold_while_there_is_one(event):
    hold = hold_tickets(event=event, ticket_ids=ticket_ids(event)[:1], buyer=BUYER).booking

    written = write("payment_failed", hold, reason="The card was declined.")

    assert say_the_same(written, "The reason: The card was declined.", "Try again", "held for you until")
    Booking.objects.update(status="expired")
    assert say_the_same(write("payment_failed", hold), "not held for you any more", "Look for tickets")


def test_each_mail_has_both_forms_and_one_thing_to_do(event):
    booking = buy(event, 1, BUYER)

    for kind in Mail.Kind:
        written = write(kind, booking)
        assert written.text.count("http") >= 2
        assert written.html.count("<h1") == written.html.count('class="button"') == 1
        assert "<img" not in written.html
        assert written.secret not in written.kept_text + written.kept_html
