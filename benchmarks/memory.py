"""Whether a web worker grows with the requests that it has answered."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from benchmarks.house import make_event, make_venue
from benchmarks.load import each_once, expect, message, play
from benchmarks.measures import CONNECTIONS, House, changes_path
from benchmarks.report import Report
from benchmarks.requests import guest_hold
from benchmarks.server import Server

# What a hundred requests are: mostly people who look.
MIX = {"page": 50, "changes": 20, "event": 10, "refused": 12, "search": 4, "list": 2, "hold": 2}
# So many requests are asked for over the same connections.
PORTION = 100
KINDS = [kind for kind, share in MIX.items() for _ in range(share)]


def measure_memory(server: Server, report: Report, its: House) -> None:
    """Read what the workers of a fresh server have, early and late. Raises where one was replaced."""
    workers = len(server.memory())
    requests = _requests(server, its)
    early = _after(server, itertools.islice(requests, workers * its.sizes.early))
    late = _after(server, itertools.islice(requests, workers * (its.sizes.late - its.sizes.early)))
    if early.keys() != late.keys():
        raise RuntimeError("a worker was replaced, so that its memory says nothing")
    worst = max(early, key=lambda pid: late[pid] / early[pid])
    beside = f"its {early[worst] / 2**20:.0f} MiB after {its.sizes.early}"
    report.bound(f"memory after {its.sizes.late} requests", late[worst], early[worst], beside, 1.1)


def kind_of(number: int) -> str:
    """What the request of this number is: the mix in every hundred of them, well stirred."""
    # 37 and a hundred have no common divisor.
    return KINDS[number * 37 % len(KINDS)]


def _after(server: Server, requests: Iterator[bytes]) -> dict[int, int]:
    """The workers' memory once they have answered all of these, each about as many."""
    # A connection stays with its worker, and the system deals connections out by chance.
    while portion := list(itertools.islice(requests, PORTION)):
        expect(play(server.address, CONNECTIONS, each_once(iter(portion))), 200, 201, 409)
    return server.memory()


def _requests(server: Server, its: House) -> Iterator[bytes]:
    """Requests of the mix without end."""
    hall = make_event("hall", make_venue("hall"), standing=its.sizes.late // 5)
    tier = hall.price_tiers.get().pk
    [taken] = its.pairs(1)
    expect(play(server.address, 1, each_once(its.holds([taken]))), 201)
    slug = its.arena.slug
    changes = changes_path(server.address, its.arena)
    for number in itertools.count():
        match kind_of(number):
            case "page":
                yield message("GET", f"/events/{slug}/")
            case "changes":
                yield message("GET", changes)
            case "event":
                yield message("GET", f"/api/v1/events/{slug}/")
            case "refused":
                yield guest_hold(slug, {"tickets": taken}, number)
            case "search":
                yield message("GET", f"/api/v1/events/?q=evening+{number}")
            case "list":
                yield message("GET", "/")
            case "hold":
                yield guest_hold(hall.slug, {"price_tier": tier, "quantity": 2}, number)
