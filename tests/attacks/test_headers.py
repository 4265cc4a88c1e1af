"""Security headers of the strictest grade on every answer, whatever it is and however it ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings as configured
from django.test import Client

from tests.attacks.routes import all_routes
from tests.attacks.world import World
from tests.factories import make_user

pytestmark = pytest.mark.django_db

EXPECTED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
TLS = "max-age=31536000; includeSubDomains; preload"


@pytest.fixture
def production(settings) -> None:
    """As behind TLS."""
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = settings.SECURE_HSTS_PRELOAD = True
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True


def faults_of(answer: Any) -> list[str]:
    """What is missing or weak in an answer's headers."""
    headers = answer.headers
    faults = [
        f"{name}: {headers.get(name)}" for name, value in EXPECTED.items() if headers.get(name) != value
    ]
    policy = headers.get("Content-Security-Policy", "")
    needed = ("default-src", "frame-ancestors 'none'", "base-uri 'none'", "form-action")
    faults += [f"CSP without {words}" for words in needed if words not in policy]
    rights = headers.get("Permissions-Policy", "")
    if "geolocation=()" not in rights or "microphone=()" not in rights:
        faults.append(f"Permissions-Policy: {rights}")
    if "Access-Control-Allow-Origin" in headers:
        faults.append("another site may read it")
    if headers.get("Server") or headers.get("X-Powered-By"):
        faults.append("it says what it runs on")
    return faults


@pytest.mark.parametrize("who", ["nobody", "superuser"])
def test_every_answer_has_every_header(world: World, production: None, who: str):
    client = Client(raise_request_exception=False)
    if who == "superuser":
        client.force_login(make_user(is_staff=True, is_superuser=True))
    wrong = []

    for route, address in [(route, route.address(world)) for route in all_routes()]:
        for method in ("GET", "POST"):
            answer = client.generic(method, address, secure=True)
            faults = faults_of(answer)
            if answer.headers.get("Strict-Transport-Security") != TLS:
                faults.append("HSTS")
            wrong += [(method, route.pattern, fault) for fault in faults]

    assert wrong == []


@pytest.mark.parametrize(
    "address", ["/nowhere/", "/static/css/base.css", "/static/nowhere.css", "/robots.txt", "//evil.example/"]
)
def test_files_and_errors_have_them_too(client: Client, address: str):
    answer = client.get(address)
    answer.close()

    assert faults_of(answer) == []


def test_request_for_another_host_has_them_too(client: Client):
    answer = client.get("/", headers={"Host": "evil.example"})

    assert answer.status_code == 400
    assert faults_of(answer) == []


def test_errors_of_ours_have_them_too(client: Client, monkeypatch):
    client.raise_request_exception = False
    monkeypatch.delattr("events.views.render")

    answer = client.get("/")

    assert answer.status_code == 500
    assert faults_of(answer) == []


def test_plain_http_is_led_to_tls(client: Client, production: None):
    answer = client.get("/bookings/find/?a=1")

    assert (answer.status_code, answer.headers["Location"]) == (301, "https://testserver/bookings/find/?a=1")
    assert faults_of(answer) == []


def test_nobody_says_of_themselves_that_they_came_over_tls(client: Client, production: None):
    """Only a proxy that was named as one is believed; see BEHIND_TLS_PROXY."""
    lies = {"X-Forwarded-Proto": "https", "X-Forwarded-Ssl": "on", "Front-End-Https": "on"}

    assert client.get("/", headers=lies).status_code == 301


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("/", ""),
        ("/api/v1/events/", ""),
        ("/api/docs/", "style-src 'self' 'unsafe-inline'"),
        ("/admin/nowhere/", "script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'"),
    ],
)
def test_only_the_libraries_of_the_office_and_the_documentation_may_more(
    client: Client, address: str, may: str
):
    policy = client.get(address).headers["Content-Security-Policy"]
    directives = [part.strip() for part in policy.split(";")]

    assert sorted(part for part in directives if "unsafe" in part) == sorted(filter(None, may.split("; ")))
    assert not re.search(r"https?:|\*", policy)


def test_programs_answers_may_do_nothing_when_opened(client: Client):
    policy = client.get("/api/v1/events/").headers["Content-Security-Policy"]

    assert set(policy.split("; ")) == {
        "default-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    }


def test_camera_is_the_doors_alone(client: Client):
    assert "camera=(self)" in client.get("/door/worker.js").headers["Permissions-Policy"]
    assert "camera=()" in client.get("/").headers["Permissions-Policy"]


def test_cookies_are_for_this_host_over_tls_and_not_for_scripts():
    """Read from the settings of production: the tests' own have no TLS."""
    names = ["SESSION", "CSRF"]
    facts = [
        "COOKIE_NAME",
        "COOKIE_SECURE",
        "COOKIE_HTTPONLY",
        "COOKIE_SAMESITE",
        "COOKIE_PATH",
        "COOKIE_DOMAIN",
    ]
    program = "import ticketing.settings as s; from django.conf import global_settings as g; "
    program += (
        f"print([[getattr(s, n + '_' + f, getattr(g, n + '_' + f)) for f in {facts}] for n in {names}])"
    )

    told = run_in_production("-c", program).stdout

    assert told.strip() == str(
        [
            ["__Host-session", True, True, "Lax", "/", None],
            ["__Host-csrftoken", True, True, "Lax", "/", None],
        ]
    )


def test_site_sets_no_other_cookies(client: Client, world: World):
    client.force_login(world.alice)
    client.get("/accounts/keys/")
    client.post("/accounts/keys/", {"name": "Till"})
    client.post("/accounts/logout/")
    client.get("/")

    assert set(client.cookies) <= {"session", "csrftoken"}


def test_check_deploy_is_silent_about_production_but_for_the_tests_own_engines():
    done = run_in_production("manage.py", "check", "--deploy", "--fail-level", "WARNING")

    # The tests' database trades safety against a power cut for speed, and nothing else is wrong.
    assert set(re.findall(r"\((\w+\.[EWC]\d+)\)", done.stderr)) == {"holdfast.E004"}


def run_in_production(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with the environment of a server that is set up as deploy/README.md says."""
    servers = ("DATABASE_URL", "REDIS_URL", "REDIS_LOCKS_URL", "CELERY_BROKER_URL", "PATH")
    environment = {name: os.environ[name] for name in servers if name in os.environ}
    environment |= {
        "DJANGO_SETTINGS_MODULE": "ticketing.settings",
        "SECRET_KEY": "k3y-" * 4 + "with more than fifty characters, none of them a secret",
        "SITE_URL": "https://tickets.example.org",
        "BEHIND_TLS_PROXY": "1",
        "TRUSTED_PROXIES": "1",
        "TICKET_SIGNING_KEY": "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=",
        "STRIPE_SECRET_KEY": "rk_live_of_nobody",
        "STRIPE_WEBHOOK_SECRET": "whsec_of_nobody",
        "EMAIL_URL": "smtp://localhost:25",
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=configured.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
