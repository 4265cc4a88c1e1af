"""What a deploy can get wrong, said by `manage.py check` before a buyer finds out.

The ones that have to ask a server run with `--deploy` alone: a plain `check` needs no server.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from celery import current_app
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.db import DatabaseError, connection
from django.db.models.functions import Now
from django.utils.module_loading import import_string
from django_redis import get_redis_connection
from kombu.exceptions import OperationalError as BrokerError
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from bookings.outbox.models import Mail
from events.models import Event, PriceTier

MINIMUM_POSTGRESQL = 15
# Long enough for 256 bits in any alphabet that people use.
MINIMUM_KEY_LENGTH = 50
MINIMUM_KEY_CHARACTERS = 5
# A mail that is put off is not due; one that is due and lies so long has no worker.
PATIENCE_FOR_MAILS = timedelta(minutes=10)
STRIPE_KEYS = ("rk_live_", "sk_live_", "rk_test_", "sk_test_")
STRIPE_API_BASE = "https://api.stripe.com"

AppConfigs = Sequence[AppConfig] | None


@register(Tags.caches, deploy=True)
def check_lock_cache(app_configs: AppConfigs, **kwargs: Any) -> list[CheckMessage]:
    """The lock cache must know `HSETEX`, and must never throw a lock away to make room."""
    try:
        client = get_redis_connection("locks")
        return [*_check_hsetex(client), *_check_eviction(client)]
    except (RedisError, OSError) as error:
        return [
            CheckWarning(
                f"The lock cache does not answer: {error}",
                hint="Holds work without it, through the database alone. See REDIS_URL and REDIS_LOCKS_URL.",
                id="holdfast.W001",
            )
        ]


def _check_hsetex(client: Redis) -> list[CheckMessage]:
    try:
        # Without a key it changes nothing: a server that knows it misses the key.
        client.execute_command("HSETEX")  # type: ignore[no-untyped-call]
    except ResponseError as error:
        if "unknown command" not in str(error).lower():
            return []
    return [
        Error(
            f"The lock cache (version {client.info('server')['redis_version']}) does not know HSETEX.",
            hint="Use Valkey 9 or newer, or Redis 8 or newer.",
            id="holdfast.E001",
        )
    ]


def _check_eviction(client: Redis) -> list[CheckMessage]:
    try:
        policy = client.config_get("maxmemory-policy").get("maxmemory-policy", "noeviction")
    except ResponseError:
        # Hosted caches often do not let anyone read their configuration.
        return [
            CheckWarning(
                "The lock cache does not tell its maxmemory-policy.",
                hint="Make sure that it is noeviction.",
                id="holdfast.W002",
            )
        ]
    if policy == "noeviction":
        return []
    return [
        Error(
            f"The lock cache may evict locks: its maxmemory-policy is {policy}.",
            hint="Set maxmemory-policy to noeviction, or give REDIS_LOCKS_URL a server of its own.",
            id="holdfast.E002",
        )
    ]


@register(Tags.database, deploy=True)
def check_postgresql(
    app_configs: AppConfigs, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """PostgreSQL must be new enough."""
    try:
        version = connection.pg_version // 10_000  # type: ignore[attr-defined]
    except DatabaseError as error:
        return [
            CheckWarning(
                f"The database does not answer: {_first_line(error)}",
                hint="Nothing works without it. See DATABASE_URL.",
                id="holdfast.W004",
            )
        ]
    if version >= MINIMUM_POSTGRESQL:
        return []
    return [
        Error(
            f"PostgreSQL {version} is too old.",
            hint=f"Use PostgreSQL {MINIMUM_POSTGRESQL} or newer.",
            id="holdfast.E003",
        )
    ]


@register(Tags.database, deploy=True)
def check_durability(
    app_configs: AppConfigs, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """What is committed must outlast a crash: buyers have been told of it."""
    unsafe = "SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = 'off' ORDER BY name"
    try:
        with connection.cursor() as cursor:
            cursor.execute(unsafe, [["fsync", "full_page_writes", "synchronous_commit"]])
            names = [name for (name,) in cursor]
    except DatabaseError:
        # Said by check_postgresql.
        return []
    return [
        Error(
            f"PostgreSQL may forget what buyers were told: {name} is off.",
            hint=f"Leave {name} on, for the server and for the role.",
            id="holdfast.E004",
        )
        for name in names
    ]


@register(Tags.database, deploy=True)
def check_somebody_can_pay(app_configs: AppConfigs, **kwargs: Any) -> list[CheckMessage]:
    """Whoever sells tickets for money needs a gateway; a house with free events needs none."""
    if settings.PAYMENT_GATEWAY in settings.PAYMENT_GATEWAYS:
        return []
    paid = PriceTier.objects.filter(price__gt=0, event__status=Event.Status.PUBLISHED)
    try:
        if not paid.exists():
            return []
    except DatabaseError:
        # Before the first migration, or without a database, nothing is on sale.
        return []
    return [
        CheckWarning(
            f"Tickets are on sale, and there is no payment gateway “{settings.PAYMENT_GATEWAY}”.",
            hint="Set STRIPE_SECRET_KEY (docs/gateways.md), or SANDBOX_GATEWAY=1 for trying things out.",
            id="holdfast.W006",
        )
    ]


@register(Tags.async_support, deploy=True)
def check_broker(app_configs: AppConfigs, **kwargs: Any) -> list[CheckMessage]:
    """The broker should answer; buyers do not need it, but mails and tidying do."""
    try:
        with current_app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1, timeout=2)
    except (BrokerError, OSError) as error:
        return [
            CheckWarning(
                f"The broker does not answer: {error}",
                hint="Payments are finished and mails sent once it is back. See CELERY_BROKER_URL.",
                id="holdfast.W003",
            )
        ]
    return []


@register(Tags.async_support, deploy=True)
def check_mails(app_configs: AppConfigs, **kwargs: Any) -> list[CheckMessage]:
    """Mails have a worker of their own, which must run."""
    try:
        oldest = Mail.objects.due().filter(next_attempt_at__lt=Now() - PATIENCE_FOR_MAILS).first()
    except DatabaseError:
        # Before the first migration, or without a database, there is no mail.
        return []
    if oldest is None:
        return []
    return [
        CheckWarning(
            f"A mail has waited since {oldest.next_attempt_at:%Y-%m-%d %H:%M} UTC, and nobody sends it.",
            hint="Start the worker of the queue holdfast-mails: deploy/holdfast-mails.service.",
            id="holdfast.W008",
        )
    ]


@register(Tags.security, deploy=True)
def check_secret_key(app_configs: AppConfigs, **kwargs: Any) -> list[CheckMessage]:
    """The key that signs sessions and links must be long and random."""
    key = settings.SECRET_KEY
    if len(key) >= MINIMUM_KEY_LENGTH and len(set(key)) >= MINIMUM_KEY_CHARACTERS:
        return []
    return [
        Error(
            "SECRET_KEY can be guessed.",
            hint=f"Put {MINIMUM_KEY_LENGTH} or more random characters into the environment.",
            id="holdfast.E005",
        )
    ]


@register(Tags.security, deploy=True)
def check_hosts(app_configs: AppConfigs, **kwargs: Any) -> list[CheckMessage]:
    """Only the site's own names are answered to."""
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    return [
        Error(
            "ALLOWED_HOSTS is *: the site answers to whatever name a stranger gives it.",
            hint="List its names, or leave ALLOWED_HOSTS out: SITE_URL has the name.",
            id="holdfast.E011",
        )
    ]


