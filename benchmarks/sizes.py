"""How much is measured: all of it, or a little, to see that the benchmark runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Counts of rows, requests and people; the defaults are what docs/performance.md speaks of."""

    # How long each kind of reading is asked for, in seconds.
    seconds: float = 10.0
    # The holds of each measure, two tickets each.
    holds: int = 2000
    seats: int = 20_000
    standing: int = 100_000
    connections: tuple[int, ...] = (8, 64, 512)
    buyers: int = 2000
    contested: int = 500
    # The requests of each web worker before its memory is read for the first time, and for the last.
    early: int = 1000
    late: int = 100_000
    # A short season and a long one, each event with so many tickets.
    few_events: int = 100
    events: int = 10_000
    tickets: int = 1000


SMALL = Sizes(
    seconds=0.5,
    holds=64,
    seats=2000,
    standing=1000,
    connections=(8, 64),
    buyers=100,
    contested=40,
    early=100,
    late=400,
    few_events=10,
    events=100,
    tickets=100,
)
