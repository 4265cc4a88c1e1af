"""The pages of the door, as they are without JavaScript."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from bookings.door.models import Scan
from bookings.models import BookingItem
from events.models import Event
from tests.door import book, make_door_staff
from tests.factories import make_event, make_seated, make_seated_event, make_staff, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def event() -> Event:
    return make_seated_event(seats=4, price="0.00", title="The Long Night")


@pytest.fixture
def at_door(client: Client) -> Client:
    client.force_login(make_door_staff())
    return client


def shown(page) -> str:
    """What the verdict's box says; the templates for scripts are not in it."""
    found = re.search(r"data-verdict aria-live.*?(?=<template)", page.content.decode(), re.DOTALL)
    return re.sub(r"<[^>]+>|\s+", " ", found[0])


def post_code(client: Client, event: Event, code: str, **fields: object):
    typed = {"code": code, "door": "North door", "scan_id": uuid.uuid4()}
    return client.post(f"/door/{event.slug}/", typed | fields, follow=True)


def test_form_sent_twice_counts_once_and_its_answer_can_be_loaded_again(at_door, event):
    item = book(event)[0]
    scan_id = uuid.uuid4()

    pages = [post_code(at_door, event, item.code, scan_id=scan_id) for _ in range(2)]

    assert [page.redirect_chain for page in pages] == [[(f"/door/{event.slug}/?scan={scan_id}", 302)]] * 2
    assert "Admitted" in shown(pages[0])
    assert "Stalls, row 1, seat 1" in shown(pages[1])
    assert Scan.objects.count() == 1


def test_door_is_remembered_and_each_page_has_a_scan_of_its_own(at_door, event):
    page = post_code(at_door, event, "nothing", door="South door")
    again = at_door.get(f"/door/{event.slug}/")

    assert "There is no ticket with this code." in shown(page)
    assert again.context["form"]["door"].value() == "South door"
    assert page.context["form"]["scan_id"].value() != again.context["form"]["scan_id"].value()


def test_wrong_event_is_named(at_door, event):
    other = make_seated_event(price="0.00", title="Elsewhere")

    page = post_code(at_door, event, book(other)[0].code)

    assert "Wrong event" in shown(page)
    assert "For Elsewhere," in shown(page)


def test_admission_is_undone_by_a_form(at_door, event):
    item = book(event)[0]
    post_code(at_door, event, item.code)
    scan = Scan.objects.get()

    page = at_door.post(f"/door/{event.slug}/{scan.pk}/undo/", follow=True)

    assert "The ticket lets in again." in shown(page)
    assert BookingItem.objects.get(pk=item.pk).checked_in_at is None
    assert at_door.get(f"/door/{event.slug}/{scan.pk}/undo/").status_code == 405


@pytest.mark.parametrize("wrong", [{"code": ""}, {"door": ""}, {"scan_id": "1"}, {"code": "x" * 201}])
def test_incomplete_form_comes_back(at_door, event, wrong):
    page = post_code(at_door, event, wrong.pop("code", "nothing"), **wrong)

    assert (page.status_code, Scan.objects.count()) == (400, 0)


def test_result_of_another_events_scan_is_not_shown(at_door, event):
    post_code(at_door, event, book(event)[0].code)
    other = make_seated_event()

    page = at_door.get(f"/door/{other.slug}/", {"scan": str(Scan.objects.get().pk)})

    assert "Ready" in shown(page)
    assert "Ready" in shown(at_door.get(f"/door/{event.slug}/", {"scan": "none"}))


def test_list_has_what_is_on_and_what_is_next(at_door):
    now = timezone.now()
    on = make_event(title="On", starts_at=now - timedelta(hours=1))
    soon = make_event(title="Soon", starts_at=now + timedelta(days=3), status="postponed")
    make_event(title="Over", starts_at=now - timedelta(days=2))
    make_event(title="Draft", status="draft")
    make_event(title="Cancelled", status="cancelled")

    page = at_door.get("/door/")

    assert [door[0] for door in page.context["today"]] == [on]
    assert [door[0] for door in page.context["later"]] == [soon]


@pytest.mark.parametrize("rows", [1, 3])
def test_list_has_a_fixed_number_of_queries(at_door, rows, django_assert_num_queries):
    for _number in range(rows):
        event = make_event()
        make_seated(event, seats=1, price="0.00")
        book(event)

    with django_assert_num_queries(6):
        page = at_door.get("/door/")

    assert [(door[1].booked, door[1].entered) for door in page.context["later"]] == [(1, 0)] * rows


def test_pages_are_for_who_may_check_in(client, event):
    item = book(event)[0]
    addresses = ["/door/", f"/door/{event.slug}/"]

    assert [client.get(address).headers["Location"] for address in addresses] == [
        f"/accounts/login/?next={address}" for address in addresses
    ]
    client.force_login(make_user(is_staff=True))
    assert [client.get(address).status_code for address in addresses] == [403, 403]
    assert post_code(client, event, item.code).status_code == 403
    assert client.post(f"/door/{event.slug}/{uuid.uuid4()}/undo/").status_code == 403
    assert Scan.objects.count() == 0
    client.force_login(make_staff())
    assert [client.get(address).status_code for address in addresses] == [200, 200]


def test_worker_may_only_serve_the_door(client):
    answer = client.get("/door/worker.js")

    assert answer.headers["Content-Type"].startswith("text/javascript")
    assert "Service-Worker-Allowed" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-cache"


def test_event_that_does_not_take_place_has_no_door(at_door):
    event = make_event(status="cancelled")

    assert at_door.get(f"/door/{event.slug}/").status_code == 404