@register(Tags.security, deploy=True)
def check_tls(app_configs: AppConfigs, **kwargs: Any) -> list[CheckMessage]:
    """Whoever is sent to https must not be given cookies that travel without it."""
    if settings.SECURE or not settings.SITE_URL.startswith("https://"):
        return []
    return [
        Error(
            "SITE_URL is https, and SECURE=0 lets cookies and pages go in the clear.",
            hint="Leave SECURE out of a production environment; it is for one's own machine.",
            id="holdfast.E012",
        )
    ]


@register(Tags.security, deploy=True)
def check_ticket_key(app_configs: AppConfigs, **kwargs: Any) -> list[CheckMessage]:
    """Printed tickets should outlive the site's secret key."""
    if not settings.SECURE or settings.TICKET_SIGNING_KEY:
        return []
    return [
        CheckWarning(
            "Ticket codes are signed with a key that follows from SECRET_KEY: "
            "a new one makes doors refuse the pictures on all tickets printed before.",
            hint="Set TICKET_SIGNING_KEY: head -c 32 /dev/urandom | base64",
            id="holdfast.W010",
        )
    ]


@register(Tags.security)
def check_gateways(app_configs: AppConfigs, **kwargs: Any) -> list[CheckMessage]:
    """Every configured gateway must load."""
    return [
        Error(f"The payment gateway “{name}” cannot be loaded from {path}.", id="holdfast.E006")
        for name, path in settings.PAYMENT_GATEWAYS.items()
        if not _can_import(path)
    ]


