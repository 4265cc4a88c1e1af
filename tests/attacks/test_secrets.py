"""A whole sale with known secrets, well and badly ended, and none of them in a log line or a row."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core import mail
from django.db import connection
from django.test import Client
from psycopg import sql

from bookings.gateways import get_gateway
from bookings.models import Booking, Payment, User
from bookings.notices import apply_notices
from bookings.outbox.sending import send_mails
from bookings.payments import settle_payment, start_payment
from bookings.refunds import finish_refunds
from bookings.services import Buyer, hold_tickets
from events.models import Event
from tests.factories import make_seated_event, ticket_ids
from tests.gateways.conftest import (  # noqa: F401
    gateway,
    strict_stripe,
    strict_stripe_process,
    stripe_settings,
)
from tests.gateways.houses import sign_as_stripe
from tests.gateways.strict_stripe.client import API_KEY, WEBHOOK_SECRET, StrictStripeProcess

pytestmark = pytest.mark.django_db

JSON = "application/json"
CARD, REFUSED_CARD = "4242424242424242", "4000000000000002"
PASSWORD, NEW_PASSWORD, WRONG_PASSWORD = "violet otter parade", "second otter parade", "guessed otter parade"


class Lines(logging.Handler):
    """What would stand in the log, traces included, as the site's own formatter writes it."""

    def __init__(self) -> None:
        super().__init__(level=logging.DEBUG)
        self.text: list[str] = []
        self.setFormatter(logging.getLogger().handlers[0].formatter)

    def emit(self, record: logging.LogRecord) -> None:
        self.text.append(self.format(record))


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Every line, also of the libraries that settle for warnings and of SQL."""
    handler, root = Lines(), logging.getLogger()
    loggers = [
        logger for logger in logging.Logger.manager.loggerDict.values() if isinstance(logger, logging.Logger)
    ]
    before = [(logger, logger.level, logger.propagate) for logger in [root, *loggers]]
    # As the settings have it, but for the level that an operator sets: LOG_LEVEL=DEBUG.
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.text
    root.removeHandler(handler)
    for logger, level, propagate in before:
        logger.setLevel(level)
        logger.propagate = propagate


@pytest.fixture
def event() -> Event:
    return make_seated_event(seats=10)


def post(client: Client, url: str, body: dict[str, Any] | None = None, **headers: str) -> Any:
    return client.post(url, body or {}, content_type=JSON, headers=headers)


def rows() -> str:
    """Every row of every table as text, and what the sessions have in them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [name for (name,) in cursor.fetchall()]
        found = []
        for table in tables:
            cursor.execute(sql.SQL("SELECT row_to_json(t)::text FROM {} t").format(sql.Identifier(table)))
            found += [f"{table}: {text}" for (text,) in cursor.fetchall()]
    return "\n".join(found)


def leaks(secrets: dict[str, str], *texts: str) -> list[str]:
    assert all(len(secret) > 8 for secret in secrets.values())
    return [name for name, secret in secrets.items() if any(secret in text for text in texts)]


def test_a_sale_leaves_no_secret_in_logs_or_rows(event: Event, lines: list[str], monkeypatch):
    secrets = {"card": CARD, "refused card": REFUSED_CARD, "password": PASSWORD}
    secrets |= {
        "new password": NEW_PASSWORD,
        "wrong password": WRONG_PASSWORD,
        "bad key": "hf_made-up-key-of-nobody",
    }
    browser = Client(raise_request_exception=False)

    # An account: signed up, confirmed, signed in wrongly and rightly, its password forgotten and changed.
    browser.post("/accounts/signup/", {"email": "ada@example.org", "password1": PASSWORD})
    secrets["confirmation"] = re.search(r"confirm-email/(\S+)/", mail.outbox[-1].body)[1]
    browser.post(f"/accounts/confirm-email/{secrets['confirmation']}/")
    browser.post("/accounts/login/", {"login": "ada@example.org", "password": WRONG_PASSWORD})
    browser.post("/accounts/login/", {"login": "ada@example.org", "password": PASSWORD})
    assert User.objects.get().last_login is not None
    browser.post("/accounts/logout/")
    browser.post("/accounts/password/reset/", {"email": "ada@example.org"})
    secrets["reset"] = re.search(r"reset/key/(\S+)/", mail.outbox[-1].body)[1]
    form = browser.get(f"/accounts/password/reset/key/{secrets['reset']}/", follow=True).request["PATH_INFO"]
    browser.post(form, {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD})
    assert User.objects.get().check_password(NEW_PASSWORD)
    session = browser.cookies["session"].value

    # A program of hers, one with a wrong key, and a guest: held, paid badly and well, given back.
    page = browser.post("/accounts/keys/", {"name": "Till"}, follow=True).content.decode()
    secrets["key"] = re.search(r"hf_[\w-]{20,}", page)[0]
    program = Client(raise_request_exception=False)
    post(program, "/api/v1/bookings/", Authorization=f"Token {secrets['bad key']}")
    wanted = {"event": event.slug, "tickets": ticket_ids(event)[:2]}
    own = post(program, "/api/v1/bookings/", wanted, Authorization=f"Token {secrets['key']}").json()
    guest = {"event": event.slug, "tickets": ticket_ids(event)[2:4], "email": "guest@example.org"}
    made = post(Client(), "/api/v1/bookings/", guest).json()
    secrets |= {"token of the account": own["access_token"], "token": made["access_token"]}
    url = f"/api/v1/bookings/{made['id']}/"
    token = {"X-Booking-Token": secrets["token"]}
    paying = post(Client(), f"{url}payments/", **token).json()
    Client().post(paying["redirect_url"], {"card_number": REFUSED_CARD})
    settle_payment(Payment.objects.get().pk)
    again = post(Client(), f"{url}payments/", **token).json()
    with monkeypatch.context() as broken:
        broken.delattr("bookings.sandbox.views._decide")
        answer = Client(raise_request_exception=False).post(again["redirect_url"], {"card_number": CARD})
        assert answer.status_code == 500
    Client().post(again["redirect_url"], {"card_number": CARD + "0"})
    Client().post(again["redirect_url"], {"card_number": CARD})
    settle_payment(Payment.objects.latest("created_at").pk)
    assert Booking.objects.get(pk=made["id"]).status == "booked"
    send_mails()
    secrets["link"] = re.search(r"token=(\S+)", mail.outbox[-1].body)[1]
    visitor = Client(raise_request_exception=False)
    visitor.get(f"/bookings/{made['id']}/?token={secrets['link']}")
    visitor.get(f"/bookings/{made['id']}/?token={secrets['token']}")
    visitor.get(f"/nowhere/?token={secrets['link']}")
    post(Client(), f"{url}refunds/", **token)
    finish_refunds()

    # And the site broken under them: the trace of the error says where, and not what was sent.
    monkeypatch.setattr("bookings.api.views.hold_tickets", None)
    monkeypatch.setattr("bookings.limits.is_too_often", None)
    monkeypatch.setattr("bookings.accounts.is_too_often", None)
    post(program, "/api/v1/bookings/", wanted, Authorization=f"Token {secrets['key']}")
    browser.post("/accounts/logout/")
    browser.post("/accounts/login/", {"login": "ada@example.org", "password": NEW_PASSWORD})

    log = "\n".join(lines)
    assert log.count("Traceback") >= 3
    assert leaks(secrets | {"session": session}, log) == []
    assert leaks(secrets, rows()) == []


