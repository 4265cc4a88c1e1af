"""What a guest is refused from the cache alone, and that nobody could tell it from the database's answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from bookings.api import glance
from bookings.models import Booking, IdempotencyKey
from bookings.services import release_hold, suggest_near
from events import locks, pictures
from events.models import Event
from tests.bookings.test_idempotency import key_of, post, wish
from tests.factories import (
    make_event,
    make_general_admission,
    make_seated_event,
    make_user,
    ticket_ids,
)
from tests.utils import assert_audit_is_clean

# Locks are kept once the hold is committed.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def event() -> Event:
    return make_seated_event(rows=3, seats=6, max_tickets_per_booking=4)


@pytest.fixture
def rival(event: Event) -> dict[str, Any]:
    """The booking of the first two seats, by another guest; the hall was looked at after it."""
    held: dict[str, Any] = post(Client(), wish(event, 0, 1), key="rival", **{"User-Agent": "rival"}).json()
    assert pictures.recent_picture_of(event.slug).seat_of(ticket_ids(event)[0])
    return held


def release(booking: dict[str, Any]) -> None:
    token = {"X-Booking-Token": booking["access_token"]}
    assert Client().delete(f"/api/v1/bookings/{booking['id']}/", headers=token).status_code == 204


def without_suggestion(refused: Any) -> dict[str, Any]:
    return {name: value for name, value in refused.json().items() if name != "suggestion"}


def test_refusal_asks_the_database_nothing(client, event, rival, django_assert_num_queries):
    ids = ticket_ids(event)
    wanted = wish(event, 1, 2)

    with django_assert_num_queries(0):
        refused = post(client, wanted)

    assert (refused.status_code, refused.json()["code"]) == (409, "tickets_unavailable")
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["unavailable"] == [ids[1]]
    # Side by side in the same row, and no single seat left over.
    assert refused.json()["suggestion"] == ids[2:4]
    assert "RateLimit" in refused.headers
    assert_audit_is_clean()


def test_first_refusal_of_a_process_takes_the_picture_for_the_next(client, event, rival):
    pictures._pictures.clear()
    first = post(client, wish(event, 1, 2), key="one")
    second = post(client, wish(event, 1, 2), key="two")

    assert without_suggestion(first) == without_suggestion(second)
    assert set(IdempotencyKey.objects.values_list("key", flat=True)) == {"rival", "one"}


def test_old_picture_is_not_believed(client, event, rival, monkeypatch):
    monkeypatch.setattr(pictures, "HINT_AGE", 0.0)
    post(client, wish(event, 1))

    assert IdempotencyKey.objects.filter(key="first").exists()


def test_account_is_told_the_same_by_the_database(client, event, rival):
    account = make_user()
    as_guest = post(client, wish(event, 1, 2))
    as_account = post(client, wish(event, 1, 2), **key_of(account))

    assert without_suggestion(as_guest) == without_suggestion(as_account)
    for refused in (as_guest, as_account):
        assert (
            len(refused.json()["suggestion"])
            == len({*refused.json()["suggestion"]} & {*ticket_ids(event)[2:]})
            == 2
        )


def test_refusal_stands_for_its_key_when_the_tickets_are_free_again(client, event, rival):
    first = post(client, wish(event, 0))
    release(rival)
    again = post(client, wish(event, 0))

    assert (first.status_code, again.status_code) == (409, 409)
    assert again.json() == first.json()
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert post(client, wish(event, 0), key="new").status_code == 201


def test_key_of_a_refusal_stands_for_no_other_request(client, event, rival):
    post(client, wish(event, 0))
    other = post(client, wish(event, 4))

    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_key_of_a_hold_stands_for_no_other_request(client, event, rival):
    assert post(client, wish(event, 3)).status_code == 201
    other = post(client, wish(event, 0))

    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_hold_is_answered_again_though_its_own_tickets_are_locked(client, event):
    first = post(client, wish(event, 0))
    again = post(client, wish(event, 0))

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()


def test_hold_that_ran_out_is_answered_again_though_another_has_its_tickets_now(client, event):
    first = post(client, wish(event, 0))
    release(first.json())
    assert post(client, wish(event, 0), key="rival", **{"User-Agent": "rival"}).status_code == 201

    assert post(client, wish(event, 0)).json() == first.json()


def test_refusal_by_the_database_is_answered_again_once_the_lock_is_back(client, event, rival):
    ids = ticket_ids(event)
    locks.release(event.pk, ids[:2], rival["id"])
    first = post(client, wish(event, 0, 4))
    locks.keep(event.pk, [ids[0], ids[4]], rival["id"], milliseconds=60_000)
    again = post(client, wish(event, 0, 4))

    assert first.json()["unavailable"] == [ids[0]]
    assert again.json() == first.json()
    assert IdempotencyKey.objects.filter(key="first").count() == 1


def test_hold_made_while_the_cache_was_away_is_answered_again(client, event, rival, monkeypatch):
    """It goes away after the look at the tickets, and comes back in time for the hold's own locks."""
    with monkeypatch.context() as patch:
        ask, is_away = locks.ask, iter([False, True])
        patch.setattr(locks, "ask", lambda call: None if next(is_away, False) else ask(call))
        first = post(client, wish(event, 3))

    assert ticket_ids(event)[3] in set(locks.owners(event.pk))
    assert post(client, wish(event, 3)).json() == first.json()


