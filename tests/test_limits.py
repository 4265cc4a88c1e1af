"""How often one caller may ask, and how they are told."""

from __future__ import annotations

import pytest
from django.test import Client

from bookings.models import ApiKey, User, hash_secret
from events.raw_clients import raw_client
from tests.factories import make_seated_event, make_user
from tests.utils import run_together
from ticketing.api import limits

pytestmark = pytest.mark.django_db


@pytest.fixture
def url() -> str:
    return f"/api/v1/events/{make_seated_event().slug}/"


@pytest.fixture(autouse=True)
def _one_minute(monkeypatch):
    """No test runs over the end of a window."""
    monkeypatch.setattr(limits.time, "time", lambda: 60 * 30_000_000 + 18.5)
    limits._local_counts.clear()


def key_of(account: User) -> dict[str, str]:
    ApiKey.objects.create(account=account, key_hash=hash_secret(f"key-{account.pk}"))
    return {"Authorization": f"Token key-{account.pk}"}


def test_limit_is_told_in_every_answer(client: Client, url: str, settings):
    settings.API_READS_PER_MINUTE = 5

    first, second = client.get(url), client.get(url)

    assert first.headers["RateLimit-Policy"] == '"reads";q=5;w=60'
    assert first.headers["RateLimit"] == '"reads";r=4;t=41'
    assert second.headers["RateLimit"] == '"reads";r=3;t=41'


def test_limit_is_told_with_errors_and_304_too(client: Client, url: str):
    etag = client.get(url).headers["ETag"]

    for answer in [
        client.get(url + "?no=1"),
        client.get("/api/v1/nowhere/"),
        client.get(url, headers={"If-None-Match": etag}),
    ]:
        assert answer.headers["RateLimit-Policy"] == '"reads";q=1200;w=60'


def test_over_the_limit_is_a_problem_that_tells_when_to_come_again(client: Client, url: str, settings):
    settings.API_READS_PER_MINUTE = 2

    answers = [client.get(url) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["code"] == "rate_limited"
    assert answers[2].headers["Retry-After"] == "41"
    assert answers[2].headers["RateLimit"] == '"reads";r=0;t=41'


def test_guessing_keys_is_limited_and_told(client: Client, url: str, settings):
    settings.API_READS_PER_MINUTE = 2

    answers = [client.get(url, headers={"Authorization": f"Token guess-{n}"}) for n in range(3)]

    assert [answer.json()["code"] for answer in answers] == ["not_authenticated"] * 2 + ["rate_limited"]
    assert answers[0].headers["RateLimit"] == '"reads";r=1;t=41'
    assert answers[2].headers["Retry-After"] == "41"


def test_reads_and_writes_are_counted_apart(client: Client, url: str, settings):
    settings.API_READS_PER_MINUTE = settings.API_WRITES_PER_MINUTE = 1
    client.get(url)

    write = client.post("/api/v1/bookings/", {}, content_type="application/json")

    assert write.status_code == 400
    assert write.headers["RateLimit"] == '"writes";r=0;t=41'


def test_callers_are_counted_apart(client: Client, url: str, settings):
    settings.API_READS_PER_MINUTE = 1
    alice, bob = key_of(make_user()), key_of(make_user())

    callers = [alice, bob, {}, alice]
    answers = [client.get(url, headers=headers).status_code for headers in callers]
    elsewhere = client.get(url, REMOTE_ADDR="192.0.2.7").status_code

    assert answers == [200, 200, 200, 429]
    assert elsewhere == 200


def test_caller_cannot_get_a_new_budget_by_naming_another_address(client: Client, url: str, settings):
    settings.API_READS_PER_MINUTE = 1
    client.get(url, headers={"X-Forwarded-For": "192.0.2.1"})

    assert client.get(url, headers={"X-Forwarded-For": "192.0.2.2"}).status_code == 429


def test_address_comes_from_as_many_proxies_as_are_trusted(client: Client, url: str, settings):
    settings.API_READS_PER_MINUTE = 1
    settings.TRUSTED_PROXIES = 1
    client.get(url, headers={"X-Forwarded-For": "made up, 192.0.2.1"})

    same = client.get(url, headers={"X-Forwarded-For": "something else, 192.0.2.1"})
    other = client.get(url, headers={"X-Forwarded-For": "192.0.2.1, 192.0.2.2"})

    assert (same.status_code, other.status_code) == (429, 200)


def test_address_is_the_same_however_the_server_writes_it(client: Client, url: str, settings):
    settings.API_READS_PER_MINUTE = 1
    client.get(url, REMOTE_ADDR="::ffff:192.0.2.1")

    same, other = client.get(url, REMOTE_ADDR="192.0.2.1"), client.get(url, REMOTE_ADDR="::ffff:192.0.2.2")

    assert (same.status_code, other.status_code) == (429, 200)


def test_addresses_of_one_ipv6_network_are_one_caller(client: Client, url: str, settings):
    settings.API_READS_PER_MINUTE = 2
    addresses = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:1::3", "2001:db8:0:2::1"]

    answers = [client.get(url, REMOTE_ADDR=address).status_code for address in addresses]

    assert answers == [200, 200, 429, 200]


def test_limit_holds_without_the_cache(client: Client, url: str, settings):
    settings.API_READS_PER_MINUTE = 2
    limits.breaker.record_failure()

    assert [client.get(url).status_code for _ in range(3)] == [200, 200, 429]


def test_counts_go_after_their_minute():
    limits.count_request("limit:1:test")

    assert 0 < raw_client("default").ttl("limit:1:test") <= 61


@pytest.mark.django_db(transaction=True)
def test_many_at_once_are_admitted_exactly_to_the_limit(url: str, settings):
    settings.API_READS_PER_MINUTE = 10

    answers = run_together([lambda: Client().get(url).status_code for _ in range(30)])

    assert (answers.count(200), answers.count(429)) == (10, 20)
