"""Every error is a problem document, whoever raises it; and nothing inside it leaks."""

from __future__ import annotations

import base64
from typing import Any

import psycopg
import pytest
from django.db import DataError, InterfaceError, InternalError, OperationalError, connection
from django.http import HttpResponse
from django.test import Client, RequestFactory

from tests.factories import make_seated_event, make_user
from ticketing import error_views, middleware
from ticketing.api.errors import PROBLEMS, problem
from ticketing.database_away import is_database_away, note_database_away

pytestmark = pytest.mark.django_db

BOOKINGS = "/api/v1/bookings/"
JSON = "application/json"


def assert_problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert (response.status_code, body["status"], body["code"]) == (status, status, code)
    assert body["type"] == f"/problems/{code}/"
    assert body["title"]
    assert body["detail"]
    assert b"Traceback" not in response.content
    return body


def away(sqlstate: str = "", kind: type[Exception] = OperationalError) -> Exception:
    """A Django database error with PostgreSQL's code, as psycopg's errors are wrapped."""
    error = kind("the server said no")
    error.__cause__ = psycopg.errors.lookup(sqlstate)() if sqlstate else None
    return error


# --- Addresses, methods, forms ----------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/api/", "/api/v1/", "/api/v1/nowhere/", "/api/v2/events/", "/api/v1/bookings/7/"]
)
@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "options"])
def test_unknown_address_is_a_problem(client: Client, path: str, method: str):
    assert_problem(getattr(client, method)(path), 404, "not_found")


@pytest.mark.parametrize("method", ["get", "post"])
def test_missing_slash_is_redirected_with_its_method(client: Client, method: str):
    response = getattr(client, method)("/api/v1/bookings?page_size=5")

    assert (response.status_code, response.headers["Location"]) == (308, "/api/v1/bookings/?page_size=5")


def test_wrong_method_is_a_problem_that_lists_the_right_ones(client: Client):
    response = client.put(BOOKINGS)

    assert_problem(response, 405, "method_not_allowed")
    assert set(response.headers["Allow"].split(", ")) == {"GET", "POST", "HEAD", "OPTIONS"}


@pytest.mark.parametrize(
    ("accept", "status"),
    [("application/json", 200), ("*/*", 200), ("text/html,*/*;q=0.8", 200), ("text/html", 406)],
)
def test_only_json_is_served(client: Client, accept: str, status: int):
    response = client.get(f"/api/v1/events/{make_seated_event().slug}/", headers={"Accept": accept})

    assert response.status_code == status
    if status == 406:
        assert_problem(response, 406, "not_acceptable")


@pytest.mark.parametrize("form", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_only_json_is_read(client: Client, form: str):
    assert_problem(client.post(BOOKINGS, b"event=x", content_type=form), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"1",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b"[" * 995,
        b'{"a":' * 995,
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": "\\u0000"}',
        b'{"\\ud800": 1}',
        b'{"a": ' + b"[" * 30 + b"]" * 30 + b"}",
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": 1, "a": 2}',
    ],
)
def test_malformed_json_is_a_problem(client: Client, body: bytes):
    problem_body = assert_problem(client.post(BOOKINGS, body, content_type=JSON), 400, "malformed_json")

    assert [error["code"] for error in problem_body["errors"]] == ["malformed_json"]


@pytest.mark.parametrize("number", ["1e400", "-0.0", "9" * 400])
def test_strange_numbers_are_not_valid(client: Client, number: str):
    body = f'{{"event": "x", "tickets": [{number}]}}'

    assert client.post(BOOKINGS, body, content_type=JSON).status_code == 400


def test_body_that_is_too_large_is_a_problem(client: Client):
    body = b'{"a": "' + b"x" * 64 * 1024 + b'"}'

    assert_problem(client.post(BOOKINGS, body, content_type=JSON), 413, "body_too_large")


def test_body_that_is_too_large_is_a_problem_for_a_session_too(client: Client):
    client.force_login(make_user())
    body = b'{"a": "' + b"x" * 64 * 1024 + b'"}'

    assert_problem(client.post(BOOKINGS, body, content_type=JSON), 413, "body_too_large")


def test_host_that_is_not_ours_is_a_problem(client: Client):
    body = assert_problem(client.get(BOOKINGS, headers={"Host": "evil.example"}), 400, "invalid_parameter")

    assert [error["field"] for error in body["errors"]] == ["Host"]


def test_csrf_failure_is_a_problem():
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(make_user())

    assert_problem(browser.post(BOOKINGS, b"{}", content_type=JSON), 403, "permission_denied")


def test_csrf_failure_outside_the_api_views_is_a_problem(rf: RequestFactory):
    assert error_views.csrf_failure(rf.post(BOOKINGS), reason="No cookie.").headers["Content-Type"] == (
        "application/problem+json"
    )


def test_guest_whose_session_opens_bookings_needs_the_csrf_token():
    browser = Client(enforce_csrf_checks=True)
    session = browser.session
    session["booking_tokens"] = {"7d0b3c3e-0000-4000-8000-000000000000": "token"}
    session.save()
    browser.cookies["session"] = session.session_key

    assert_problem(browser.post(BOOKINGS, b"{}", content_type=JSON), 403, "permission_denied")


def test_wrong_key_is_a_problem(client: Client):
    response = client.get(BOOKINGS, headers={"Authorization": "Token wrong"})

    assert_problem(response, 401, "not_authenticated")
    assert response.headers["WWW-Authenticate"] == "Token"


