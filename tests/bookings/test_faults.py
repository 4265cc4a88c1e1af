"""Real parts that break: the cache killed, emptied or frozen in the middle of each step of a booking's
life, and a worker killed between the authorisation and the capture."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial

import pytest
from django.db import connection

from bookings import exceptions, payments, services
from bookings.models import Booking, Payment
from bookings.payments import settle_payment, start_payment
from bookings.sandbox.models import SandboxIntent
from bookings.services import Buyer, HeldBooking, hold_best_available, hold_tickets
from events import locks
from events.models import Event
from tests.factories import make_event, make_general_admission, make_seated_event, ticket_ids
from tests.utils import assert_audit_is_clean, let_hold_lapse, run_together
from ticketing.local.engines import Valkey

pytestmark = pytest.mark.django_db(transaction=True)

BUYER = Buyer(email="buyer@example.org")
RIVAL = Buyer(email="rival@example.org")


@pytest.fixture
def valkey(tmp_path, settings) -> Iterator[Valkey]:
    """A cache server of the test's own, which the locks use and which the test may break."""
    server = Valkey(tmp_path)
    server.start()
    settings.CACHES = {**settings.CACHES, "locks": {**settings.CACHES["locks"], "LOCATION": server.url(1)}}
    locks.breaker.record_success()
    yield server
    server.stop()
    locks.breaker.record_success()


def kill(server: Valkey) -> None:
    server.kill()


def flush(server: Valkey) -> None:
    locks.ask(lambda client: client.flushall())


def freeze(server: Valkey) -> None:
    server.pause()


def kill_and_restart_empty(server: Valkey) -> None:
    server.kill()
    server.start()


FAULTS = [kill, flush, freeze, kill_and_restart_empty]


def refused(wish) -> bool:
    """Whether a rival's wish for the same tickets is turned down."""
    try:
        wish()
    except exceptions.TicketsUnavailable:
        return True
    return False


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", ["hold", "extend", "pay", "settle", "after"])
def test_cache_that_breaks_at_any_step_sells_nothing_twice_and_loses_no_hold(valkey, fault, step):
    event = make_seated_event(seats=2)
    ids = ticket_ids(event)
    rival = partial(hold_tickets, event=event, ticket_ids=ids[:1], buyer=RIVAL)

    def before(name: str) -> None:
        if name == step:
            fault(valkey)

    before("hold")
    booking = hold_tickets(event=event, ticket_ids=ids, buyer=BUYER).booking
    before("extend")
    services.extend_hold(booking_id=booking.pk)
    assert refused(rival)
    before("pay")
    payment = start_payment(booking_id=booking.pk)
    assert refused(rival)
    SandboxIntent.objects.update(status="authorised")
    before("settle")
    settle_payment(payment.pk)
    before("after")
    assert refused(rival)

    booking.refresh_from_db()
    payment.refresh_from_db()
    assert (booking.status, payment.status) == ("booked", "captured")
    assert set(event.tickets.values_list("status", "booking_id")) == {("booked", booking.pk)}
    assert_audit_is_clean()


@pytest.mark.parametrize("fault", FAULTS)
def test_cache_that_breaks_between_the_lock_and_the_commit_loses_no_hold(valkey, fault, monkeypatch):
    event = make_seated_event(seats=1)
    seat = ticket_ids(event)
    reserve = services._reserve

    def reserve_in_a_storm(*args):
        fault(valkey)
        return reserve(*args)

    monkeypatch.setattr(services, "_reserve", reserve_in_a_storm)
    booking = hold_tickets(event=event, ticket_ids=seat, buyer=BUYER).booking
    monkeypatch.undo()

    assert event.tickets.get().booking_id == booking.pk
    assert refused(partial(hold_tickets, event=event, ticket_ids=seat, buyer=RIVAL))
    assert_audit_is_clean()


@pytest.mark.parametrize("fault", FAULTS)
def test_cache_that_breaks_before_release_leaves_the_ticket_free(valkey, fault):
    event = make_seated_event(seats=1)
    booking = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=BUYER).booking

    fault(valkey)
    services.release_hold(booking_id=booking.pk)

    assert event.tickets.get().status == "available"
    assert hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=RIVAL).booking.status == "reserved"
    assert_audit_is_clean()


