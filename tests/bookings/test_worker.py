"""The whole way of a payment with nothing stood in for: a web server, the sandbox's notice over HTTP,
the Celery workers in processes of their own, and the mail with the tickets."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from celery import current_app
from django.conf import settings as django_settings
from django.db import connection

from bookings.models import Booking, Payment, PaymentNotice
from bookings.outbox.models import Mail
from bookings.payments import start_payment
from bookings.sandbox.models import SandboxNotice
from bookings.sandbox.notices import deliver_notices
from bookings.services import Buyer, hold_tickets
from events import wake_up
from tests.factories import make_seated_event, ticket_ids
from tests.utils import assert_audit_is_clean, reloaded
from ticketing.local.engines import Valkey
from ticketing.local.processes import commands

pytestmark = pytest.mark.django_db(transaction=True)

BUYER = Buyer(email="buyer@example.org")


@pytest.fixture
def mail_folder(tmp_path) -> Path:
    return tmp_path / "mail"


@pytest.fixture
def _worker(tmp_path, live_server, settings, mail_folder) -> Iterator[None]:
    settings.SITE_URL = live_server.url
    with working(tmp_path, live_server.url, mail_folder, broker=django_settings.CELERY_BROKER_URL):
        yield


@contextmanager
def working(folder: Path, site: str, mail_folder: Path, *, broker: str, **more: str) -> Iterator[None]:
    """The workers and the timetable, on this test's database and cache, for this test's server.

    With the command lines of `make run`, and one slot each; `more` is of the mails' worker alone.
    """
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.worker_settings",
        "SITE_URL": site,
        "EMAIL_FILE_PATH": str(mail_folder),
        "WORKER_DATABASE_NAME": connection.settings_dict["NAME"],
        "CELERY_BROKER_URL": broker,
    }
    told = commands(0)
    told["worker"] += ["--beat", "--schedule", str(folder / "schedule")]
    with (folder / "worker.log").open("wb") as log, ExitStack() as started:
        for name, mine in [("worker", {}), ("mails", more)]:
            command = [sys.executable, *told[name], "--pool", "solo"]
            process = subprocess.Popen(command, env=environment | mine, stdout=log, stderr=log)
            # For one that hangs where a test failed.
            started.callback(process.kill)
            started.callback(process.wait, timeout=30)
            started.callback(process.terminate)
        yield


def wait_until(fact: Callable[[], bool], *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.2)


def paid_booking(pay_with_card, **fields: str) -> Booking:
    event = make_seated_event(seats=2)
    booking = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=BUYER).booking
    pay_with_card(start_payment(booking_id=booking.pk), **fields)
    return booking


@pytest.mark.usefixtures("_worker")
def test_notice_books_captures_and_mails_without_the_buyer_coming_back(pay_with_card, mail_folder):
    booking = paid_booking(pay_with_card, notice="duplicate")
    assert reloaded(booking).status == "reserved"

    wait_until(lambda: Mail.objects.filter(kind="booked", state="sent").exists())

    assert reloaded(booking).status == "booked"
    assert Payment.objects.get().status == "captured"
    assert SandboxNotice.objects.get(kind="payment.authorised").delivered_at is not None
    assert PaymentNotice.objects.filter(payload__type="payment.authorised").count() == 1
    mails = [path.read_text() for path in mail_folder.iterdir()]
    assert len(mails) == 1
    assert f"({booking.reference})" in mails[0]
    assert "To: buyer@example.org" in mails[0]
    assert f"/bookings/{booking.pk}/" in mails[0]
    assert_audit_is_clean()


def test_payments_are_finished_while_the_mails_wait_for_a_mail_server_that_hangs(
    tmp_path, live_server, settings, mail_folder, pay_with_card
):
    settings.SITE_URL = live_server.url
    free = make_seated_event(seats=1, price="0.00")
    waiting = hold_tickets(event=free, ticket_ids=ticket_ids(free), buyer=BUYER).booking
    start_payment(booking_id=waiting.pk)
    booked = Mail.objects.filter(kind="booked")
    may_go = tmp_path / "the mail server answers"
    stuck = {"EMAIL_MAY_GO": str(may_go), "WORKER_EMAIL_BACKEND": "tests.bookings.stuck_mails.StuckMails"}

    with working(tmp_path, live_server.url, mail_folder, broker=django_settings.CELERY_BROKER_URL, **stuck):
        wait_until(lambda: booked.filter(booking=waiting).exclude(claimed_until=None).exists())
        booking = paid_booking(pay_with_card)
        wait_until(lambda: Payment.objects.get(booking=booking).status == "captured")

        assert set(booked.values_list("booking", "state")) == {
            (waiting.pk, "waiting"),
            (booking.pk, "waiting"),
        }
        may_go.touch()
        wait_until(lambda: booked.filter(state="sent").count() == 2)


@pytest.fixture
def broker(tmp_path) -> Iterator[Valkey]:
    """A broker of the test's own, which this process uses and which the test may break."""
    server = Valkey(tmp_path)
    server.start()
    url = current_app.conf.broker_url
    use_broker(server.url(2).replace("unix://", "redis+socket://").replace("?db=", "?virtual_host="))
    yield server
    use_broker(url)
    server.stop()


def use_broker(url: str) -> None:
    current_app.conf.broker_url = url
    # The connections to the other one are kept otherwise.
    current_app._after_fork()
    wake_up.breaker.record_success()


def test_notices_are_kept_while_broker_and_worker_are_gone_and_applied_when_they_return(
    tmp_path, live_server, settings, mail_folder, broker, pay_with_card
):
    settings.SITE_URL = live_server.url
    bookings = [paid_booking(pay_with_card) for _number in range(3)]
    broker.kill()

    assert deliver_notices() == 3

    assert list(PaymentNotice.objects.values_list("status", flat=True)) == ["waiting"] * 3
    assert {reloaded(booking).status for booking in bookings} == {"reserved"}
    broker.start()
    with working(tmp_path, live_server.url, mail_folder, broker=current_app.conf.broker_url):
        wait_until(lambda: PaymentNotice.objects.filter(status="applied").count() >= 3)
    assert {reloaded(booking).status for booking in bookings} == {"booked"}
    assert_audit_is_clean()
