"""Passwords, codes, references and keys: what somebody who guesses may try, also with the cache gone."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import hashers
from django.core import mail
from django.test import Client

from bookings import accounts, views
from bookings.keys import make_key
from bookings.models import User, make_access_token, make_code, make_reference
from tests.attacks.world import World
from tests.factories import make_user

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
SIGN_IN = "/accounts/login/"


@pytest.fixture
def alice() -> User:
    return make_confirmed("alice@example.org")


def make_confirmed(email: str, **fields: Any) -> User:
    user = make_user(email=email, password=PASSWORD, **fields)
    EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    return user


def sign_in(email: str, password: str = PASSWORD, address: str = "192.0.2.1", url: str = SIGN_IN) -> Any:
    return Client(REMOTE_ADDR=address).post(url, {"login": email, "password": password})


def guess_from_everywhere(account: User) -> None:
    for number in range(20):
        sign_in(account.email, f"guess {number}", address=f"192.0.2.{number}")


def is_signed_in(answer: Any) -> bool:
    return answer.status_code == 302


@pytest.mark.parametrize("cache", ["there", "away"])
def test_right_password_signs_in(alice: User, cache: str, request: pytest.FixtureRequest):
    if cache == "away":
        request.getfixturevalue("cache_away")

    assert is_signed_in(sign_in(alice.email))


@pytest.mark.parametrize("cache", ["there", "away"])
def test_guessing_one_password_is_stopped_before_it_is_hashed(
    alice: User, cache: str, monkeypatch, request: pytest.FixtureRequest
):
    if cache == "away":
        request.getfixturevalue("cache_away")
    compared = count_comparisons(monkeypatch)

    for number in range(20):
        sign_in(alice.email, f"guess {number}")

    assert len(compared) == 5
    assert not is_signed_in(sign_in(alice.email))


@pytest.mark.parametrize("cache", ["there", "away"])
def test_guessing_for_many_accounts_is_stopped_for_the_address(
    cache: str, monkeypatch, request: pytest.FixtureRequest
):
    if cache == "away":
        request.getfixturevalue("cache_away")
    compared = count_comparisons(monkeypatch)

    for number in range(40):
        sign_in(f"somebody{number}@example.org", "spring2026")

    assert len(compared) <= 10


def test_an_address_of_version_6_is_a_whole_network(alice: User, monkeypatch):
    compared = count_comparisons(monkeypatch)

    for number in range(20):
        sign_in(alice.email, "guess", address=f"2001:db8::{number:x}")

    assert len(compared) == 5


def test_guessing_from_many_addresses_is_stopped_for_the_account(alice: User, monkeypatch):
    monkeypatch.setattr(accounts, "SIGN_INS_PER_HOUR_AND_ACCOUNT", 12)
    compared = count_comparisons(monkeypatch)

    guess_from_everywhere(alice)

    assert len(compared) == 12
    assert not is_signed_in(sign_in(alice.email, address="203.0.113.5"))


def test_nobody_is_locked_out_by_another(alice: User):
    for number in range(20):
        sign_in(alice.email, f"guess {number}", address="198.51.100.66")

    assert is_signed_in(sign_in(alice.email, address="192.0.2.1"))


def test_who_is_locked_out_by_many_addresses_comes_in_by_mail(alice: User, monkeypatch):
    monkeypatch.setattr(accounts, "SIGN_INS_PER_HOUR_AND_ACCOUNT", 12)
    guess_from_everywhere(alice)
    browser = Client(REMOTE_ADDR="203.0.113.5")

    browser.post("/accounts/password/reset/", {"email": alice.email})
    link = mail.outbox[-1].body.partition("/accounts/password/reset/key/")[2].split()[0]
    form = browser.get(f"/accounts/password/reset/key/{link}", follow=True).request["PATH_INFO"]
    browser.post(form, {"password1": "new battery staple", "password2": "new battery staple"})

    assert browser.get("/bookings/").status_code == 200


def test_the_office_has_no_door_of_its_own(monkeypatch):
    """Otherwise passwords of staff could be guessed where no limit counts."""
    make_confirmed("staff@example.org", is_staff=True)
    compared = count_comparisons(monkeypatch)

    answer = Client().post("/admin/login/", {"username": "staff@example.org", "password": PASSWORD})
    asked = Client().get("/admin/bookings/booking/")

    assert answer.headers["Location"].startswith("/accounts/login/")
    assert asked.headers["Location"].startswith("/admin/login/?next=")
    assert compared == []


# --- References, codes and links --------------------------------------------------------


@pytest.mark.parametrize("cache", ["there", "away"])
def test_guessing_references_is_stopped(world: World, cache: str, request: pytest.FixtureRequest):
    if cache == "away":
        request.getfixturevalue("cache_away")
    client = Client()
    wrong = {"reference": make_reference(), "email": world.alice.email}
    answers = [client.post("/bookings/find/", wrong).status_code for _ in range(views.FINDS_PER_MINUTE)]

    right = {"reference": world.booked.reference, "email": world.alice.email}

    assert answers == [404] * views.FINDS_PER_MINUTE
    assert client.post("/bookings/find/", right).status_code == 429


def test_guessing_references_from_one_ipv6_network_is_stopped():
    def find(address: str) -> int:
        wrong = {"reference": make_reference(), "email": f"{uuid.uuid4()}@example.org"}
        return int(Client(REMOTE_ADDR=address).post("/bookings/find/", wrong).status_code)

    answers = [find(f"2001:db8:0:1:{number}::1") for number in range(views.FINDS_PER_MINUTE + 1)]

    assert answers == [404] * views.FINDS_PER_MINUTE + [429]
    assert find("2001:db8:0:2::1") == 404


def test_guessing_links_for_a_new_password_is_stopped(alice: User):
    url = "/accounts/password/reset/key/{}-{}/"
    answers = [Client().post(url.format(1, f"guess-{number}")).status_code for number in range(21)]

    assert answers[-1] == 429


def test_what_opens_a_booking_or_a_door_cannot_be_guessed(alice: User):
    """Random bits in each: 80 cannot be tried; the 40 of a reference are slowed down, see above."""
    _key, secret = make_key(account=alice, name="Till")

    assert len(make_code()) * 5 >= 80
    assert len(make_reference()) * 5 >= 40
    assert len(make_access_token(uuid.uuid4())) * 4 >= 256
    assert len(secret.removeprefix("hf_")) * 6 >= 256


def count_comparisons(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that are hashed from now on to be compared, or, for unknown accounts, to take as long."""
    compared: list[str] = []
    check, set_password = hashers.MD5PasswordHasher.verify, User.set_password

    def verify(self: Any, password: str, encoded: str) -> bool:
        compared.append(password)
        return check(self, password, encoded)

    def hash_for_nobody(self: User, password: str) -> None:
        compared.append(password)
        set_password(self, password)

    monkeypatch.setattr(hashers.MD5PasswordHasher, "verify", verify)
    monkeypatch.setattr(User, "set_password", hash_for_nobody)
    return compared
