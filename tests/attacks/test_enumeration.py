"""Whether an account or a booking is there: not told by any answer, nor by the work it costs."""

from __future__ import annotations

import re
import uuid
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from django.core import mail
from django.test import Client

from bookings.models import User, make_reference
from tests.attacks.conftest import EXAMPLES
from tests.attacks.routes import all_routes
from tests.attacks.test_guessing import count_comparisons, make_confirmed
from tests.attacks.world import World

pytestmark = pytest.mark.django_db

KNOWN, UNKNOWN = "ada@example.org", "nobody@example.org"
PASSWORD = "a long enough password"
# Names that programs give to the page to go to afterwards.
NEXT = [
    "next",
    "redirect",
    "redirect_to",
    "return_url",
    "return_to",
    "url",
    "continue",
    "goto",
    "back",
    "dest",
]
ELSEWHERE = [
    "https://evil.example/",
    "//evil.example/",
    "///evil.example/",
    "/\\evil.example/",
    "\\\\evil.example/",
    "https:evil.example",
    "http:///evil.example",
    "javascript:hacked()",
    "data:text/html,hacked",
    "\thttps://evil.example/",
    "https://testserver@evil.example/",
    "https://testserver.evil.example/",
    "/\t/evil.example/",
    "%2f%2fevil.example/",
    "/%0d%0aLocation:https://evil.example/",
]


@pytest.fixture
def ada() -> User:
    return make_confirmed(KNOWN)


def said(answer: Any, address: str) -> tuple[int, str, str]:
    """Status, where it leads and the page's words, without what is every page's own."""
    text = answer.content.decode().replace(address, "ADDRESS")
    text = re.sub(r'(csrfmiddlewaretoken" value|data-token)="[^"]*"', "", text)
    return answer.status_code, answer.headers.get("Location", ""), text


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("/accounts/signup/", {"password1": PASSWORD}),
        ("/accounts/password/reset/", {}),
        ("/accounts/login/", {"password": PASSWORD, "login": ""}),
    ],
)
def test_answers_do_not_tell_whether_there_is_an_account(
    ada: User, monkeypatch, url: str, more: dict[str, str]
):
    told, hashed, pages = [], [], []
    for address in (KNOWN, UNKNOWN):
        browser = Client()
        with monkeypatch.context() as patch:
            counted = count_comparisons(patch)
            form = {"email": address, **more}
            if "login" in form:
                form["login"] = address
            answer = browser.post(url, form)
        told.append(said(answer, address))
        hashed.append(len(counted))
        if told[-1][1]:
            pages.append(said(browser.get(told[-1][1]), address))

    assert told[0] == told[1]
    assert pages[:1] == pages[1:]
    # Hashing a password is by far the longest of it.
    assert hashed[0] == hashed[1]


def test_whoever_has_the_address_is_told_by_mail_in_both_cases(ada: User):
    """The mail says what the page does not, to the one whom it concerns."""
    for address in (KNOWN, UNKNOWN):
        Client().post("/accounts/signup/", {"email": address, "password1": PASSWORD})
        Client().post("/accounts/password/reset/", {"email": address})

    assert sorted(sent.to[0] for sent in mail.outbox) == [KNOWN] * 2 + [UNKNOWN] * 2
    assert User.objects.filter(email=KNOWN).count() == 1


def test_an_account_that_may_not_sign_in_answers_as_one_that_is_not_there(ada: User):
    User.objects.filter(pk=ada.pk).update(is_active=False)

    told = [
        said(Client().post("/accounts/login/", {"login": address, "password": "wrong"}), address)
        for address in (KNOWN, UNKNOWN)
    ]

    assert told[0] == told[1]


def test_find_my_booking_tells_nothing_of_either_half(world: World):
    real, email = world.booked.reference, world.booked.email
    tries = [(real, UNKNOWN), (make_reference(), email), (make_reference(), UNKNOWN)]

    told = []
    for reference, address in tries:
        answer = Client().post("/bookings/find/", {"reference": reference, "email": address})
        status, where, text = said(answer, address)
        told.append((status, where, text.replace(reference, "REFERENCE")))

    assert told[0] == told[1] == told[2]
    assert told[0][0] == 404


