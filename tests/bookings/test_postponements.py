"""Postponed and changed events: who booked is told once, of the newest facts, and may give back."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from bookings.cancellations import cancel_event, run_cancellations
from bookings.exceptions import NotRefundable
from bookings.models import Booking, Refund
from bookings.outbox.models import Mail
from bookings.outbox.sending import send_mails
from bookings.postponements import postpone_event
from bookings.refunds import quote_refund
from bookings.services import Buyer, hold_tickets
from events.exceptions import ImpossibleTimes, WrongStatus
from events.models import Event
from events.services import NewDate, save_event
from tests.bookings.buying import buy
from tests.factories import make_seated_event, make_user, make_venue, ticket_ids

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def event() -> Event:
    return make_seated_event(seats=6, price="10.00")


@pytest.fixture
def booking(event) -> Booking:
    return buy(event, 1, Buyer(email="a@example.org"))


def moved(event: Event, by: timedelta) -> NewDate:
    return NewDate(event.starts_at + by, event.ends_at + by)


def mails(kind: str = "event_postponed") -> list[Mail]:
    return list(Mail.objects.filter(kind=kind).order_by("created_at", "booking__email"))


def change(event: Event, **fields: Any) -> None:
    fresh = Event.objects.get(pk=event.pk)
    for name, value in fields.items():
        setattr(fresh, name, value)
    save_event(fresh)


def read(text: str) -> datetime:
    return datetime.fromisoformat(text)


# --- Postponed --------------------------------------------------------------------------


def test_postponing_without_a_date_stops_the_sale_and_tells_who_booked(event, booking):
    buy(event, 1, Buyer(email="b@example.org"))
    hold_tickets(event=event, ticket_ids=ticket_ids(event)[2:3], buyer=Buyer(email="holds@example.org"))
    buy(make_seated_event(seats=1), 1, Buyer(email="other@example.org"))
    until = timezone.now().replace(microsecond=0) + 5 * DAY

    postpone_event(event, free_refunds_until=until, message="The hall\nis flooded.")

    event.refresh_from_db()
    booking.refresh_from_db()
    assert (event.status, event.free_refunds_until, booking.status) == ("postponed", until, "booked")
    told = mails()
    assert [mail.booking.email for mail in told] == ["a@example.org", "b@example.org"]
    facts = told[0].facts
    assert (facts["reason"], facts["old_venue"]) == ("The hall is flooded.", event.venue.name)
    assert (read(facts["old_starts_at"]), read(facts["refunds_until"])) == (
        event.starts_at.replace(microsecond=event.starts_at.microsecond // 1000 * 1000),
        until,
    )


def test_moving_to_a_new_date_keeps_it_on_sale_and_tells_both_dates(event, booking):
    old = event.starts_at

    postpone_event(event, new_date=moved(event, 7 * DAY))

    event.refresh_from_db()
    assert (event.status, event.starts_at) == ("published", old + 7 * DAY)
    (mail,) = mails()
    assert abs(read(mail.facts["old_starts_at"]) - old) < timedelta(milliseconds=1)


def test_new_date_of_a_postponed_event_publishes_it_and_is_mailed_as_well(event, booking):
    postpone_event(event)
    postpone_event(event, new_date=moved(event, 30 * DAY))

    event.refresh_from_db()
    assert event.status == "published"
    assert [mail.booking for mail in mails()] == [booking, booking]
    hold_tickets(event=event, ticket_ids=ticket_ids(event)[3:4], buyer=Buyer(email="c@example.org"))


@pytest.mark.parametrize("bookings", [1, 3])
def test_postponing_takes_as_many_statements_for_three_buyers_as_for_one(
    event, bookings, django_assert_num_queries
):
    for number in range(bookings):
        buy(event, 1, Buyer(email=f"buyer{number}@example.org"))

    with django_assert_num_queries(8):
        postpone_event(event)

    assert len(mails()) == bookings


def test_second_click_tells_nobody_twice(event, booking):
    date = moved(event, DAY)
    postpone_event(event, new_date=date)
    with pytest.raises(WrongStatus, match="already"):
        postpone_event(event, new_date=date)
    postpone_event(make_seated_event())
    with pytest.raises(WrongStatus, match="postponed"):
        postpone_event(Event.objects.get(status="postponed"))

    assert len(mails()) == 1


@pytest.mark.parametrize("status", ["draft", "cancelled"])
def test_draft_or_cancelled_event_has_no_new_date(event, status):
    Event.objects.update(status=status)

    with pytest.raises(WrongStatus, match=status):
        postpone_event(event, new_date=moved(event, DAY))


def test_impossible_dates_change_and_tell_nothing(event, booking):
    with pytest.raises(ImpossibleTimes):
        postpone_event(event, new_date=NewDate(event.ends_at, event.starts_at))

    event.refresh_from_db()
    assert (event.status, mails()) == ("published", [])


def test_buyer_returns_tickets_without_a_fee_until_the_window_closes(event, booking):
    Event.objects.update(refund_fee=3, refunds_until=timezone.now() - DAY)
    booking.refresh_from_db()
    with pytest.raises(NotRefundable):
        quote_refund(booking, None, Refund.Origin.BUYER)

    postpone_event(event, free_refunds_until=timezone.now() + DAY)
    booking = Booking.objects.get()
    assert quote_refund(booking, None, Refund.Origin.BUYER).amount == Decimal("10.00")

    Event.objects.update(free_refunds_until=timezone.now() - DAY)
    with pytest.raises(NotRefundable):
        quote_refund(Booking.objects.get(), None, Refund.Origin.BUYER)


# --- Changed ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"title": "Another"},
        {"summary": "New words"},
        {"on_sale_at": datetime(2026, 1, 1, tzinfo=timezone.get_default_timezone())},
    ],
)
def test_change_of_something_else_is_mailed_to_nobody(event, booking, fields):
    change(event, **fields)

    assert mails("event_changed") == []


@pytest.mark.parametrize("name", ["starts_at", "ends_at", "doors_at", "venue"])
def test_change_of_time_or_place_is_mailed_to_who_booked(event, booking, name):
    hold_tickets(event=event, ticket_ids=ticket_ids(event)[2:3], buyer=Buyer(email="holds@example.org"))
    values = {
        "starts_at": event.starts_at - timedelta(hours=1),
        "ends_at": event.ends_at + timedelta(hours=1),
        "doors_at": event.starts_at - timedelta(hours=1),
        "venue": make_venue(name="The other hall"),
    }

    change(event, **{name: values[name]})

    (mail,) = mails("event_changed")
    assert mail.booking == booking
    assert mail.facts["old_venue"] == event.venue.name
    assert abs(read(mail.facts["old_starts_at"]) - event.starts_at) < timedelta(milliseconds=1)


@pytest.mark.parametrize("status", ["draft", "cancelled"])
def test_nobody_is_told_where_a_draft_or_cancelled_event_takes_place(event, booking, status):
    Event.objects.update(status=status)

    change(event, starts_at=event.starts_at - DAY)

    assert mails("event_changed") == []


def test_change_that_is_rolled_back_is_not_told(event, booking):
    with transaction.atomic():
        change(event, starts_at=event.starts_at - DAY)
        transaction.set_rollback(True)

    assert mails("event_changed") == []


def test_two_quick_changes_are_told_in_one_mail_with_the_newest_facts(event, booking, mailoutbox):
    Mail.objects.all().delete()
    first = event.starts_at
    change(event, starts_at=first - timedelta(hours=1))
    change(event, starts_at=first - timedelta(hours=2))
    buy(event, 1, Buyer(email="later@example.org"))
    change(event, venue=make_venue(name="The other hall"))

    told = mails("event_changed")
    assert [mail.booking.email for mail in told] == ["a@example.org", "later@example.org"]
    assert abs(read(told[0].facts["old_starts_at"]) - first) < timedelta(milliseconds=1)
    assert abs(read(told[1].facts["old_starts_at"]) - first) > timedelta(hours=1)

    Mail.objects.exclude(kind="event_changed").delete()
    send_mails()
    assert "The other hall" in mailoutbox[0].body


def test_mail_on_its_way_does_not_stand_for_a_later_change(event, booking):
    change(event, starts_at=event.starts_at - timedelta(hours=1))
    Mail.objects.filter(kind="event_changed").update(claimed_until=timezone.now() + DAY)

    change(event, starts_at=event.starts_at - timedelta(hours=2))

    assert len(mails("event_changed")) == 2


def test_change_that_is_taken_back_at_once_is_told_to_nobody(event, booking):
    change(event, starts_at=event.starts_at - timedelta(hours=1))
    change(event, starts_at=event.starts_at)

    (mail,) = mails("event_changed")
    assert (mail.state, mail.error) == ("dropped", "The event was changed back before the mail was sent.")


# --- What the buyer sees ----------------------------------------------------------------


def test_booking_of_a_postponed_event_says_so_on_its_page(client, event):
    account = make_user()
    booking = buy(event, 1, Buyer(account=account, email=account.email))
    client.force_login(account)
    before = client.get(booking.get_absolute_url()).content.decode()

    postpone_event(event, free_refunds_until=timezone.now() + DAY)
    page = client.get(booking.get_absolute_url()).content.decode()

    assert "The event is postponed" not in before
    assert "The event is postponed" in page
    assert "The new date is not known yet" in page
    assert "You get back all that you paid." in page


def test_hold_of_a_cancelled_event_says_so_on_its_page(client, event):
    account = make_user()
    booking = hold_tickets(
        event=event, ticket_ids=ticket_ids(event)[:1], buyer=Buyer(account=account, email=account.email)
    ).booking
    cancel_event(event, by=None)
    run_cancellations()
    client.force_login(account)

    page = client.get(booking.get_absolute_url()).content.decode()

    assert "The event is cancelled" in page
    assert "You gave these tickets back" not in page
