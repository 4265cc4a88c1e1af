"""The admin's steps that the bookings of an event hang on: cancelling, postponing, moving."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bookings.cancellations import cancel_event, run_cancellations
from bookings.models import EventCancellation, Refund
from bookings.outbox.models import Mail
from bookings.refunds import finish_refunds
from bookings.services import Buyer
from events.models import Event
from tests.bookings.buying import buy
from tests.events.test_admin import event_form
from tests.factories import make_event, make_seated_event, make_staff, make_user, make_venue

pytestmark = pytest.mark.django_db


@pytest.fixture
def event() -> Event:
    return make_seated_event(seats=6, price="10.00", title="Winter Ball", slug="winter-ball")


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(make_staff())
    return client


def step(event: Event, name: str) -> str:
    return reverse(f"admin:events_event_{name}", args=[event.pk])


def log_in(client: Client, *rights: str) -> None:
    clerk = make_user(is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(clerk)


def words(response: Any) -> str:
    return " ".join(response.content.decode().split())


def test_cancel_page_says_what_it_comes_to_and_changes_nothing(staff: Client, event: Event):
    buy(event, 2, Buyer(email="a@example.org"))
    buy(event, 1, Buyer(email="b@example.org"))

    page = words(staff.get(step(event, "cancel")))

    assert "Cancelling Winter Ball gives 2 buyers their money back: €30.00." in page
    event.refresh_from_db()
    assert (event.status, EventCancellation.objects.count()) == ("published", 0)


@pytest.mark.parametrize(
    ("form", "refusal"),
    [
        ({"reason": "Storm"}, "This field is required."),
        ({"reason": "Storm", "title": "Summer Ball"}, "This is not the event’s title."),
        ({"title": "Winter Ball"}, "This field is required."),
    ],
)
def test_cancelling_needs_a_reason_and_the_title(staff: Client, event: Event, form, refusal):
    page = words(staff.post(step(event, "cancel"), form))

    event.refresh_from_db()
    assert refusal in page
    assert event.status == "published"


def test_cancelling_goes_through_the_job_and_shows_how_far_it_is(staff: Client, event: Event):
    for number in range(3):
        buy(event, 1, Buyer(email=f"buyer{number}@example.org"))

    response = staff.post(step(event, "cancel"), {"reason": "Storm", "title": "  winter ball "})
    begun = words(staff.get(step(event, "show_cancellation")))
    run_cancellations()
    Refund.objects.filter(booking__email="buyer0@example.org").update(problem="The card is closed.")
    refunding = words(staff.get(step(event, "show_cancellation")))
    finish_refunds()
    done = words(staff.get(step(event, "show_cancellation")))

    assert response.headers["Location"] == step(event, "show_cancellation")
    assert "0 of 3 bookings" in begun
    assert 'http-equiv="refresh"' in begun
    assert "3 of 3 bookings" in refunding
    assert "The card is closed." in refunding
    assert 'http-equiv="refresh"' in refunding
    assert "€30.00" in done
    assert "everybody who booked has been refunded" in done
    assert "The card is closed." not in done
    assert 'http-equiv="refresh"' not in done
    assert EventCancellation.objects.get().reason == "Storm"


def test_cancellation_says_when_no_worker_runs(staff: Client, event: Event):
    buy(event)
    cancel_event(event, by=None)
    EventCancellation.objects.update(created_at=timezone.now() - timedelta(minutes=5))

    assert "no worker seems to be running" in words(staff.get(step(event, "show_cancellation")))


def test_cancelling_twice_is_refused_in_words(staff: Client, event: Event):
    cancel_event(event, by=None)

    page = words(staff.get(step(event, "cancel")))
    response = staff.post(step(event, "cancel"), {"reason": "Storm", "title": "Winter Ball"}, follow=True)

    assert "This event is cancelled already." in page
    assert "The event is cancelled already." in words(response)
    assert EventCancellation.objects.count() == 1


@pytest.mark.parametrize(
    ("rights", "status"),
    [
        (["view_event", "change_event"], 403),
        (["view_event", "add_refund"], 403),
        (["view_event", "change_event", "add_refund"], 302),
    ],
)
def test_cancelling_needs_the_right_to_change_the_event_and_to_give_money_back(
    client: Client, event: Event, rights: list[str], status: int
):
    log_in(client, *rights)

    response = client.post(step(event, "cancel"), {"reason": "Storm", "title": "Winter Ball"})

    event.refresh_from_db()
    assert response.status_code == status
    assert event.status == ("cancelled" if status == 302 else "published")


@pytest.mark.parametrize("name", ["cancel", "show_cancellation", "postpone", "set_new_date"])
def test_steps_are_for_those_who_may(client: Client, event: Event, name: str):
    cancel_event(make_event(), by=None)
    log_in(client, "view_event")

    assert client.get(step(event, name)).status_code == 403
    assert client.post(step(event, name), {"message": "Storm"}).status_code == 403

    event.refresh_from_db()
    assert event.status == "published"


def test_postponing_without_a_date(staff: Client, event: Event):
    buy(event, 1, Buyer(email="a@example.org"))

    page = words(staff.get(step(event, "postpone")))
    response = staff.post(step(event, "postpone"), {"message": "Storm"}, follow=True)

    event.refresh_from_db()
    assert "1 buyer is mailed." in page
    assert "1 buyer is being told." in words(response)
    assert event.status == "postponed"
    assert Mail.objects.get(kind="event_postponed").facts["reason"] == "Storm"


def test_times_are_the_venues_own_and_the_event_keeps_its_length(staff: Client):
    event = make_event(
        venue=make_venue(timezone="America/New_York"),
        starts_at=datetime(2031, 1, 17, 1, 0, tzinfo=UTC),
        doors_at=datetime(2031, 1, 17, 0, 0, tzinfo=UTC),
    )

    staff.post(
        step(event, "postpone"),
        {"starts_at": "2031-02-20T20:00", "free_refunds_until": "2031-02-01T12:00"},
    )

    event.refresh_from_db()
    assert event.status == "published"
    assert event.starts_at == datetime(2031, 2, 21, 1, 0, tzinfo=UTC)
    assert event.ends_at == datetime(2031, 2, 21, 3, 0, tzinfo=UTC)
    assert event.doors_at == datetime(2031, 2, 21, 0, 0, tzinfo=UTC)
    assert event.free_refunds_until == datetime(2031, 2, 1, 17, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("form", "refusal"),
    [
        ({"starts_at": "2020-01-01T20:00"}, "This time is over."),
        ({"ends_at": "2031-01-01T20:00"}, "Say when it starts, too."),
        ({"free_refunds_until": "2020-01-01T20:00"}, "This time is over."),
        ({"starts_at": "2031-01-01T20:00", "ends_at": "2031-01-01T19:00"}, "These times cannot be"),
    ],
)
def test_impossible_new_dates_are_refused_in_words(staff: Client, event: Event, form, refusal):
    page = words(staff.post(step(event, "postpone"), form))

    event.refresh_from_db()
    assert refusal in page
    assert (event.status, Mail.objects.filter(kind="event_postponed").count()) == ("published", 0)


def test_postponed_event_needs_its_new_date_and_is_published_by_it(staff: Client, event: Event):
    Event.objects.update(status="postponed")

    page = words(staff.post(step(event, "set_new_date"), {}))
    assert "This field is required." in page
    staff.post(step(event, "set_new_date"), {"starts_at": "2031-01-01T20:00"})

    event.refresh_from_db()
    assert event.status == "published"


@pytest.mark.parametrize(
    ("status", "buttons"),
    [
        ("draft", {"publish"}),
        ("published", {"publish", "postpone", "cancel"}),
        ("postponed", {"set_new_date", "cancel"}),
        ("cancelled", set()),
    ],
)
def test_event_shows_the_steps_that_make_sense(staff: Client, event: Event, status, buttons):
    Event.objects.update(status=status)

    page = staff.get(step(event, "change")).content.decode()

    names = ["publish", "postpone", "cancel", "set_new_date", "show_cancellation"]
    assert {name for name in names if f'href="{step(event, name)}"' in page} == buttons


def test_postponed_event_has_no_second_way_to_a_new_date(staff: Client, event: Event):
    Event.objects.update(status="postponed")

    page = staff.get(step(event, "change")).content.decode()

    assert 'name="starts_at_0"' not in page


def test_saving_another_time_tells_who_booked_and_says_so(staff: Client, event: Event):
    for number in range(2):
        buy(event, 1, Buyer(email=f"buyer{number}@example.org"))
    fields = {
        "price_tiers-TOTAL_FORMS": 0,
        "starts_at_0": "2031-01-16",
        "ends_at_0": "2031-01-17",
    }

    moved = words(staff.post(step(event, "change"), event_form(event.venue, **fields), follow=True))
    same = words(staff.post(step(event, "change"), event_form(event.venue, **fields), follow=True))

    assert "2 buyers are being told where and when it takes place now." in moved
    assert "being told" not in same
    assert Mail.objects.filter(kind="event_changed").count() == 2


@pytest.mark.parametrize("rows", [1, 3])
def test_cancellation_list_has_a_fixed_number_of_queries(
    staff: Client, rows: int, django_assert_num_queries: Any
):
    for _number in range(rows):
        cancel_event(make_event(), by=None)

    with django_assert_num_queries(6):
        page = staff.get(reverse("admin:bookings_eventcancellation_changelist"))

    assert len(page.context["cl"].result_list) == rows


@pytest.mark.parametrize("bookings", [1, 3])
def test_cancellation_page_has_a_fixed_number_of_queries(
    staff: Client, event: Event, bookings: int, django_assert_num_queries: Any
):
    for number in range(bookings):
        buy(event, 1, Buyer(email=f"buyer{number}@example.org"))
    cancel_event(event, by=None)
    run_cancellations()
    Refund.objects.update(problem="The card is closed.")

    with django_assert_num_queries(11):
        page = words(staff.get(step(event, "show_cancellation")))

    assert page.count("The card is closed.") == bookings