def test_password_in_a_header_is_not_asked_for_and_not_taken(client: Client):
    """Passwords go through the one form where their tries are counted."""
    account = make_user(password="correct horse battery")
    basic = base64.b64encode(f"{account.email}:correct horse battery".encode()).decode()

    response = client.get(BOOKINGS, headers={"Authorization": f"Basic {basic}"})

    assert_problem(response, 401, "not_authenticated")
    assert response.headers["WWW-Authenticate"] == "Token"


def test_key_of_a_closed_account_is_a_problem(client: Client):
    from bookings.models import ApiKey, hash_secret

    account = make_user(is_active=False)
    ApiKey.objects.create(account=account, key_hash=hash_secret("key"))

    assert_problem(client.get(BOOKINGS, headers={"Authorization": "Token key"}), 401, "not_authenticated")


# --- Bugs, and a database that is away --------------------------------------------------


@pytest.fixture
def broken(client: Client, monkeypatch):
    """Let a read fail with an error of one's choice."""

    def ask(error: Exception) -> Any:
        def fail(*_facts: Any) -> None:
            raise error

        monkeypatch.setattr("events.pictures.take_snapshot", fail)
        client.raise_request_exception = False
        return client.get(f"/api/v1/events/{make_seated_event().slug}/")

    return ask


def test_bug_is_a_problem_that_tells_nothing(broken):
    response = broken(RuntimeError("secret detail"))

    assert_problem(response, 500, "internal_error")
    assert b"secret" not in response.content


@pytest.mark.parametrize(
    "error",
    [
        away("57P01"),
        away("57P03"),
        away("53300"),
        away("55P03"),
        away("57014"),
        away("40P01"),
        away("25006", InternalError),
        away("25P03", InternalError),
        away(kind=InterfaceError),
        away(),
    ],
)
def test_database_away_is_told_as_such(broken, error: Exception, monkeypatch):
    monkeypatch.setattr(connection, "close", lambda: None)
    response = broken(error)

    assert_problem(response, 503, "temporarily_unavailable")
    assert response.headers["Retry-After"] == "2"
    assert b"server said no" not in response.content


def test_database_error_of_our_own_making_is_not_the_database_being_away():
    assert not is_database_away(away("42601", InternalError))
    assert not is_database_away(RuntimeError())
    assert not is_database_away(None)


@pytest.mark.parametrize(
    ("sqlstate", "closed"),
    [("25006", 1), ("57P01", 1), ("57P02", 1), ("57P03", 1), ("57014", 0), ("40P01", 0)],
)
def test_connection_is_given_up_only_where_it_will_not_recover(monkeypatch, sqlstate: str, closed: int):
    calls: list[int] = []
    monkeypatch.setattr(connection, "close", lambda: calls.append(1))

    note_database_away(away(sqlstate))

    assert len(calls) == closed


def test_value_no_column_can_hold_is_not_valid(broken):
    assert_problem(broken(DataError("invalid byte sequence")), 400, "validation_error")


def test_database_away_outside_the_api_views_is_told_as_such(rf: RequestFactory):
    view = middleware.DatabaseAwayMiddleware(HttpResponse)

    response = view.process_exception(rf.get("/api/v1/events/"), away())

    assert response is not None
    assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
    assert view.process_exception(rf.get("/api/v1/events/"), RuntimeError()) is None


def test_database_away_in_a_middleware_is_told_as_such(client: Client, monkeypatch):
    def fail(*_facts: Any) -> None:
        raise away()

    monkeypatch.setattr(
        "django.contrib.sessions.middleware.SessionMiddleware.process_request", fail, raising=True
    )
    client.raise_request_exception = False

    assert_problem(client.get(BOOKINGS), 503, "temporarily_unavailable")


# --- The documents themselves -----------------------------------------------------------


@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_every_problem_has_a_page(client: Client, code: str):
    response = client.get(problem(code)["type"])

    assert response.status_code == 200
    assert str(PROBLEMS[code].advice) in response.content.decode().replace("&#x27;", "'")


def test_unknown_problem_has_no_page(client: Client):
    assert client.get("/problems/bad_luck/").status_code == 404


def test_answers_are_the_callers_own_and_asked_about_each_time(client: Client):
    response = client.get(f"/api/v1/events/{make_seated_event().slug}/")

    assert set(response.headers["Cache-Control"].split(", ")) == {"private", "no-cache"}
    assert {"Authorization", "Cookie", "X-Booking-Token"} <= set(response.headers["Vary"].split(", "))


def test_the_clock_alone_makes_no_answer_a_new_one(client: Client):
    url = f"/api/v1/events/{make_seated_event().slug}/"
    first, second = client.get(url), client.get(url)

    assert first.json()["availability"]["as_of"] != second.json()["availability"]["as_of"]
    assert first.headers["ETag"] == second.headers["ETag"]


def test_what_somebody_typed_is_never_taken_for_the_clock(client: Client):
    event = make_seated_event(summary='"as_of":"1"')
    url = f"/api/v1/events/{event.slug}/"
    before = client.get(url).headers["ETag"]
    type(event).objects.update(summary='"as_of":"2"')

    assert client.get(url).headers["ETag"] != before


def test_head_has_the_etag_of_get(client: Client):
    url = f"/api/v1/events/{make_seated_event().slug}/"

    assert client.head(url).headers["ETag"] == client.get(url).headers["ETag"]


def test_options_lists_the_methods(client: Client):
    response = client.options(BOOKINGS)

    assert response.json() == {"methods": ["GET", "POST", "HEAD", "OPTIONS"], "documentation": "/api/docs/"}
