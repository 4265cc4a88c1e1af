"""The real box office around the machine: its rows, its time, its cache and its timetable."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection
from django.test import override_settings
from django.utils import timezone
from django_redis import get_redis_connection
from redis import Redis

from bookings import cancellations, notices, payments, reconciling, refunds, services
from bookings.exceptions import BoxOfficeError
from bookings.gateways import get_gateway
from bookings.models import Payment
from bookings.sandbox.models import SandboxIntent, SandboxNotice
from bookings.sandbox.signing import SIGNATURE_HEADER, sign
from events import locks, wake_up
from events.models import Event
from tests.factories import make_event, make_general_admission, make_seated
from tests.proof.model import ModelEvent

TIMETABLE: dict[str, Callable[[], Any]] = {
    "sweep": services.sweep_expired_holds,
    "apply_notices": notices.apply_notices,
    "finish_payments": payments.finish_payments,
    "reconcile_payments": payments.reconcile_payments,
    "reconcile_with_gateways": reconciling.reconcile_with_gateways,
    "finish_refunds": refunds.finish_refunds,
    "run_cancellations": cancellations.run_cancellations,
}
# Everything that a clock moves. The gateway's records have a clock of their own.
CLOCKS = {
    "bookings_booking": ["expires_at"],
    "events_ticket": ["reserved_until"],
    "bookings_payment": ["created_at", "updated_at", "next_attempt_at"],
    "bookings_refund": ["requested_at", "next_attempt_at"],
    "bookings_paymentnotice": ["received_at", "next_attempt_at"],
    "bookings_cancellationproblem": ["next_attempt_at"],
}
EMPTIED = ["bookings_user", "events_event", "events_venue", "sandbox_sandboxintent", "bookings_paymentnotice"]
# Nobody listens there.
DEAD_CACHE = "redis://127.0.0.1:1/0"


def empty_the_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(EMPTIED)} CASCADE")


def open_two_events() -> list[ModelEvent]:
    """One with four seats and three standing, whose buyers may return; one small, with a free ticket."""
    rules = {"refunds_until": timezone.now() + timedelta(days=20), "refund_fee": Decimal(5)}
    concert = make_event(max_tickets_per_booking=4, max_extensions=2, **rules)
    reading = make_event(max_tickets_per_booking=3, max_extensions=0, venue=concert.venue)
    make_seated(concert, seats=4, price="30.00")
    make_general_admission(concert, 3, price="4.00")
    make_general_admission(reading, 2, price="12.50")
    make_general_admission(reading, 1, price="0.00", name="Free")
    return [_in_the_model(concert, fee=Decimal(5)), _in_the_model(reading, fee=None)]


def _in_the_model(event: Event, *, fee: Decimal | None) -> ModelEvent:
    rows = event.tickets.order_by("position").values_list("pk", "price_tier__price", "seat")
    return ModelEvent(
        id=event.pk,
        prices={pk: price for pk, price, _seat in rows},
        seats=[pk for pk, _price, seat in rows if seat],
        limit=event.max_tickets_per_booking,
        max_extensions=event.max_extensions,
        fee=fee,
    )


def attempt(call: Callable[[], Any]) -> tuple[Any, str]:
    """What a call returned, or the name of the box office's refusal."""
    try:
        return call(), ""
    except BoxOfficeError as refusal:
        return None, type(refusal).__name__


# --- Time ---------------------------------------------------------------------------------


def let_pass(seconds: int) -> None:
    with connection.cursor() as cursor:
        for table, columns in CLOCKS.items():
            moved = ", ".join(f"{name} = {name} - interval '{seconds} seconds'" for name in columns)
            cursor.execute(f"UPDATE {table} SET {moved}")  # noqa: S608


# --- The gateway --------------------------------------------------------------------------


def force_ledger(key: str, status: str) -> None:
    """The gateway does something that nobody asked it for."""
    SandboxIntent.objects.filter(idempotency_key=key).update(status=status)


def deliver(notice: SandboxNotice) -> None:
    """Send a notice as the sandbox does."""
    body = json.dumps({"id": notice.pk, "type": notice.kind, "payment": notice.intent_id}).encode()
    headers = {SIGNATURE_HEADER: sign(body, timestamp=int(time.time()))}
    notices.store_notice(gateway="sandbox", body=body, headers=headers)


# --- The cache ----------------------------------------------------------------------------


class Cache:
    """The cache of the locks, which comes and goes."""

    def __init__(self) -> None:
        self._server: Redis = get_redis_connection("locks", write=True)
        broken = {**settings.CACHES, "locks": {**settings.CACHES["locks"], "LOCATION": DEAD_CACHE}}
        self._broken = override_settings(CACHES=broken)
        self.is_away = False

    def go_away(self) -> None:
        if not self.is_away:
            self._broken.enable()
            self.is_away = True

    def come_back(self) -> None:
        if self.is_away:
            self._broken.disable()
            self.is_away = False
        locks.breaker.record_success()

    def flush(self) -> None:
        self._server.flushdb()

    def leave_ghost(self, event_id: int, ticket: int) -> None:
        """A lock of nobody's, as one that could not be given back."""
        if not self._server.hexists(locks.lock_key(event_id), str(ticket)):
            self._server.hset(locks.lock_key(event_id), str(ticket), str(uuid4()))
            self._server.execute_command("HPEXPIRE", locks.lock_key(event_id), 300000, "FIELDS", 1, ticket)

    def locked(self, event_id: int) -> set[int]:
        return (
            set() if self.is_away else {int(field) for field in self._server.hkeys(locks.lock_key(event_id))}
        )

    def let_locks_end(self, event_id: int, is_live: Callable[[UUID], bool]) -> None:
        """Locks end by themselves with the time that their holds have."""
        held = self._server.hgetall(locks.lock_key(event_id))
        ended = [ticket for ticket, owner in held.items() if not is_live(UUID(owner.decode()))]
        if ended:
            self._server.hdel(locks.lock_key(event_id), *ended)


class Alarms(logging.Handler):
    """Errors that the box office survived, and that it should not have had to."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(self.format(record))


def use_gateway(path: str) -> override_settings:
    get_gateway.cache_clear()
    return override_settings(PAYMENT_GATEWAYS={"sandbox": path}, PAYMENT_GATEWAY="sandbox")


def quiet_brokers() -> None:
    """No worker listens here, so that nothing is to be woken up."""
    wake_up.breaker.open_seconds = 3600
    wake_up.breaker.record_failure()


def page_of(key: str) -> str:
    return Payment.objects.values_list("redirect_url", flat=True).get(pk=key)


def references_of(ids: Iterable[UUID]) -> set[str]:
    from bookings.models import Booking

    return set(Booking.objects.filter(pk__in=list(ids)).values_list("reference", flat=True))
