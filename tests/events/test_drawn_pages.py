"""The page of a large hall, drawn once for all visitors without a session: nobody is shown another's."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from bookings.models import Booking
from bookings.services import Buyer, hold_tickets
from events import moments
from events.models import Event
from events.views import PAGE_BEHIND
from tests.events.clock import Clock
from tests.factories import make_seated_event, make_user, ticket_ids

pytestmark = pytest.mark.django_db

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w{64})"')


@pytest.fixture
def event(monkeypatch, clock: Clock) -> Event:
    """Its hall counts as large, and the clock stands still, so that nothing is due for its age alone."""
    monkeypatch.setattr(moments, "SMALL_HALL", 0)
    return make_seated_event(seats=3)


def look_at(event: Event, visitor: Client | None = None, query: str = "", **headers: str) -> str:
    return (visitor or Client()).get(event.get_absolute_url() + query, headers=headers).content.decode()


def token_of(page: str) -> str:
    """The CSRF token that all forms of the page have."""
    [token] = set(TOKEN.findall(page))
    return token


def rename(event: Event) -> None:
    """A change of which the lock cache knows nothing."""
    Event.objects.filter(pk=event.pk).update(title="Another title")


def test_page_is_drawn_for_the_first_two_and_costs_the_others_no_statement(event, django_assert_num_queries):
    """The first finds out that the hall is large; the second draws it for all who follow."""
    first, second = look_at(event), look_at(event)

    with django_assert_num_queries(0):
        third = look_at(event)

    assert event.title in first
    assert TOKEN.sub("", first) == TOKEN.sub("", second) == TOKEN.sub("", third)


def test_kept_page_has_the_headers_of_a_new_one(event: Event):
    new, _drawn, kept = (Client().get(event.get_absolute_url()) for _ in range(3))

    assert dict(kept.headers) == dict(new.headers)
    assert kept.headers["Cache-Control"] == "no-store, private"
    assert kept.headers["Vary"] == "HX-Request, Cookie"
    assert kept.cookies["csrftoken"]["httponly"]


def test_each_visitor_has_a_token_that_works_for_them_alone(event: Event):
    look_at(event)
    look_at(event)
    mine, theirs = Client(enforce_csrf_checks=True), Client(enforce_csrf_checks=True)
    my_token, their_token = token_of(look_at(event, mine)), token_of(look_at(event, theirs))
    assert mine.cookies["csrftoken"].value != theirs.cookies["csrftoken"].value
    wish = {"tickets": ticket_ids(event)[:1]}
    address = f"{event.get_absolute_url()}hold/"

    refused = mine.post(address, wish | {"csrfmiddlewaretoken": their_token})
    held = mine.post(address, wish | {"csrfmiddlewaretoken": my_token})

    assert (refused.status_code, held.status_code) == (403, 302)
    assert Booking.objects.get().get_absolute_url() == held.headers["Location"]


def test_token_of_a_visitor_who_has_one_fits_their_cookie(event: Event):
    visitor = Client(enforce_csrf_checks=True)
    look_at(event)
    look_at(event, visitor)
    cookie = visitor.cookies["csrftoken"].value

    token = token_of(look_at(event, visitor))

    assert visitor.cookies["csrftoken"].value == cookie
    wish = {"tickets": ticket_ids(event)[:1], "csrfmiddlewaretoken": token}
    assert visitor.post(f"{event.get_absolute_url()}hold/", wish).status_code == 302


def test_page_without_a_form_leaves_no_cookie(event: Event):
    Event.objects.filter(pk=event.pk).update(status="cancelled")

    pages = [Client().get(event.get_absolute_url()) for _ in range(3)]

    assert [TOKEN.findall(page.content.decode()) for page in pages] == [[], [], []]
    assert not any(page.cookies for page in pages)


def test_session_is_shown_its_own_page_and_nobody_elses(event: Event):
    look_at(event)
    look_at(event)
    account = Client()
    account.force_login(make_user())

    assert "My bookings" in look_at(event, account)
    assert "My bookings" not in look_at(event)


def test_buyer_is_told_of_their_own_hold_and_nobody_else_is(event: Event, django_capture_on_commit_callbacks):
    buyer = Client()
    look_at(event)
    look_at(event, buyer)
    with django_capture_on_commit_callbacks(execute=True):
        buyer.post(f"{event.get_absolute_url()}hold/", {"tickets": ticket_ids(event)[:1]})

    assert "are held for you" in look_at(event, buyer)
    assert "are held for you" not in look_at(event)


def test_session_and_whoever_asks_for_more_are_shown_what_is_now(event: Event):
    look_at(event)
    look_at(event)
    account = Client()
    account.force_login(make_user())
    rename(event)

    assert "Another title" not in look_at(event)
    assert "Another title" in look_at(event, account)
    assert "Another title" in look_at(event, query="?section=Stalls")
    assert 'id="seats"' in look_at(event, HX_Request="true")
    assert "<html" not in look_at(event, HX_Request="true")


def test_hold_is_on_the_page_a_tenth_of_a_second_later(
    event: Event, clock: Clock, django_capture_on_commit_callbacks
):
    look_at(event)
    assert ">held<" not in look_at(event)

    with django_capture_on_commit_callbacks(execute=True):
        hold_tickets(event=event, ticket_ids=ticket_ids(event)[:1], buyer=Buyer())
    clock.now += 2 * PAGE_BEHIND

    assert look_at(event).count(">held<") == 1


def test_visitor_with_a_session_sees_a_hold_at_once(event: Event, django_capture_on_commit_callbacks):
    look_at(event)
    look_at(event)
    visitor = Client()
    visitor.force_login(make_user())

    with django_capture_on_commit_callbacks(execute=True):
        hold_tickets(event=event, ticket_ids=ticket_ids(event)[:1], buyer=Buyer())

    assert look_at(event, visitor).count(">held<") == 1


def test_draft_is_not_found_and_not_kept(event: Event):
    Event.objects.filter(pk=event.pk).update(status="draft")
    assert Client().get(event.get_absolute_url()).status_code == 404

    Event.objects.filter(pk=event.pk).update(status="published")
    assert event.title in look_at(event)


def test_small_hall_is_drawn_each_time(event: Event, monkeypatch):
    monkeypatch.setattr(moments, "SMALL_HALL", 3)
    look_at(event)
    rename(event)

    assert "Another title" in look_at(event)
