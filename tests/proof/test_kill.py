"""Five hundred payments while the web server and the worker are killed again and again."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone

from bookings.audit import compare_with_gateways, find_violations
from bookings.gateways import get_gateway
from bookings.gateways.stripe.gateway import StripeGateway
from bookings.keys import make_key
from bookings.models import Booking, Payment, Refund
from tests.factories import make_event, make_general_admission, make_seated, make_staff
from tests.proof.buyers import Sale
from tests.proof.ending import let_the_timetable_finish, money_that_is_wrong, unfinished
from tests.proof.processes import Program, Site
from ticketing.local.engines import Valkey

PAYMENTS = int(os.environ.get("KILL_PAYMENTS", "500"))
SEED = int(os.environ.get("KILL_SEED", "20261123"))
CROWD = 12
HOURS = 5 * 3600
NOTICES = ["normal", "twice", "late", "shuffled", "never"]
# The stand-in is slow at these, so that there is time to be killed between its answer and our commit.
SLOW = ["/capture", "/v1/refunds", "/cancel", "/v1/checkout/sessions"]
FAULTS = ["lag", "drop", "error_after", "error_before", "bad_gateway"]


@pytest.fixture
def site(tmp_path, settings) -> Iterator[Site]:
    valkey = Valkey(tmp_path / "valkey")
    valkey.start()
    site = Site(
        tmp_path,
        {
            "DJANGO_SETTINGS_MODULE": "tests.proof.kill_settings",
            "WORKER_DATABASE_NAME": connection.settings_dict["NAME"],
            "REDIS_URL": valkey.url(0),
            "CELERY_BROKER_URL": valkey.broker_url(2),
        },
    )
    for name, value in site.gateway_settings.items():
        setattr(settings, name, value)
    settings.PAYMENT_GATEWAYS = {"stripe": "bookings.gateways.stripe.gateway.StripeGateway"}
    get_gateway.cache_clear()
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with site.running():
        yield site
        gateway = get_gateway("stripe")
        assert isinstance(gateway, StripeGateway)
        gateway.close()
    logging.getLogger("httpx").setLevel(logging.NOTSET)
    get_gateway.cache_clear()
    valkey.stop()


class Saboteur(threading.Thread):
    """Kills, and makes the gateway behave badly, until told to stop."""

    def __init__(self, site: Site, seed: int) -> None:
        super().__init__()
        self.site = site
        self.dice = random.Random(seed)
        self.done = threading.Event()
        self.moments: Counter[str] = Counter()

    def run(self) -> None:
        try:
            while not self.done.wait(self.dice.uniform(0.5, 3)):
                self._disturb_gateway()
                self._kill(self.dice.choice([self.site.web, self.site.worker, self.site.worker]))
        finally:
            connections.close_all()

    def _disturb_gateway(self) -> None:
        self.site.tell_gateway("configure", notices=self.dice.choice(NOTICES), notice_delay=2)
        for path in SLOW:
            kind = self.dice.choice([*FAULTS, "lag", "lag"])
            self.site.tell_gateway("fault", kind=kind, path=path, method="POST", times=2, seconds=0.7)

    def _kill(self, program: Program) -> None:
        """At any moment, or just while money is on its way between the gateway and the books."""
        wanted = self.dice.choice(["any moment", "capture", "refund"])
        deadline = time.monotonic() + 3
        while wanted != "any moment" and not self._is_under_way(wanted):
            if time.monotonic() > deadline:
                wanted = "any moment"
            time.sleep(0.02)
        self.moments[wanted] += 1
        self.site.kill_and_start(program)

    def _is_under_way(self, what: str) -> bool:
        if what == "capture":
            return Payment.objects.decided_but_unfinished().exists()
        return Refund.objects.filter(status="requested", attempts=0).exists()


def open_sale(site: Site) -> Sale:
    rules: dict[str, Any] = {"refunds_until": timezone.now() + timedelta(days=20), "refund_fee": Decimal(2)}
    event = make_event(max_extensions=0, **rules)
    standing = make_general_admission(event, 3 * PAYMENTS, price="20.00")
    seated = make_seated(event, rows=4, seats=10, price="35.00")
    return Sale(
        url=site.url,
        event=event.slug,
        standing=standing.pk,
        seats=list(seated.tickets.values_list("pk", flat=True)),
        staff_key=make_key(account=make_staff(), name="Refunds")[1],
        payments_wanted=PAYMENTS,
        seed=SEED,
    )


@pytest.mark.django_db(transaction=True)
def test_every_payment_survives_the_death_of_web_server_and_worker(site, capsys):
    began = time.monotonic()
    sale = open_sale(site)
    saboteur = Saboteur(site, SEED)
    saboteur.start()
    sale.run(CROWD)
    saboteur.done.set()
    saboteur.join()
    site.tell_gateway("calm")
    site.tell_gateway("configure", notices="normal")
    played = time.monotonic() - began
    let_the_timetable_finish()

    left = unfinished()
    Payment.objects.update(updated_at=timezone.now() - timedelta(days=1))
    findings = money_that_is_wrong(site) + find_violations() + compare_with_gateways()
    with capsys.disabled():
        print(
            f"\n{Payment.objects.count()} payments (seed {SEED}), {site.web.kills} kills of the web server, "
            f"{site.worker.kills} of the worker, {len(findings)} findings, {played:.0f} s of sale, "
            f"{time.monotonic() - began:.0f} s in all"
        )
        print(f"moments: {dict(saboteur.moments)}; buyers: {dict(sale.told)}")
        print(f"bookings: {dict(Counter(Booking.objects.values_list('status', flat=True)))}")
    assert (left, findings) == ({}, [])
    assert Payment.objects.count() >= PAYMENTS
    assert min(site.web.kills, site.worker.kills) > 0