@pytest.fixture
def cannot_remember(monkeypatch) -> Callable[[], AbstractContextManager[None]]:
    """The cache says what is locked, and goes away before it is told of the key."""

    @contextmanager
    def away() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(glance, "_remember", lambda *_: glance.UNKNOWN)
            yield

    return away


def test_hold_is_answered_again_though_the_cache_cannot_say_whose_locks_are_seen(
    client, event, rival, cannot_remember
):
    first = post(client, wish(event, 3))
    with cannot_remember():
        again = post(client, wish(event, 3))

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()


def test_refusal_that_the_cache_cannot_remember_is_kept_by_the_database(
    client, event, rival, cannot_remember
):
    with cannot_remember():
        first = post(client, wish(event, 0))
    release(rival)
    again = post(client, wish(event, 0))

    assert (first.status_code, again.status_code) == (409, 409)
    assert again.json() == first.json()


def test_hold_stands_though_the_cache_took_a_refusal_in_without_a_word(client, event, rival, monkeypatch):
    remember = glance._remember

    def remember_silently(*facts: Any) -> bytes:
        remember(*facts)
        release_hold(booking_id=rival["id"])
        return glance.UNKNOWN

    with monkeypatch.context() as patch:
        patch.setattr(glance, "_remember", remember_silently)
        first = post(client, wish(event, 0))
    again = post(client, wish(event, 0))

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()


def test_key_of_a_refusal_stands_for_no_request_that_is_wrong(client, event, rival):
    post(client, wish(event, 0))
    other = post(client, wish(event, 0) | {"colour": "red"})

    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_without_the_cache_the_database_refuses(client, event, rival):
    locks.breaker.record_failure()
    refused = post(client, wish(event, 1, 2))

    assert (refused.status_code, refused.json()["unavailable"]) == (409, [ticket_ids(event)[1]])
    assert IdempotencyKey.objects.filter(key="first").count() == 1


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"email": "nobody"}, 400, "validation_error"),
        ({"quantity": 2}, 400, "validation_error"),
        ({"colour": "red"}, 400, "validation_error"),
        ({"tickets": ["1"]}, 400, "validation_error"),
        ({"tickets": []}, 400, "validation_error"),
        ({"event": "nothing"}, 400, "validation_error"),
        ({"event": 7}, 400, "validation_error"),
    ],
)
def test_what_is_wrong_is_said_before_what_is_gone(client, event, rival, changed, status, code):
    answer = post(client, wish(event, 0) | changed)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    # It can be put right with the same key.
    assert post(client, wish(event, 5)).status_code == 201


def test_more_than_one_buyer_may_have_is_said_before_what_is_gone(client, event, rival):
    answer = post(client, wish(event, 0, 2, 3, 4, 5))

    assert (answer.status_code, answer.json()["code"]) == (422, "limit_exceeded")


