"""The same key, the same answer; and one effect, however often it is sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from bookings import services
from bookings.api import idempotency
from bookings.models import ApiKey, Booking, IdempotencyKey, Payment, User, hash_secret
from bookings.payments import start_payment
from events import locks
from events.models import Event
from events.raw_clients import raw_client
from tests.factories import make_event, make_seated, make_seated_event, make_user, ticket_ids
from tests.utils import assert_audit_is_clean, run_together

pytestmark = pytest.mark.django_db

BOOKINGS = "/api/v1/bookings/"


@pytest.fixture
def event() -> Event:
    return make_seated_event(seats=6)


def post(client: Client, body: Any, key: str | None = "first", url: str = BOOKINGS, **headers: str) -> Any:
    if key is not None:
        headers["Idempotency-Key"] = key
    return client.post(url, body, content_type="application/json", headers=headers)


def wish(event: Event, *positions: int) -> dict[str, Any]:
    ids = ticket_ids(event)
    return {"event": event.slug, "tickets": [ids[position] for position in positions]}


def key_of(account: User) -> dict[str, str]:
    ApiKey.objects.get_or_create(account=account, key_hash=hash_secret(f"key-{account.pk}"))
    return {"Authorization": f"Token key-{account.pk}"}


def test_same_request_replays_the_first_answer(client: Client, event: Event):
    first = post(client, wish(event, 0))
    again = post(client, wish(event, 0))

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert Booking.objects.count() == 1


def test_members_in_another_order_are_the_same_request(client: Client, event: Event):
    body = wish(event, 0)
    post(client, body)

    again = post(client, dict(reversed(body.items())))

    assert again.headers["Idempotent-Replayed"] == "true"


def test_another_body_with_the_same_key_is_refused(client: Client, event: Event):
    post(client, wish(event, 0))

    response = post(client, wish(event, 1))

    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    assert Booking.objects.count() == 1


def test_another_address_with_the_same_key_is_refused(client: Client, event: Event):
    headers = key_of(make_user())
    made = post(client, wish(event, 0), **headers).json()

    response = post(client, {}, url=f"{BOOKINGS}{made['id']}/extend/", **headers)

    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")


def test_requests_without_a_key_are_each_their_own(client: Client, event: Event):
    answers = [post(client, wish(event, position), key=None) for position in (0, 1)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert IdempotencyKey.objects.count() == 0


def test_keys_belong_to_their_caller(client: Client, event: Event):
    alice, bob = key_of(make_user()), key_of(make_user())
    hers = post(client, wish(event, 0), **alice).json()

    his = post(client, wish(event, 0), **bob)
    guests = post(client, wish(event, 0))

    assert (his.status_code, guests.status_code) == (409, 409)
    assert hers["access_token"].encode() not in his.content + guests.content


def test_refusal_is_replayed_too(client: Client, event: Event):
    taken = post(client, wish(event, 0), key="taken").json()
    first = post(client, wish(event, 0, 1))
    services.release_hold(booking_id=taken["id"])

    again = post(client, wish(event, 0, 1))

    assert (first.status_code, again.status_code) == (409, 409)
    assert again.json() == first.json()
    assert again.headers["Content-Type"] == "application/problem+json"
    assert again.headers["Idempotent-Replayed"] == "true"


def test_refused_hold_leaves_nothing_but_its_answer(client: Client, event: Event):
    post(client, wish(event, 0), key="taken")

    post(client, wish(event, 0, 1))

    assert Booking.objects.count() == 1
    assert IdempotencyKey.objects.count() == 2
    assert set(locks.owners(event.pk)) == {ticket_ids(event)[0]}
    assert_audit_is_clean()


def test_refusal_is_replayed_to_the_last_digit(client: Client):
    event = make_event(on_sale_at=timezone.now() + timedelta(days=1))
    make_seated(event)

    first, again = (post(client, wish(event, 0)).json() for _ in range(2))

    assert first["on_sale_at"] == again["on_sale_at"]


def test_invalid_request_can_be_put_right_with_the_same_key(client: Client, event: Event):
    wrong = post(client, {"event": event.slug})
    other = make_seated_event()
    foreign = post(client, {"event": event.slug, "tickets": ticket_ids(other)[:1]})

    right = post(client, wish(event, 0))

    assert (wrong.status_code, foreign.status_code, right.status_code) == (400, 400, 201)


def test_key_counts_for_a_day(client: Client, event: Event):
    post(client, wish(event, 0))
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=24))

    later = post(client, wish(event, 1))

    assert later.status_code == 201
    assert IdempotencyKey.objects.get().body["id"] == later.json()["id"]


@pytest.mark.parametrize("key", ["a", "x" * 255, "with space", '"quoted"', '"a \\"b\\""', "~!@#$%^&*()"])
def test_key_may_be_any_printable_characters(client: Client, event: Event, key: str):
    assert post(client, wish(event, 0), key=key).status_code == 201
    assert post(client, wish(event, 0), key=key).headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "tab\tinside", "é"])
def test_key_of_other_characters_or_length_is_refused(client: Client, event: Event, key: str):
    response = post(client, wish(event, 0), key=key)

    assert (response.status_code, response.json()["code"]) == (400, "invalid_parameter")
    assert response.json()["errors"][0]["field"] == "Idempotency-Key"
    assert Booking.objects.count() == 0


def test_quoted_and_bare_are_the_same_key(client: Client, event: Event):
    post(client, wish(event, 0), key="first")

    assert post(client, wish(event, 0), key='"first"').headers["Idempotent-Replayed"] == "true"


def test_extend_counts_once(client: Client, event: Event):
    made = post(client, wish(event, 0), key=None).json()
    url, token = f"{BOOKINGS}{made['id']}/extend/", {"X-Booking-Token": made["access_token"]}

    first, again = (post(client, {}, url=url, **token) for _ in range(2))

    assert first.json() == again.json()
    assert Booking.objects.get().extensions_used == 1


def test_payment_is_replayed_after_it_has_ended(client: Client, event: Event):
    made = post(client, wish(event, 0), key=None).json()
    url, token = f"{BOOKINGS}{made['id']}/payments/", {"X-Booking-Token": made["access_token"]}
    first = post(client, {}, url=url, **token)
    Payment.objects.update(status="declined")

    again = post(client, {}, url=url, **token)

    assert (again.status_code, again.json()) == (201, first.json())
    assert Payment.objects.count() == 1


def test_gateway_that_does_not_answer_is_not_kept(client: Client, event: Event, monkeypatch):
    made = post(client, wish(event, 0), key=None).json()
    url, token = f"{BOOKINGS}{made['id']}/payments/", {"X-Booking-Token": made["access_token"]}

    def refuse(**_facts: Any) -> Payment:
        raise idempotency.GatewayUnavailable

    with monkeypatch.context() as patch:
        patch.setattr("bookings.api.views.start_payment", refuse)
        away = post(client, {}, url=url, **token)
    back = post(client, {}, url=url, **token)

    assert (away.status_code, away.json()["code"], away.headers["Retry-After"]) == (
        503,
        "temporarily_unavailable",
        "5",
    )
    assert back.status_code == 201


@pytest.mark.django_db(transaction=True)
def test_payment_is_not_started_inside_a_transaction(client: Client, event: Event, monkeypatch):
    made = post(client, wish(event, 0), key=None).json()
    seen = []

    def start(**facts: Any) -> Payment:
        seen.append(connection.in_atomic_block)
        return start_payment(**facts)

    monkeypatch.setattr("bookings.api.views.start_payment", start)
    url, token = f"{BOOKINGS}{made['id']}/payments/", {"X-Booking-Token": made["access_token"]}

    assert post(client, {}, url=url, **token).status_code == 201
    assert seen == [False]


@pytest.mark.django_db(transaction=True)
def test_while_the_first_is_running_the_second_waits_for_nothing(client: Client, event: Event, monkeypatch):
    """The second request comes while the first is between its work and its answer."""
    seconds = []
    keep_answer = idempotency.keep_answer

    def keep_and_ask_again(*facts: Any) -> IdempotencyKey:
        seconds.extend(run_together([lambda: post(Client(), wish(event, 0))]))
        return keep_answer(*facts)

    monkeypatch.setattr(idempotency, "keep_answer", keep_and_ask_again)
    first = post(client, wish(event, 0))
    monkeypatch.undo()

    assert first.status_code == 201
    assert [(second.status_code, second.json()["code"]) for second in seconds] == [
        (409, "request_in_progress")
    ]
    assert post(client, wish(event, 0)).json() == first.json()


@pytest.mark.django_db(transaction=True)
def test_answer_that_was_kept_while_the_second_began_is_not_written_over(client, event, monkeypatch):
    """Its statement can begin before the first commits, and have the lock after it."""
    first = post(client, wish(event, 0))
    monkeypatch.setattr(idempotency, "_first_answer", lambda *_facts: None)
    second = post(client, wish(event, 1))
    monkeypatch.undo()

    assert (second.status_code, second.json()["code"]) == (409, "request_in_progress")
    assert Booking.objects.count() == 1
    assert post(client, wish(event, 0)).json() == first.json()


@pytest.mark.django_db(transaction=True)
def test_while_a_payment_is_being_started_its_key_is_taken(client: Client, event: Event, monkeypatch):
    made = post(client, wish(event, 0)).json()
    url, token = f"{BOOKINGS}{made['id']}/payments/", {"X-Booking-Token": made["access_token"]}
    return_url = {"return_url": f"{settings.SITE_URL}/elsewhere/"}
    seconds = []

    def start(**facts: Any) -> Payment:
        for body in ({}, return_url):
            seconds.extend(run_together([lambda: post(Client(), body, url=url, **token)]))  # noqa: B023
        return start_payment(**facts)

    monkeypatch.setattr("bookings.api.views.start_payment", start)
    first = post(client, {}, url=url, **token)
    monkeypatch.undo()

    assert first.status_code == 201
    assert [second.json()["code"] for second in seconds] == ["request_in_progress", "idempotency_key_reused"]
    assert post(client, {}, url=url, **token).json() == first.json()


@pytest.mark.django_db(transaction=True)
def test_payment_whose_first_request_died_can_be_started_with_the_same_key(client, event, monkeypatch):
    made = post(client, wish(event, 0)).json()
    url, token = f"{BOOKINGS}{made['id']}/payments/", {"X-Booking-Token": made["access_token"]}
    post(client, {}, url=url, **token)
    claim = IdempotencyKey.objects.filter(body__redirect_url__isnull=False)
    claim.update(status_code=None, body=None, created_at=timezone.now() - idempotency.CLAIM)

    assert post(client, {}, url=url, **token).status_code == 201
    assert Payment.objects.count() == 1


def test_access_token_is_not_stored_with_the_answer(client: Client, event: Event):
    first = post(client, wish(event, 0))

    assert "access_token" not in IdempotencyKey.objects.get().body
    again = post(client, wish(event, 0))
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert Booking.objects.get().has_access_token(again.json()["access_token"])


def test_guests_behind_one_address_are_told_apart_by_their_programs(client: Client, event: Event):
    first = post(client, wish(event, 0), **{"User-Agent": "one"})
    second = post(client, wish(event, 0), **{"User-Agent": "two"})

    assert (first.status_code, second.status_code) == (201, 409)
    assert "access_token" not in second.json()


@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_hold_once(event: Event):
    answers = run_together([lambda: post(Client(), wish(event, 0)) for _ in range(20)])

    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    refused = {answer.json()["code"] for answer in answers if answer.status_code != 201}
    assert len(made) == 1
    assert refused <= {"request_in_progress"}
    assert Booking.objects.count() == 1
    assert_audit_is_clean()


@pytest.mark.django_db(transaction=True)
def test_crash_before_the_answer_is_stored_leaves_nothing(client: Client, event: Event, monkeypatch):
    def crash(*_facts: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(idempotency, "keep_answer", crash)
        client.raise_request_exception = False
        crashed = post(client, wish(event, 0))
    held = Booking.objects.count()
    raw_client("locks").flushdb()

    assert (crashed.status_code, crashed.json()["code"], held) == (500, "internal_error", 0)
    assert post(client, wish(event, 0)).status_code == 201
    assert_audit_is_clean()


@pytest.mark.django_db(transaction=True)
def test_locks_are_kept_for_the_whole_hold_once_the_answer_is_committed(client: Client, event: Event):
    post(client, wish(event, 0))

    assert locks.kept_beyond_lease(event.pk, ticket_ids(event)[:1]) == {ticket_ids(event)[0]}
    assert not transaction.get_connection().in_atomic_block
