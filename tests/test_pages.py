"""Rules that hold on every page: it opens for its audience, has one heading, and no inline code."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.template.loader import render_to_string
from django.test import Client

from bookings.services import Buyer, hold_tickets
from tests.bookings.mail_server import mail_server
from tests.factories import make_seated_event, make_user, ticket_ids

pytestmark = pytest.mark.django_db

PUBLIC = [
    "/",
    "/search/",
    "/search/?q=nothing-has-this-word",
    "/bookings/find/",
    "/accounts/login/",
    "/accounts/signup/",
    "/accounts/password/reset/",
    "/accounts/password/reset/done/",
    "/accounts/confirm-email/",
    "/problems/hold_expired/",
    "/api/docs/",
]
SIGNED_IN = [
    "/bookings/",
    "/accounts/keys/",
    "/accounts/email/",
    "/accounts/password/change/",
    "/accounts/logout/",
]


class Page(HTMLParser):
    """Counts what the rules are about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headings = 0
        self.inline: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        self.headings += tag == "h1"
        self.ids += [facts["id"] or ""] if "id" in facts else []
        if tag == "style" or (tag == "script" and not facts.get("src")):
            self.inline.append(tag)
        self.inline += [name for name in facts if name == "style" or name.startswith(("on", "hx-on"))]


def assert_page_is_sound(text: str) -> None:
    page = Page(text)
    assert page.headings == 1
    assert page.inline == []
    assert len(page.ids) == len(set(page.ids)), page.ids
    assert re.search(r"<title>\s*\S", text)


@pytest.mark.parametrize("path", PUBLIC)
def test_public_page_is_sound(client: Client, path):
    make_seated_event()
    response = client.get(path)
    assert response.status_code == 200
    assert_page_is_sound(response.content.decode())


@pytest.mark.parametrize("path", SIGNED_IN)
def test_page_of_an_account_is_sound_and_asks_who_you_are(client: Client, path):
    stranger = client.get(path)
    user = make_user()
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    client.force_login(user)
    response = client.get(path)
    assert (stranger.status_code, response.status_code) == (302, 200)
    assert_page_is_sound(response.content.decode())


@pytest.mark.django_db(transaction=True)
def test_pages_of_a_booking_are_sound(client: Client):
    event = make_seated_event()
    assert_page_is_sound(client.get(event.get_absolute_url()).content.decode())
    lost = hold_tickets(event=event, ticket_ids=ticket_ids(event)[:1], buyer=Buyer())
    refused = client.post(f"/events/{event.slug}/hold/", {"tickets": ticket_ids(event)[:2]})
    assert_page_is_sound(refused.content.decode())
    user = make_user()
    client.force_login(user)
    booking = hold_tickets(event=event, ticket_ids=ticket_ids(event)[2:4], buyer=Buyer(account=user)).booking
    assert_page_is_sound(client.get(booking.get_absolute_url()).content.decode())
    payment_page = client.post(f"/bookings/{booking.pk}/pay/", {"name": "Ada", "email": user.email})[
        "Location"
    ]
    assert_page_is_sound(client.get(payment_page).content.decode())
    back = client.post(payment_page, {"card_number": "4242424242424242"})["Location"]
    assert_page_is_sound(client.get(back, follow=True).content.decode())
    missing = client.get(lost.booking.get_absolute_url())
    assert missing.status_code == 404
    assert_page_is_sound(missing.content.decode())


@pytest.mark.parametrize("name", ["500.html", "503.html"])
def test_error_page_stands_alone(name, django_assert_num_queries):
    with django_assert_num_queries(0):
        text = render_to_string(name)
    assert_page_is_sound(text)


@pytest.mark.django_db(transaction=True)
def test_missing_booking_says_how_to_find_it_in_whole_sentences(client: Client):
    page = client.get("/bookings/00000000-0000-4000-8000-000000000000/").content.decode()
    assert (
        "If you are looking for your booking: it is only shown to whoever made it. "
        '<a href="/accounts/login/?next=/bookings/00000000-0000-4000-8000-000000000000/">Sign in</a> '
        'or <a href="/bookings/find/">find it by its reference</a>.'
    ) in page


def test_sign_in_page_leads_to_a_new_account(client: Client):
    page = client.get("/accounts/login/").content.decode()
    assert 'New here? <a href="/accounts/signup/">Create an account</a>.' in page


@pytest.mark.parametrize("name", ["400.html", "403.html", "403_csrf.html", "429.html"])
def test_error_page_is_sound(rf, name):
    request = rf.get("/")
    assert_page_is_sound(render_to_string(name, request=request))


def test_policy_allows_no_inline_code(client: Client):
    policy = client.get("/")["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


def test_robots_are_kept_out_of_bookings(client: Client):
    response = client.get("/robots.txt")
    assert response["Content-Type"].startswith("text/plain")
    assert "Disallow: /bookings/" in response.content.decode()


@pytest.mark.parametrize("is_hanging", [False, True])
def test_mail_server_that_fails_costs_seconds_and_no_account(client: Client, settings, is_hanging):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    form = {"email": "ada@example.org", "password1": "correct horse battery"}
    with mail_server() as server:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        server.is_hanging, server.senders = is_hanging, "451 not now"
        began = time.monotonic()
        page = client.post("/accounts/signup/", form, follow=True)

    assert time.monotonic() - began < 9
    assert page.status_code == 200
    assert "The mail could not be sent just now." in page.content.decode()
    assert EmailAddress.objects.filter(email="ada@example.org", verified=False).exists()


@pytest.mark.django_db(transaction=True)
def test_account_is_made_confirmed_and_signed_in(client: Client):
    form = {"email": "ada@example.org", "password1": "correct horse battery"}
    assert client.post("/accounts/signup/", form)["Location"] == "/accounts/confirm-email/"
    (letter,) = mail.outbox
    assert letter.body.startswith("Hello,\n\nSomebody, most likely you, has given this address")
    link = re.search(r"https?://[^/\s]+(/accounts/confirm-email/\S+)", letter.body)[1]
    assert client.get(link).status_code == 200
    client.post(link)
    signed_in = Client()
    answer = signed_in.post(
        "/accounts/login/", {"login": "ada@example.org", "password": "correct horse battery"}
    )
    assert answer["Location"] == "/bookings/"
