"""What is measured, each as a rate beside the limit that the same run measured."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.db import connection

from benchmarks import house
from benchmarks.limit import transactions_per_second
from benchmarks.load import Outcome, each_once, for_seconds, message, play
from benchmarks.report import Report
from events.models import Event

CONNECTIONS = 16
SECONDS = 5.0
HOLDS = 1000
BOOKINGS = "/api/v1/bookings/"
Address = tuple[str, int]


class House:
    """The events and buyers that all measures share."""

    def __init__(self) -> None:
        self.arena = house.make_event("arena", house.make_venue("arena", 20_000))
        self.field = house.make_event("field", house.make_venue("field"), standing=20_000)
        self.seats = iter(house.ticket_ids(self.arena))
        self.keys = itertools.cycle(house.make_keys(HOLDS))
        self.standing = self.field.price_tiers.get().pk
        # As the server's own housekeeping has done wherever a sale was prepared in good time.
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")

    def pairs(self, count: int) -> list[list[int]]:
        """So many pairs of neighbouring seats that nobody has held yet."""
        return [[next(self.seats), next(self.seats)] for _ in range(count)]


def measure(address: Address, report: Report) -> None:
    """Everything, in one run over one house."""
    its = House()
    _warm_up(address)
    empty_page = _read(address, "/empty/")
    empty_api = _read(address, "/api/v1/empty/")
    report.note("an empty Django view", empty_page)
    report.note("an empty DRF view", empty_api)
    _measure_holds(address, report, its)
    _measure_reads(address, report, its.arena, empty_page, empty_api)


def _measure_holds(address: Address, report: Report, its: House) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pairs = its.pairs(CONNECTIONS * 100)
        limit = transactions_per_second(
            Path(folder), event=its.arena.pk, first_ticket=pairs[0][0], clients=CONNECTIONS, each=100
        )
    report.limit("pgbench, the same writes", limit)
    taken = its.pairs(HOLDS)
    seated = play(
        address, CONNECTIONS, each_once(_holds(its, its.arena, [{"tickets": pair} for pair in taken]))
    )
    expect(seated, 201)
    report.add("hold of 2 seats", seated, limit, "pgbench", 0.20)
    standing = {"price_tier": its.standing, "quantity": 2}
    general = play(address, CONNECTIONS, each_once(_holds(its, its.field, [standing] * HOLDS)))
    expect(general, 201)
    report.add("hold of 2 standing", general, seated.rate, "seated hold", 0.80)
    guests = [{"tickets": pair} for pair in taken]
    refused = play(address, CONNECTIONS, each_once(_holds(its, its.arena, guests, as_guest=True)))
    expect(refused, 409)
    report.add("refused hold, a guest", refused, seated.rate, "seated hold", 3.0)


def _measure_reads(
    address: Address, report: Report, arena: Event, empty_page: Outcome, empty_api: Outcome
) -> None:
    page = _read(address, f"/events/{arena.slug}/")
    report.add("event page, 20,000 seats", page, empty_page.rate, "empty view", 0.50)
    event = _read(address, f"/api/v1/events/{arena.slug}/")
    report.add("event JSON", event, empty_api.rate, "empty DRF", 0.50)
    path = f"/api/v1/events/{arena.slug}/availability/"
    version = json.loads(ask(address, path))["version"]
    since = _read(address, f"{path}?since={version}")
    report.add("availability, since", since, empty_api.rate, "empty DRF", 0.50)
    searches = (message("GET", f"/api/v1/events/?q=benchmark+{number}") for number in itertools.count())
    search = play(address, CONNECTIONS, for_seconds(searches, SECONDS))
    expect(search, 200)
    report.add("search, every query new", search, empty_api.rate, "empty DRF", 0.10)


def _warm_up(address: Address) -> None:
    """Have every worker import and connect before anything counts."""
    for path in ("/empty/", "/api/v1/empty/", "/events/arena/", "/api/v1/events/arena/"):
        play(address, CONNECTIONS, each_once(iter([message("GET", path)] * CONNECTIONS)))


def _read(address: Address, path: str) -> Outcome:
    outcome = play(address, CONNECTIONS, for_seconds(itertools.repeat(message("GET", path)), SECONDS))
    expect(outcome, 200)
    return outcome


def _holds(
    its: House, event: Event, wishes: list[dict[str, Any]], *, as_guest: bool = False
) -> Iterator[bytes]:
    """A request for each wish: of an account by its key, or of a guest from a network address of its own."""
    for number, wish in enumerate(wishes):
        headers = {"Idempotency-Key": str(uuid4())}
        if as_guest:
            headers["X-Forwarded-For"] = f"10.1.{number // 250}.{number % 250 + 1}"
        else:
            headers["Authorization"] = f"Token {next(its.keys)}"
        yield message(
            "POST", BOOKINGS, headers=headers, body=json.dumps({"event": event.slug, **wish}).encode()
        )


def ask(address: Address, path: str) -> bytes:
    """The body of one answer."""
    bodies: list[bytes] = []

    def script(_number: int, answer: Any) -> bytes | None:
        if answer is None:
            return message("GET", path)
        bodies.append(answer.body)
        return None

    play(address, 1, script)
    return bodies[0]


def expect(outcome: Outcome, status: int) -> None:
    """Raise where anything else was answered: a rate of errors is no rate."""
    if set(outcome.statuses) != {status}:
        raise RuntimeError(f"expected only {status}, and got {dict(outcome.statuses)}")