def test_suggestion_is_of_what_nobody_took_since_the_picture(client, event, rival):
    ids = ticket_ids(event)
    near = post(client, wish(event, 0, 1), key="before").json()["suggestion"]
    locks.keep(event.pk, near, rival["id"], milliseconds=60_000)
    instead = post(client, wish(event, 0, 1)).json()["suggestion"]

    assert len(instead) == 2
    assert not set(instead) & {*near, *ids[:2]}


def test_those_who_are_refused_in_the_same_moment_are_sent_to_different_seats(client, event, rival):
    """And from the beginning again once each was suggested, for as long as they are free."""
    ids = ticket_ids(event)
    free = len(ids) - 2
    refusals = [post(client, wish(event, 0), key=str(number)).json() for number in range(2 * free)]
    suggested = [refusal["suggestion"][0] for refusal in refusals]

    assert suggested[0] == ids[2]
    assert set(suggested[:free]) == set(ids[2:])
    assert set(suggested[free:]) == set(ids[2:])


def test_threads_that_refuse_at_once_suggest_different_seats(event, rival):
    picture = pictures.recent_picture_of(event.slug)
    lost = picture.seat_of(ticket_ids(event)[0])
    together = threading.Barrier(8)

    def suggest(_number: int) -> list[int]:
        together.wait()
        return suggest_near(picture, lost, 1, [lost.ticket_id])

    with ThreadPoolExecutor(8) as threads:
        suggested = list(threads.map(suggest, range(8)))

    assert len({ticket_id for [ticket_id] in suggested}) == 8


def test_seat_that_is_left_is_suggested_to_everybody(client, event, rival):
    ids = ticket_ids(event)
    locks.keep(event.pk, ids[2:-1], rival["id"], milliseconds=60_000)

    refusals = [post(client, wish(event, 0), key=str(number)).json() for number in range(3)]
    assert [refusal["suggestion"] for refusal in refusals] == [ids[-1:]] * 3


def test_guest_without_a_key_leaves_nothing(client, event, rival):
    refused = post(client, wish(event, 0), key=None)

    assert refused.status_code == 409
    assert Booking.objects.count() == 1
    assert len(locks.ask(lambda client: client.keys("answer:*"))) == 1


def test_tickets_of_another_event_are_not_this_events(client, event, rival):
    other = make_seated_event(seats=2)
    answer = post(client, {"event": other.slug, "tickets": ticket_ids(event)[:1]})

    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")


def test_free_ticket_of_an_event_that_was_taken_back_is_not_on_sale(client, event, rival):
    Event.objects.filter(pk=event.pk).update(status="draft")

    answer = post(client, wish(event, 3))
    assert (answer.status_code, answer.json()["code"]) == (409, "not_on_sale")


def test_general_admission_by_its_tickets_is_the_databases(client):
    event = make_event()
    make_general_admission(event, quantity=4)
    ids = ticket_ids(event)
    post(client, {"event": event.slug, "tickets": ids[:1]}, key="rival", **{"User-Agent": "rival"})
    post(client, {"event": event.slug, "tickets": ids[:1]}, key="picture")

    refused = post(client, {"event": event.slug, "tickets": ids[:1]})
    assert refused.json()["unavailable"] == ids[:1]
    assert refused.json()["suggestion"] == ids[1:2]


def test_refusal_asks_the_cache_about_each_seat_once(client, monkeypatch):
    """About what is wanted, about the rows beside it, and about the rows behind those."""
    event = make_seated_event(rows=9, seats=4, max_tickets_per_booking=4)
    ids = ticket_ids(event)
    assert pictures.recent_picture_of(event.slug).seat_of(ids[0])
    locks.keep(event.pk, ids, uuid4(), milliseconds=60_000)
    asked: list[list[int]] = []
    locked_among = locks.locked_among

    def spy(event_id: int, ticket_ids: list[int]) -> frozenset[int]:
        asked.append(sorted(ticket_ids))
        return locked_among(event_id, ticket_ids)

    monkeypatch.setattr(locks, "locked_among", spy)
    refused = post(client, wish(event, 0))

    assert "suggestion" not in refused.json()
    assert asked == [ids[:1], ids[1:8], ids[8:24]]