def test_sessions_have_proofs_of_a_guests_own_bookings_alone(event: Event):
    """The one place where a booking's token is kept; the session's cookie is the key to it, and expires."""
    guest = Client()
    guest.post(f"/events/{event.slug}/hold/", {"tickets": ticket_ids(event)[:1]})

    kept = Session.objects.get().get_decoded()

    assert set(kept) <= {"booking_tokens", "open_hold", "found_bookings"}
    assert set(kept["booking_tokens"]) == {str(Booking.objects.get().pk)}


def test_payments_with_stripe_leave_no_secret_in_logs_or_rows(
    event: Event,
    lines: list[str],
    settings,
    stripe_settings: None,  # noqa: F811
    strict_stripe: StrictStripeProcess,  # noqa: F811
):
    """Paid, told of by good and bad notices, with a wrong key, and with nobody there."""
    secrets = {
        "key": API_KEY,
        "notice secret": WEBHOOK_SECRET,
        "card": CARD,
        "wrong key": "sk_test_of_somebody_else",
    }
    booking = hold_tickets(
        event=event, ticket_ids=ticket_ids(event)[:2], buyer=Buyer(email="ada@example.org")
    ).booking
    payment = start_payment(booking_id=booking.pk)
    strict_stripe.pay(payment.gateway_reference, CARD)
    body = "{}"
    for headers in [{}, sign_as_stripe(body), sign_as_stripe(body, secret="whsec_of_somebody_else")]:
        Client().post("/webhooks/payments/stripe/", body, content_type=JSON, headers=headers)
    apply_notices()
    settle_payment(payment.pk)
    booking.refresh_from_db()
    assert booking.status == "booked"

    second = hold_tickets(
        event=event, ticket_ids=ticket_ids(event)[4:5], buyer=Buyer(email="bob@example.org")
    ).booking
    for wrong in [{"STRIPE_SECRET_KEY": secrets["wrong key"]}, {"STRIPE_API_BASE": "http://127.0.0.1:9"}]:
        for name, value in wrong.items():
            setattr(settings, name, value)
        get_gateway("stripe").close()
        get_gateway.cache_clear()
        try:
            start_payment(booking_id=second.pk)
        except Exception:  # Whatever it is; it is the log that is looked at.
            logging.getLogger("holdfast.test").exception("Refused.")

    log = "\n".join(lines)
    assert "Refused." in log
    assert leaks(secrets, log, rows()) == []


def test_what_is_sent_writes_no_lines_of_its_own_into_the_log(lines: list[str], caplog):
    """A forged line would hide a real one, or a path make the log's reader run it."""
    # Of 404 there is a line only where an operator asks for it.
    caplog.set_level("WARNING", "django.request")
    Client().get("/nowhere/%0A2026-01-01 ERROR forged:%1b[31m%0D%0A")

    assert any("/nowhere/" in line for line in lines)
    assert [line for line in lines if re.search(r"[\r\n\x1b]", line.partition("Traceback")[0].rstrip())] == []


def test_wrong_hosts_write_no_lines_at_all(capsys):
    """Anybody can send them, as many as they like, and each would bring its trace."""
    answer = Client().get("/", headers={"Host": "evil.example"})

    assert answer.status_code == 400
    assert capsys.readouterr().err == ""
