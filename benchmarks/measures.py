"""What is measured, each as a rate beside the limit that the same run measured."""

from __future__ import annotations

import itertools
import json
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import bulk, database, house
from benchmarks.contention import measure_contention
from benchmarks.limit import transactions_per_second
from benchmarks.load import Outcome, each_once, expect, for_seconds, message, play
from benchmarks.report import Report
from benchmarks.requests import Address, ask, guest_hold, hold
from benchmarks.sizes import Sizes
from events.models import Event

CONNECTIONS = 16
# A rate and its limit are measured in so many turns each: a machine's speed differs from minute to minute.
TURNS = 4


class House:
    """The events and buyers that all measures share."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.arena = house.make_event("arena", house.make_venue("arena", sizes.seats))
        self.seats = iter(house.ticket_ids(self.arena))
        # In which nobody chooses seats.
        self.opera = house.make_event("opera", house.make_venue("opera", sizes.seats))
        # The same tier without seats at the beginning of its sale, in the middle, and at the very end.
        left = sizes.standing, sizes.standing // 2 + sizes.holds, 2 * sizes.holds
        self.fields = [self._make_field(number, left_over) for number, left_over in enumerate(left)]
        # For pgbench, so that each turn of both can be long.
        self.twin = house.make_event("twin", house.make_venue("twin", sizes.seats))
        self.twin_seats = iter(house.ticket_ids(self.twin))
        self.keys = itertools.cycle(house.make_keys(4 * sizes.holds))
        bulk.make_season(sizes.few_events, tickets=sizes.tickets)
        database.vacuum()

    def _make_field(self, number: int, left: int) -> Event:
        name = f"field-{number}"
        field = house.make_event(name, house.make_venue(name), standing=self.sizes.standing)
        bulk.sell_until(field.price_tiers.get(), left=left)
        return field

    def pairs(self, count: int) -> list[list[int]]:
        """So many pairs of neighbouring seats that nobody has held yet."""
        return [[next(self.seats), next(self.seats)] for _ in range(count)]

    def holds(self, pairs: list[list[int]]) -> Iterator[bytes]:
        """A hold of each of these pairs of the arena's seats, by an account's key."""
        return (hold(self.arena.slug, {"tickets": pair}, key=next(self.keys)) for pair in pairs)

    def holds_of_any(self, event: Event, count: int) -> Iterator[bytes]:
        """So many holds of any two tickets of an event's only tier, by an account's key."""
        wish = {"price_tier": event.price_tiers.get().pk, "quantity": 2}
        return (hold(event.slug, wish, key=next(self.keys)) for _ in range(count))


def measure_rates(address: Address, report: Report, its: House) -> None:
    """All that is measured as requests a second, and what a crowd does."""
    _warm_up(address)
    seated = _measure_holds(address, report, its)
    _measure_connections(address, report, its)
    measure_contention(address, report, its.sizes, seated)
    _measure_reads(address, report, its)


def _measure_holds(address: Address, report: Report, its: House) -> Outcome:
    """Holds of every kind, and of the same seats once more; returns the outcome of those that named them."""
    taken = its.pairs(its.sizes.holds)
    guests = itertools.count()
    each = len(taken) // TURNS

    def refuse(pairs: list[list[int]]) -> Outcome:
        asked = (guest_hold(its.arena.slug, {"tickets": pair}, next(guests)) for pair in pairs)
        outcome = play(address, CONNECTIONS, each_once(asked))
        expect(outcome, 409)
        return outcome

    limits, refused, held = [], Outcome(), [Outcome() for _ in range(5)]
    for turn in range(TURNS):
        pairs = taken[turn * each : (turn + 1) * each]
        limits.append(_writes_per_second(its, turn))
        of_any = [its.holds_of_any(event, each) for event in (its.opera, *its.fields)]
        for number, requests in enumerate([its.holds(pairs), *of_any]):
            held[number] += play(address, CONNECTIONS, each_once(requests))
            expect(held[number], 201)
        # The first refusals of a worker have the database asked, and the hall looked at for all who follow.
        refuse(pairs[:1] * 64)
        refused += refuse(pairs)
    seated, best, first, middle, last = held
    limit = statistics.harmonic_mean(limits)
    report.limit("pgbench, the same writes", limit)
    report.add("hold of 2 seats", seated, limit, "pgbench", 0.20)
    report.add("hold of the best 2 seats", best, seated.rate, "seated hold", 0.50)
    report.add("hold of 2 standing, the first", first, seated.rate, "seated hold", 0.80)
    report.add("hold of 2 standing, halfway", middle, first.rate, "the first", 0.90)
    report.add("hold of 2 standing, the last", last, first.rate, "the first", 0.90)
    report.add("refused hold, a guest", refused, seated.rate, "seated hold", 3.0)
    # What the server's housekeeping does after so many new rows would be counted too.
    database.vacuum()
    refuse(taken[:1] * 64)
    before = database.transactions()
    refuse(taken)
    statements = database.transactions() - before
    report.bound("statements that it costs", statements, its.sizes.holds, "the refused holds", 0.01)
    return seated


def _writes_per_second(its: House, turn: int) -> float:
    """What pgbench makes of the hold's writes, for other accounts in each turn."""
    each = max(1, its.sizes.holds // 20)
    count = CONNECTIONS * each
    first_ticket, *_ = itertools.islice(its.twin_seats, 2 * count)
    with tempfile.TemporaryDirectory() as folder:
        return transactions_per_second(
            Path(folder),
            event=its.twin.pk,
            first_ticket=first_ticket,
            first_account=house.first_account() + turn * count,
            clients=CONNECTIONS,
            each=each,
        )


def _measure_connections(address: Address, report: Report, its: House) -> None:
    """The same holds by few buyers at once and by many."""
    outcomes = []
    for connections in its.sizes.connections:
        count = max(its.sizes.holds, 3 * connections)
        outcomes.append((connections, play(address, connections, each_once(its.holds(its.pairs(count))))))
        expect(outcomes[-1][1], 201)
    (fewest, calm), *busier = outcomes
    report.note(f"hold, {fewest} connections", calm)
    for connections, outcome in busier:
        report.add(f"hold, {connections} connections", outcome, calm.rate, f"{fewest}'s rate", 0.80)
        growth = connections / fewest
        report.bound(
            f"p99, {connections} connections",
            outcome.percentile(99),
            growth * calm.percentile(99),
            f"{growth:.0f} times {fewest}'s p99",
            1.0,
        )


def _measure_reads(address: Address, report: Report, its: House) -> None:
    page, event = f"/events/{its.arena.slug}/", f"/api/v1/events/{its.arena.slug}/"
    searches = (message("GET", f"/api/v1/events/?q=benchmark+{number}") for number in itertools.count())
    empty, pages = _read_in_turns(address, its.sizes.seconds, "/empty/", page)
    report.note("an empty Django view", empty)
    report.add(f"event page, {its.sizes.seats} seats", pages, empty.rate, "empty view", 0.50)
    empty, *others = _read_in_turns(
        address, its.sizes.seconds, "/api/v1/empty/", event, changes_path(address, its.arena), searches
    )
    report.note("an empty DRF view", empty)
    for what, outcome, target in zip(
        ("event JSON", "availability, since", "search, every query new"),
        others,
        (0.50, 0.50, 0.10),
        strict=True,
    ):
        report.add(what, outcome, empty.rate, "empty DRF", target)


def changes_path(address: Address, event: Event) -> str:
    """Where to ask what has changed in the event's availability since now."""
    path = f"/api/v1/events/{event.slug}/availability/"
    version = json.loads(ask(address, path))["version"]
    return f"{path}?since={version}"


def _warm_up(address: Address) -> None:
    """Have every worker import and connect before anything counts."""
    for path in ("/empty/", "/api/v1/empty/", "/events/arena/", "/api/v1/events/arena/"):
        play(address, CONNECTIONS, each_once(iter([message("GET", path)] * CONNECTIONS)))


def _read_in_turns(address: Address, seconds: float, *paths: str | Iterator[bytes]) -> list[Outcome]:
    """Ask for each path so long, a part of the time in each turn; or send these requests."""
    requests = [itertools.repeat(message("GET", path)) if isinstance(path, str) else path for path in paths]
    outcomes = [Outcome() for _ in requests]
    for _turn in range(TURNS):
        for number, asked in enumerate(requests):
            outcomes[number] += play(address, CONNECTIONS, for_seconds(asked, seconds / TURNS))
    for outcome in outcomes:
        expect(outcome, 200)
    return outcomes