def test_ghost_locks_of_a_cache_that_froze_during_release_are_swept(valkey):
    event = make_seated_event(seats=1)
    booking = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=BUYER).booking
    valkey.pause()
    services.release_hold(booking_id=booking.pk)
    valkey.resume()
    locks.breaker.record_success()
    rival = partial(hold_tickets, event=event, ticket_ids=ticket_ids(event), buyer=RIVAL)

    services.sweep_expired_holds()

    assert not refused(rival)
    assert event.tickets.get().status == "reserved"
    assert_audit_is_clean()


@pytest.mark.parametrize("fault", FAULTS)
def test_cache_that_breaks_during_a_rush_sells_each_ticket_once(valkey, fault):
    event = make_seated_event(seats=12)
    ids = ticket_ids(event)
    seats = [
        partial(hold_tickets, event=event, ticket_ids=[ids[n % 12]], buyer=Buyer(email=f"b{n}@example.org"))
        for n in range(36)
    ]

    results = run_together([*seats[:18], partial(fault, valkey), *seats[18:]])
    # What the fault itself returned is no outcome of a hold.
    outcomes = [type(result) for result in results[:18] + results[19:]]

    assert results[18] is None
    assert outcomes.count(HeldBooking) == 12
    assert outcomes.count(exceptions.TicketsUnavailable) == 24
    assert event.tickets.filter(status="reserved").count() == 12
    assert Booking.objects.count() == 12
    assert_audit_is_clean()


def test_general_admission_goes_on_without_the_cache(valkey):
    event = make_event()
    tier = make_general_admission(event, 2)
    valkey.kill()

    booking = hold_best_available(event=event, price_tier_id=tier.pk, quantity=2, buyer=BUYER).booking

    assert event.tickets.filter(booking_id=booking.pk, status="reserved").count() == 2


def test_lapsed_hold_is_free_at_once_without_the_cache(valkey):
    event = make_seated_event(seats=1)
    booking = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=BUYER).booking
    valkey.kill()
    let_hold_lapse(booking)

    assert not refused(partial(hold_tickets, event=event, ticket_ids=ticket_ids(event), buyer=RIVAL))
    assert_audit_is_clean()


DIE_BEFORE_CAPTURE = """
import os, signal, sys
import django
from django.conf import settings
settings.DATABASES["default"]["NAME"] = sys.argv[1]
django.setup()
from bookings.payments import settle_payment
from bookings.sandbox.gateway import SandboxGateway
SandboxGateway.capture = lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL)
settle_payment(sys.argv[2])
"""


def settle_in_a_process_that_dies_before_capture(payment: Payment) -> int:
    """Settle a payment in another process, which is killed when it would capture; its exit status."""
    command = [sys.executable, "-c", DIE_BEFORE_CAPTURE, connection.settings_dict["NAME"], str(payment.pk)]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    return subprocess.run(command, env=environment, check=False, timeout=60).returncode


def authorised_payment(event: Event) -> Payment:
    booking = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=BUYER).booking
    payment = start_payment(booking_id=booking.pk)
    SandboxIntent.objects.update(status="authorised")
    return payment


def test_worker_killed_between_authorised_and_captured_loses_nothing():
    payment = authorised_payment(make_seated_event(seats=2))

    assert settle_in_a_process_that_dies_before_capture(payment) == -signal.SIGKILL

    payment.refresh_from_db()
    assert (payment.status, payment.decision, payment.booking.status) == ("authorised", "capture", "booked")
    assert SandboxIntent.objects.get().status == "authorised"
    assert_audit_is_clean()

    payments.finish_payments()

    payment.refresh_from_db()
    assert (payment.status, SandboxIntent.objects.get().status) == ("captured", "captured")
    assert_audit_is_clean()


def test_frozen_cache_costs_a_hold_milliseconds(valkey):
    event = make_seated_event(seats=4)
    valkey.pause()
    began = time.monotonic()

    for ticket_id in ticket_ids(event):
        hold_tickets(event=event, ticket_ids=[ticket_id], buyer=BUYER)

    # With a client's usual five seconds a call this would take forty.
    assert time.monotonic() - began < 3
