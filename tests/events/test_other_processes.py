"""What a web server of its own shows of a large hall, while this process sells."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import httpx
import pytest
from django.db import connection

from bookings.services import Buyer, hold_tickets, release_hold
from events.models import Event
from events.moments import MAX_AGE, SMALL_HALL
from tests.factories import make_event, make_general_admission, make_seated, ticket_ids
from tests.proof.processes import GRANIAN, Program, free_port

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def web(tmp_path) -> Iterator[httpx.Client]:
    """A client of a web server with one process, over this test's database and cache."""
    port = free_port()
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.worker_settings",
        "WORKER_DATABASE_NAME": connection.settings_dict["NAME"],
        "SITE_URL": f"http://127.0.0.1:{port}",
        "EMAIL_FILE_PATH": str(tmp_path),
    }
    command = [*GRANIAN, "--port", str(port), "--log-level", "error", "ticketing.wsgi:application"]
    server = Program("web", command, environment, tmp_path)
    server.start()
    try:
        with httpx.Client(base_url=environment["SITE_URL"], timeout=60) as client:
            wait_for(client)
            yield client
    finally:
        server.kill()


def wait_for(client: httpx.Client) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            client.get("/robots.txt")
        except httpx.ConnectError:
            assert time.monotonic() < deadline, "the web server does not answer"
            time.sleep(0.1)
        else:
            return


@pytest.fixture
def event() -> Event:
    event = make_event()
    make_seated(event, seats=2)
    make_general_admission(event, SMALL_HALL)
    return event


def what_is_free(web: httpx.Client, event: Event) -> tuple[int, int, bool]:
    """Free tickets by the event's JSON and by its live picture, and whether the page has any seat left."""
    path = f"/api/v1/events/{event.slug}/"
    told = web.get(path).json()["availability"]["available"]
    counted = sum(tier["available"] for tier in web.get(f"{path}availability/").json()["price_tiers"])
    # Without the cookies of the visit before: another visitor.
    page = httpx.get(f"{web.base_url}{event.get_absolute_url()}").text
    return told, counted, 'name="tickets"' in page


def test_whatever_happens_elsewhere_is_shown_within_the_age(web: httpx.Client, event: Event):
    everything = SMALL_HALL + 2
    assert what_is_free(web, event) == (everything, everything, True)

    held = hold_tickets(event=event, ticket_ids=ticket_ids(event)[:2], buyer=Buyer())
    time.sleep(MAX_AGE)
    assert what_is_free(web, event) == (everything - 2, everything - 2, False)

    release_hold(booking_id=held.booking.pk)
    time.sleep(MAX_AGE)
    assert what_is_free(web, event) == (everything, everything, True)

    # Of this the cache is told nothing.
    event.tickets.filter(seat__isnull=False).update(status="blocked")
    time.sleep(MAX_AGE)
    assert what_is_free(web, event) == (everything - 2, everything - 2, False)
