"""What a deploy can get wrong, said by `manage.py check` before a buyer finds out.

The ones that have to ask a server run with `--deploy` alone: a plain `check` needs no server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery import current_app
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.db import DatabaseError, connection
from django.utils.module_loading import import_string
from django_redis import get_redis_connection
from kombu.exceptions import OperationalError as BrokerError
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from events.models import Event, PriceTier

MINIMUM_POSTGRESQL = 15
# Long enough for 256 bits in any alphabet that people use.
MINIMUM_KEY_LENGTH = 50
MINIMUM_KEY_CHARACTERS = 5

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
            hint="The only one so far is the sandbox, for trying things out: SANDBOX_GATEWAY=1.",
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


def _can_import(path: str) -> bool:
    try:
        import_string(path)
    except ImportError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
