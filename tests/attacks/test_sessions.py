"""Sessions and links into accounts: for how long they are good, and that none outlives what it was for."""

from __future__ import annotations

import re

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client

from bookings.models import User
from tests.factories import make_seated_event, make_user, ticket_ids

pytestmark = pytest.mark.django_db

PASSWORD, NEW = "correct horse battery", "violet otter parade"
PRIVATE = "/accounts/keys/"


@pytest.fixture
def ada() -> User:
    user = make_user(email="ada@example.org", password=PASSWORD)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def sign_in(browser: Client) -> None:
    answer = browser.post("/accounts/login/", {"login": "ada@example.org", "password": PASSWORD})
    assert answer.status_code == 302


def with_session(key: str) -> Client:
    browser = Client()
    browser.cookies["session"] = key
    return browser


def test_signing_in_gives_another_session_and_keeps_what_is_held(ada: User):
    """Otherwise whoever had slipped a session into the browser would be signed in too."""
    browser, event = Client(), make_seated_event()
    hold = browser.post(f"/events/{event.slug}/hold/", {"tickets": ticket_ids(event)[:1]}).headers["Location"]
    before = browser.cookies["session"].value

    sign_in(browser)

    assert browser.cookies["session"].value != before
    assert browser.get(hold).status_code == browser.get(PRIVATE).status_code == 200
    assert with_session(before).get(hold).status_code == 404
    assert with_session(before).get(PRIVATE).status_code == 302


def test_signing_out_ends_the_session_and_not_only_the_cookie(ada: User):
    browser = Client()
    sign_in(browser)
    kept = browser.cookies["session"].value

    browser.post("/accounts/logout/")

    assert with_session(kept).get(PRIVATE).status_code == 302


def test_a_new_password_signs_out_every_other_browser(ada: User):
    thief, owner = Client(), Client()
    sign_in(thief)
    sign_in(owner)
    assert thief.get(PRIVATE).status_code == 200

    form = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    owner.post("/accounts/password/change/", form)

    assert thief.get(PRIVATE).status_code == 302


def mailed_link() -> str:
    Client().post("/accounts/password/reset/", {"email": "ada@example.org"})
    found = re.search(r"/accounts/password/reset/key/\S+", mail.outbox[-1].body)
    assert found
    return found[0]


def opens(link: str) -> bool:
    return Client().get(link).status_code == 302


def test_link_for_a_new_password_is_good_once(ada: User):
    link, browser = mailed_link(), Client()
    form = browser.get(link).headers["Location"]

    browser.post(form, {"password1": NEW, "password2": NEW})

    ada.refresh_from_db()
    assert ada.check_password(NEW)
    assert not opens(link)


def test_link_for_a_new_password_is_good_for_an_hour(ada: User, settings):
    link = mailed_link()
    assert settings.PASSWORD_RESET_TIMEOUT == 3600
    assert opens(link)

    settings.PASSWORD_RESET_TIMEOUT = -1

    assert not opens(link)
