"""Every form of every page, found on the page itself, with values that no browser would send."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote_from_bytes, urljoin, urlsplit

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.db.models import FileField
from django.test import Client
from hypothesis import HealthCheck, given, settings, strategies
from psycopg import sql

from bookings import services
from events.raw_clients import raw_client
from tests.attacks.conftest import EXAMPLES
from tests.attacks.routes import all_routes
from tests.attacks.test_authorisation import is_of_programs
from tests.attacks.world import World
from tests.factories import make_user

pytestmark = pytest.mark.django_db

FORM = "application/x-www-form-urlencoded"
HOSTILE: list[bytes] = [
    b"",
    b" ",
    b"\0",
    b"a\0b",
    b"\xff\xfe",
    b"\xed\xa0\x80",  # Half of a character.
    "\u202eevil\u202c\u200f".encode(),
    "\ufeff\u2028\u2029".encode(),
    "👩‍👩‍👧‍👦".encode() * 50,
    b"x" * 5_000,
    b"x" * 70_000,
    b"9" * 5_000,
    b"-1",
    b"0",
    b"1e999",
    b"NaN",
    b"Infinity",
    b"99999999999999999999",
    b"9223372036854775808",
    "١٢".encode(),
    b"0x10",
    b"1,5",
    b"true",
    b"null",
    b"[]",
    b"{}",
    b"[" * 2_000,
    b"0000-00-00",
    b"9999-12-31",
    b"0001-01-01 00:00",
    b"24:61",
    b"' OR 1=1 --",
    b"%s%n{}{0.__class__}",
    b"../../../etc/passwd",
    b"\r\nBcc: eve@example.org",
    b"\"'><svg onload=hacked()>",
    b"__all__",
    b"a@b",
    b'"a b"@example.org',
    b"6b1c8f3e-0000-0000-0000-000000000000",
]
VALUES = strategies.sampled_from(HOSTILE) | strategies.text(max_size=40).map(
    lambda text: text.encode("utf-8", "surrogatepass")
)


@dataclass
class Form:
    """A form as a browser would send it: where to, and each field with its value."""

    page: str
    action: str = ""
    method: str = "get"
    values: list[tuple[str, str]] = field(default_factory=list)

    @property
    def names(self) -> set[str]:
        return {name for name, _value in self.values}


class Forms(HTMLParser):
    """Reads the forms of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.page = page
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        facts = {name: value or "" for name, value in attributes}
        if tag == "form":
            action = urlsplit(urljoin(self.page, facts.get("action", "")))
            method = facts.get("method", "get").lower()
            self.found.append(Form(self.page, action.path or self.page, method))
        is_sent = tag in {"input", "select", "textarea", "button"} and facts.get("name") and self.found
        if is_sent and (facts.get("type") not in {"checkbox", "radio"} or "checked" in facts):
            self.found[-1].values.append((facts["name"], facts.get("value", "")))


def forms_for(client: Client, world: World) -> list[Form]:
    """Every form that posts, of every page that this reader is shown."""
    addresses = [route.address(world) for route in all_routes()]
    addresses += [booking.get_absolute_url() for booking in world.own_bookings]
    found: dict[tuple[str, frozenset[str]], Form] = {}
    for address in addresses:
        if is_of_programs(address) or "logout" in address:
            continue
        answer = client.get(address)
        if answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html"):
            reader = Forms(answer.request["PATH_INFO"])
            reader.feed(answer.content.decode())
            posting = [form for form in reader.found if form.method == "post" and "logout" not in form.action]
            found |= {(form.action, frozenset(form.names)): form for form in posting}
    return list(found.values())


def people(world: World) -> dict[str, Client]:
    found = {"nobody": Client(raise_request_exception=False)}
    accounts = {
        "alice": world.alice,
        "door": world.stan,
        "office": make_user(is_staff=True, is_superuser=True),
    }
    for name, account in accounts.items():
        found[name] = Client(raise_request_exception=False)
        found[name].force_login(account)
    return found


def encode(values: list[tuple[str, bytes]]) -> bytes:
    return b"&".join(
        f"{quote_from_bytes(name.encode())}={quote_from_bytes(value)}".encode() for name, value in values
    )


def post(client: Client, form: Form, values: list[tuple[str, bytes]]) -> Any:
    return client.generic("POST", form.action, encode(values), content_type=FORM)


@contextmanager
def undone(client: Client) -> Iterator[None]:
    """As if it had not been: in the database, the caches, this process and the browser."""
    session = client.cookies.get("session")
    cookie = session.value if session else ""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sequencename, coalesce(last_value, start_value), last_value IS NOT NULL FROM pg_sequences"
        )
        numbers = cursor.fetchall()
    with transaction.atomic():
        yield
        with connection.cursor() as cursor:
            # What the end of the transaction would refuse, it refuses now.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        transaction.set_rollback(True)
    with connection.cursor() as cursor:
        # These no rollback gives back.
        cursor.executemany("SELECT setval(%s::regclass, %s, %s)", numbers)
    client.cookies.clear()
    if cookie:
        client.cookies["session"] = cookie
    for alias in ("default", "locks"):
        raw_client(alias).flushdb()
    services._sold_lately.clear()


