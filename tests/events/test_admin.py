"""The organiser's admin."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from events import services, wake_up
from events.models import Event, PublishJob, Venue
from events.tasks import publish_waiting_events
from tests.events.test_seating_plan import encode, make_plan
from tests.events.test_services import make_hall, take
from tests.factories import make_event, make_staff, make_user, make_venue
from ticketing.celery import app

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(make_staff())
    return client


def tool(row: Event | Venue, name: str) -> str:
    return reverse(f"admin:events_{row._meta.model_name}_{name}", args=[row.pk])


def event_form(venue: Venue, **fields: Any) -> dict[str, Any]:
    return {
        "title": "Winter Ball",
        "slug": "winter-ball",
        "venue": venue.pk,
        "starts_at_0": "2027-01-16",
        "starts_at_1": "20:00",
        "ends_at_0": "2027-01-17",
        "ends_at_1": "02:00",
        "currency": "EUR",
        "max_tickets_per_booking": 10,
        "max_extensions": 10,
        "refund_fee": "0.00",
        "price_tiers-TOTAL_FORMS": 1,
        "price_tiers-INITIAL_FORMS": 0,
        "price_tiers-0-position": 0,
        "price_tiers-0-name": "Front",
        "price_tiers-0-price": "35.00",
        "price_tiers-0-is_seated": "on",
        "price_tiers-0-sections": "Stalls, Balcony",
    } | fields


def seat_form(**fields: Any) -> dict[str, Any]:
    return {
        "section": "Stalls",
        "rows": "A-B",
        "seats_per_row": 4,
        "first_number": 1,
        "step": 1,
        "starts_from": "left",
        "add": 1,
    } | fields


def test_event_times_are_the_venues_own(staff: Client) -> None:
    venue = make_venue(timezone="America/New_York")

    response = staff.post(reverse("admin:events_event_add"), event_form(venue))

    event = Event.objects.get()
    assert response.status_code == 302
    assert event.starts_at == datetime(2027, 1, 17, 1, 0, tzinfo=UTC)
    assert event.price_tiers.get().sections == ["Stalls", "Balcony"]
    assert 'value="20:00:00"' in staff.get(tool(event, "change")).content.decode()


def test_event_can_be_saved_without_price_tiers(staff: Client) -> None:
    form = event_form(make_venue())
    for field in ("name", "price", "is_seated", "sections"):
        del form[f"price_tiers-0-{field}"]

    staff.post(reverse("admin:events_event_add"), form)

    assert Event.objects.get().price_tiers.count() == 0


@pytest.mark.parametrize("events", [1, 3])
def test_event_list_has_a_fixed_number_of_queries(
    staff: Client, events: int, django_assert_num_queries: Any
) -> None:
    for _number in range(events):
        services.publish_event(make_hall())
    take(Event.objects.first().tickets.get(position=0))

    with django_assert_num_queries(7):
        page = staff.get(reverse("admin:events_event_changelist")).content.decode()

    assert "1 booked, 0 reserved, 21 of 22 available" in page


@pytest.mark.parametrize("events", [1, 3])
def test_ticket_list_has_a_fixed_number_of_queries(
    staff: Client, events: int, django_assert_num_queries: Any
) -> None:
    for _number in range(events):
        services.publish_event(make_hall())

    with django_assert_num_queries(6):
        page = staff.get(reverse("admin:events_ticket_changelist"), {"status": "available"}).content.decode()

    assert "Stalls, row A, seat 1" in page


def test_publish_page_shows_what_is_sold_and_what_is_not(staff: Client) -> None:
    event = make_hall()
    event.price_tiers.get(name="Best").delete()

    page = staff.get(tool(event, "publish")).content.decode()

    assert "No price tier sells 6 of the venue’s seats" in page
    assert PublishJob.objects.count() == 0


def test_publish_page_says_why_it_cannot(staff: Client) -> None:
    page = staff.get(tool(make_event(status="draft"), "publish")).content.decode()

    assert "Nothing is for sale yet" in page


def test_publish_button_makes_a_job_and_shows_what_becomes_of_it(staff: Client) -> None:
    event = make_hall()

    response = staff.post(tool(event, "publish"))
    waiting = staff.get(tool(event, "show_publication")).content.decode()
    publish_waiting_events()
    done = staff.get(tool(event, "show_publication")).content.decode()

    assert response.headers["Location"] == tool(event, "show_publication")
    assert "Waiting for a worker." in waiting
    assert 'http-equiv="refresh"' in waiting
    assert "It has 22 tickets." in done
    assert 'http-equiv="refresh"' not in done


@pytest.mark.parametrize(("is_away", "queued"), [(False, 1), (True, 0)])
def test_publish_button_asks_a_worker_unless_the_broker_is_away(
    staff: Client, django_capture_on_commit_callbacks, is_away: bool, queued: int
) -> None:
    if is_away:
        wake_up.breaker.record_failure()
    with app.connection_for_write() as connection:
        queue = connection.default_channel.client
        queue.delete("holdfast")

        with django_capture_on_commit_callbacks(execute=True):
            staff.post(tool(make_hall(), "publish"))

        assert queue.llen("holdfast") == queued
        queue.delete("holdfast")
    assert PublishJob.objects.get().status == "queued"


def test_publication_says_when_no_worker_runs(staff: Client) -> None:
    event = make_hall()
    staff.post(tool(event, "publish"))
    PublishJob.objects.update(created_at=datetime(2026, 1, 1, tzinfo=UTC))

    page = staff.get(tool(event, "show_publication")).content.decode()

    assert "no worker seems to be running" in page


def test_clone_opens_the_draft(staff: Client) -> None:
    event = make_hall()

    response = staff.post(tool(event, "clone"))

    clone = Event.objects.get(slug=f"{event.slug}-2")
    assert response.headers["Location"] == tool(clone, "change")


def test_tickets_are_kept_back_through_the_service(staff: Client) -> None:
    event = make_hall()
    services.publish_event(event)
    booked = take(event.tickets.get(position=0))
    ids = list(event.tickets.filter(position__lt=3).values_list("id", flat=True))

    response = staff.post(
        reverse("admin:events_ticket_changelist"),
        {"action": "keep_back", "_selected_action": ids},
        follow=True,
    )

    booked.refresh_from_db()
    assert "2 of 3 tickets are kept back" in response.content.decode()
    assert booked.status == "booked"
    assert event.tickets.filter(status="blocked").count() == 2


def test_ticket_cannot_be_changed_by_a_form(staff: Client) -> None:
    event = make_hall()
    services.publish_event(event)
    ticket = event.tickets.get(position=0)

    response = staff.post(reverse("admin:events_ticket_change", args=[ticket.pk]), {"status": "booked"})

    ticket.refresh_from_db()
    assert (response.status_code, ticket.status) == (403, "available")


def test_seats_are_previewed_before_they_are_made(staff: Client) -> None:
    venue = make_venue()

    page = staff.post(tool(venue, "edit_seats"), seat_form(preview=1)).content.decode()
    assert "This makes 8 seats in section Stalls: 2 rows, A to B." in " ".join(page.split())
    assert venue.seats.count() == 0

    staff.post(tool(venue, "edit_seats"), seat_form())
    assert venue.seats.count() == 8


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rows": "0"}, "There must be between 1 and 1000 rows."),
        ({"aisles_after": "4"}, "An aisle lies between two seats of the row."),
        ({"aisles_after": "x"}, "Write whole numbers, separated by commas."),
        ({"accessible": "A9"}, "not among the new ones: A9."),
    ],
)
def test_seat_form_refuses_with_a_reason(staff: Client, fields: dict[str, Any], message: str) -> None:
    venue = make_venue()

    page = staff.post(tool(venue, "edit_seats"), seat_form(**fields)).content.decode()

    assert message in page
    assert venue.seats.count() == 0


def test_section_is_removed(staff: Client) -> None:
    venue = make_venue()
    staff.post(tool(venue, "edit_seats"), seat_form())

    staff.post(tool(venue, "edit_seats"), {"remove": "Stalls"})

    assert venue.seats.count() == 0


def test_plan_is_imported_and_exported(staff: Client) -> None:
    venue = make_venue()
    plan = SimpleUploadedFile("hall.json", encode(make_plan()))

    staff.post(tool(venue, "import_plan"), {"plan": plan})
    response = staff.get(tool(venue, "export_plan"))

    assert venue.seats.count() == 10
    assert response.headers["Content-Disposition"] == f'attachment; filename="{venue.slug}.json"'
    assert response.json()["name"] == "Hall"


def test_plan_is_refused_with_the_place_in_the_file(staff: Client) -> None:
    venue, plan = make_venue(), make_plan()
    plan["zones"][1]["rows"][0]["seats"][0]["category"] = "VIP"

    page = staff.post(
        tool(venue, "import_plan"), {"plan": SimpleUploadedFile("hall.json", encode(plan))}
    ).content.decode()

    assert "zones[1].rows[0].seats[0].category: “VIP” is not declared" in page
    assert venue.seats.count() == 0


@pytest.mark.parametrize("name", ["publish", "clone", "show_publication"])
def test_organisers_tools_are_for_those_who_may(client: Client, name: str) -> None:
    event = make_hall()
    client.force_login(make_user(is_staff=True))

    assert client.post(tool(event, name)).status_code == 403

    assert (Event.objects.count(), PublishJob.objects.count()) == (1, 0)