@pytest.mark.parametrize("path", ["/api/v1/bookings/{}/", "/bookings/{}/", "/api/v1/bookings/{}/payments/"])
def test_a_booking_of_another_and_none_are_the_same(world: World, path: str):
    mallory = Client()
    mallory.force_login(world.mallory)
    ids = [str(world.booked.pk), str(uuid.uuid4())]

    told = [said(mallory.get(path.format(booking)), booking) for booking in ids]

    assert told[0][0] == 404
    assert told[0] == told[1]


def test_a_draft_and_no_event_are_the_same(world: World):
    for path in ("/events/{}/", "/api/v1/events/{}/", "/api/v1/events/{}/tickets/"):
        told = [said(Client().get(path.format(slug)), slug) for slug in (world.draft.slug, "no-such-event")]

        assert told[0][0] == 404
        assert told[0] == told[1]


# --- Links of ours that lead elsewhere --------------------------------------------------


def leads_elsewhere(answer: Any) -> bool:
    """Whether a browser, which takes a backslash for a slash and leaves out tabs, would leave this site."""
    where = re.sub(r"[\t\r\n]", "", answer.headers.get("Location", "")).replace("\\", "/").strip()
    led = urlsplit(urljoin("http://testserver/accounts/", where))
    return led.hostname != "testserver" or led.scheme not in {"http", "https"}


@pytest.mark.parametrize("elsewhere", ELSEWHERE if EXAMPLES > 5 else ELSEWHERE[:2])
def test_no_page_leads_to_another_site_because_of_its_address(world: World, elsewhere: str):
    parameters = dict.fromkeys(NEXT, elsewhere)
    alice = Client(raise_request_exception=False)
    alice.force_login(world.alice)
    pages = [route for route in all_routes() if not route.pattern.startswith(("api/", "webhooks/"))]

    led = [
        route.pattern
        for client in (alice, Client(raise_request_exception=False))
        for route in pages
        if leads_elsewhere(client.get(route.address(world), parameters))
    ]

    assert led == []


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_signing_in_and_out_leads_nowhere_else(ada: User, elsewhere: str):
    form = {"login": KNOWN, "password": "correct horse battery", "next": elsewhere}
    browser = Client()
    signed_in = browser.post("/accounts/login/", form)
    known = browser.get("/accounts/login/", {"next": elsewhere})
    signed_out = browser.post("/accounts/logout/", {"next": elsewhere})
    signed_up = Client().post(
        f"/accounts/signup/?next={elsewhere}",
        {"email": f"{uuid.uuid4()}@example.org", "password1": PASSWORD, "next": elsewhere},
    )

    assert signed_in.status_code == 302
    assert [
        a.headers["Location"] for a in (signed_in, known, signed_out, signed_up) if leads_elsewhere(a)
    ] == []


def test_a_page_of_ours_is_where_signing_in_leads(ada: User):
    """Otherwise nothing above would show anything."""
    form = {"login": KNOWN, "password": "correct horse battery", "next": "/bookings/find/"}

    assert Client().post("/accounts/login/", form).headers["Location"] == "/bookings/find/"


# --- The Host header --------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "testserver@evil.example"},
        {"Host": "testserver:80@evil.example"},
        {"Host": "testserver.evil.example"},
        {"Host": "evil.example#testserver"},
        {"Host": ""},
        {"Host": "test server"},
    ],
)
def test_another_host_is_refused(headers: dict[str, str]):
    assert Client(raise_request_exception=False).get("/", headers=headers).status_code == 400


@pytest.mark.parametrize(
    "header", ["X-Forwarded-Host", "X-Host", "X-Forwarded-Server", "Forwarded", "X-Original-URL"]
)
def test_mails_and_links_name_this_site_whatever_a_header_says(ada: User, settings, header: str):
    settings.SITE_URL = "https://tickets.example.org"
    lie = {header: "host=evil.example" if header == "Forwarded" else "evil.example"}

    page = Client().get("/", headers=lie)
    Client().post("/accounts/password/reset/", {"email": KNOWN}, headers=lie)

    assert b"evil.example" not in page.content
    assert "evil.example" not in mail.outbox[-1].body