# Drawn by chance, as every UUID is, or with what is in them.
CHANCE = {
    "id",
    "code",
    "reference",
    "access_token_hash",
    "key_hash",
    "hint",
    "password",
    "key",
    "fingerprint",
    "facts",
    "gateway_reference",
    "idempotency_key",
    "redirect_url",
}
SESSIONS = {"django_session"}


def rows(foreign: Iterable[str] = ()) -> dict[str, list[str]]:
    """Every row of every table. What is another each time stands as a word, unless it is `foreign`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, "
            "array_agg(ARRAY[column_name::text, data_type::text] ORDER BY ordinal_position) "
            "FROM information_schema.columns "
            "WHERE table_schema = 'public' AND data_type <> 'tsvector' GROUP BY 1"
        )
        found = {}
        for table, columns in cursor.fetchall():
            if table in SESSIONS:
                continue
            values = sql.SQL(", ").join(_as_it_is_each_time(name, kind) for name, kind in columns)
            query = sql.SQL("SELECT row({})::text FROM {} ORDER BY 1").format(values, sql.Identifier(table))
            cursor.execute(query, {"foreign": list(foreign)})
            found[table] = [text for (text,) in cursor.fetchall()]
    return found


def _as_it_is_each_time(name: str, kind: str) -> sql.Composable:
    if kind == "timestamp with time zone":
        by_itself = sql.SQL("{0} BETWEEN now() - interval '12 hours' AND now() + interval '12 hours'")
    elif kind == "uuid" or (name in CHANCE and kind != "bigint"):
        by_itself = sql.SQL("{0}::text <> ALL (%(foreign)s::text[])")
    else:
        return sql.Identifier(name)
    template = sql.SQL("CASE WHEN {1} THEN 'its own' ELSE {0}::text END")
    return template.format(sql.Identifier(name), by_itself.format(sql.Identifier(name)))


def test_no_form_breaks_or_does_half_of_what_it_says(world: World):
    clients = people(world)
    forms = [(name, form) for name, client in clients.items() for form in forms_for(client, world)]
    before = rows()

    @settings(
        max_examples=10 * EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategies.data())
    def attack(data: strategies.DataObject) -> None:
        who, form = data.draw(strategies.sampled_from(forms))
        values = [(name, value.encode()) for name, value in form.values]
        for _ in range(data.draw(strategies.integers(1, 3))):
            name = data.draw(strategies.sampled_from([*sorted(form.names), "made_up"]))
            kept = [pair for pair in values if pair[0] != name]
            # None, one or several of the same name.
            values = kept + [(name, value) for value in data.draw(strategies.lists(VALUES, max_size=3))]
        with undone(clients[who]):
            answer = post(clients[who], form, values)
            assert answer.status_code < 500, (who, form.action, values)
            if answer.status_code >= 400:
                assert rows() == before, (who, form.action, values)

    attack()


def test_no_form_is_taken_without_its_token(world: World):
    """Posted as another site would have a browser do it."""
    clients = people(world)
    found = {who: forms_for(client, world) for who, client in clients.items()}
    before, taken = rows(), []

    for who, forms in found.items():
        strict = Client(enforce_csrf_checks=True, raise_request_exception=False)
        strict.cookies = clients[who].cookies
        for form in forms:
            if form.action.startswith("/sandbox/"):
                continue  # Another company's page, as far as we are concerned.
            values = [(name, value.encode()) for name, value in form.values if name != "csrfmiddlewaretoken"]
            if post(strict, form, values).status_code != 403:
                taken.append((who, form.action))

    assert taken == []
    assert rows() == before
    actions = {who: {form.action for form in forms} for who, forms in found.items()}
    assert {"/accounts/login/", "/accounts/signup/", "/bookings/find/"} <= actions["nobody"]
    assert f"/events/{world.event.slug}/hold/" in actions["nobody"]
    assert f"/bookings/{world.held.pk}/pay/" in actions["alice"]
    assert f"/door/{world.event.slug}/" in actions["door"]
    assert len([action for action in actions["office"] if action.startswith("/admin/")]) > 15


@pytest.mark.parametrize("address", ["/accounts/login/", "/accounts/signup/", "/bookings/find/"])
@pytest.mark.parametrize("body", [b"a=1&" * 1_001, b"a=" + b"x" * 64 * 1024])
def test_no_form_is_larger_than_ours_are(address: str, body: bytes):
    answer = Client(raise_request_exception=False).generic("POST", address, body, content_type=FORM)

    assert answer.status_code in {400, 413}


def test_no_file_that_somebody_sends_is_kept():
    columns = [column for model in apps.get_models() for column in model._meta.get_fields()]

    assert [column for column in columns if isinstance(column, FileField)] == []
