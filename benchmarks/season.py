"""Whether a full database slows down what a buyer does."""

from __future__ import annotations

import itertools

from benchmarks import bulk, database
from benchmarks.load import Outcome, each_once, expect, for_seconds, message, play
from benchmarks.measures import CONNECTIONS, House
from benchmarks.report import Report
from benchmarks.requests import Address, hold


def measure_season(address: Address, report: Report, its: House) -> None:
    """Holds and pages of the same events, while they are the only ones and once they are among many."""
    sizes = its.sizes
    events = bulk.season_tickets(sizes.few_events)
    before = _hold_and_read(address, its, events, turn=0)
    bulk.make_season(sizes.events, tickets=sizes.tickets)
    database.vacuum()
    after = _hold_and_read(address, its, events, turn=1)
    for what, few, many in zip(("hold", "event page"), before, after, strict=True):
        report.note(f"{what}, {sizes.few_events} events", few)
        report.add(f"{what}, {sizes.events} events", many, few.rate, f"{sizes.few_events}'s", 0.80)


def _hold_and_read(
    address: Address, its: House, events: dict[str, list[int]], *, turn: int
) -> tuple[Outcome, Outcome]:
    """Holds of two seats, and pages, each of the next event; `turn` says which seats nobody has held yet."""
    rounds = -(-its.sizes.holds // len(events))
    places = range(2 * rounds * turn, 2 * rounds * (turn + 1), 2)
    holds = (
        hold(slug, {"tickets": tickets[place : place + 2]}, key=next(its.keys))
        for place in places
        for slug, tickets in events.items()
    )
    pages = [message("GET", f"/events/{slug}/") for slug in events]
    # Every worker reads each event once before it counts.
    play(address, CONNECTIONS, each_once(iter(pages * 4)))
    held = play(address, CONNECTIONS, each_once(holds))
    expect(held, 201)
    read = play(address, CONNECTIONS, for_seconds(itertools.cycle(pages), its.sizes.seconds))
    expect(read, 200)
    return held, read