@register(Tags.security, deploy=True)
def check_sandbox(app_configs: AppConfigs, **kwargs: Any) -> list[CheckMessage]:
    """Play money is for demonstrations."""
    if not settings.SECURE or "sandbox" not in settings.PAYMENT_GATEWAYS:
        return []
    return [
        CheckWarning(
            "The sandbox gateway is on: tickets can be had with play money.",
            hint="Leave SANDBOX_GATEWAY out of a production environment.",
            id="holdfast.W005",
        )
    ]


@register(Tags.security, deploy=True)
def check_stripe(app_configs: AppConfigs, **kwargs: Any) -> list[CheckMessage]:
    """Stripe needs a key that takes real money, a secret for its notices, and Stripe itself."""
    if not settings.STRIPE_SECRET_KEY:
        return _stripe_without_key()
    problems: list[CheckMessage] = []
    if not settings.STRIPE_SECRET_KEY.startswith(STRIPE_KEYS):
        hint = "It begins with rk_live_ or sk_live_; the one with pk_ is for browsers."
        problems.append(Error("STRIPE_SECRET_KEY is no secret key.", hint=hint, id="holdfast.E010"))
    if not settings.STRIPE_WEBHOOK_SECRET.strip(", "):
        hint = "Copy the signing secret of the webhook endpoint; see docs/gateways.md."
        message = "There is no STRIPE_WEBHOOK_SECRET: every notice of Stripe's is turned away."
        problems.append(Error(message, hint=hint, id="holdfast.E008"))
    return problems + (_stripe_that_takes_no_money() if settings.SECURE else [])


def _stripe_without_key() -> list[CheckMessage]:
    if settings.PAYMENT_GATEWAY != "stripe":
        return []
    hint = "Make a restricted key in Stripe's dashboard; docs/gateways.md lists its permissions."
    return [Error("PAYMENT_GATEWAY is stripe, without STRIPE_SECRET_KEY.", hint=hint, id="holdfast.E007")]


def _stripe_that_takes_no_money() -> list[CheckMessage]:
    problems: list[CheckMessage] = []
    if settings.STRIPE_API_BASE.rstrip("/") != STRIPE_API_BASE:
        hint = "Leave STRIPE_API_BASE out of a production environment: it is for tests."
        message = f"Payments go to {settings.STRIPE_API_BASE}, which is not Stripe."
        problems.append(Error(message, hint=hint, id="holdfast.E009"))
    if "_test_" in settings.STRIPE_SECRET_KEY:
        hint = "Set the live key of the account."
        message = "STRIPE_SECRET_KEY is a test key: tickets can be had with test cards."
        problems.append(CheckWarning(message, hint=hint, id="holdfast.W007"))
    return problems


def _can_import(path: str) -> bool:
    try:
        import_string(path)
    except ImportError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
