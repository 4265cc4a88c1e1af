"""What the operator reads: a line while it runs, a page at the end, and the same as JSON."""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, TextIO

from benchmarks.rush.bottleneck import Bottleneck, find_bottlenecks
from benchmarks.rush.record import STEPS, Record, in_words, percentile

WIDTH = 79
# Without a terminal a line stays, so there are fewer.
SECONDS_PER_LINE = 5


class Progress:
    """One line that is written anew every second; without a terminal, a line every few seconds."""

    def __init__(self, buyers: int, out: TextIO | None = None) -> None:
        self.buyers = buyers
        self.out = out or sys.stdout
        self.is_terminal = self.out.isatty()

    def __call__(self, record: Record) -> None:
        second = record.seconds[-1]
        text = (
            f"{_clock(second.at)}  {second.arrived} of {self.buyers} came, "
            f"{second.arrived - record.endings.total()} are in;  {second.holds} holds, "
            f"{record.counts['sold']} sold;  {in_words(second.wait)} wait, {second.waiting} waiting"
        )
        if self.is_terminal:
            self.out.write(f"\r{text[:WIDTH]:{WIDTH}}")
        elif len(record.seconds) % SECONDS_PER_LINE == 0:
            self.out.write(f"{text}\n")
        self.out.flush()

    def close(self) -> None:
        """Leave the last line as it is."""
        if self.is_terminal:
            self.out.write("\n")


@dataclass(frozen=True, kw_only=True)
class Report:
    """One rehearsal, summed up. Waits are in seconds."""

    url: str
    event: str
    buyers: int
    seed: int
    seconds: float
    ended: str
    arrived: int
    holds: int
    holds_per_second: float
    holds_in_best_second: int
    tickets_sold: int
    bookings: int
    tickets_abandoned: int
    tickets_given_back: int
    tickets_left_held: int
    oversold: list[int]
    errors_shown: int
    failures: dict[str, int]
    refusals: dict[str, int]
    endings: dict[str, int]
    waits: dict[str, dict[str, float]]
    bottlenecks: list[Bottleneck]
    other_gateway: str
    timeline: list[dict[str, Any]]

    @property
    def is_good(self) -> bool:
        """Whether nothing was oversold, and every request answered as the contract says."""
        return not self.oversold and not self.failures

    def as_json(self) -> dict[str, Any]:
        return {
            "first_bottleneck": asdict(self.bottlenecks[0]),
            **asdict(self),
        }

    def lines(self) -> Iterator[str]:
        """The page, at most 80 columns wide."""
        yield from _paragraph(f"{self.event} at {self.url}")
        yield f"{self.arrived} buyers in {self.seconds:.0f} s, SEED={self.seed}; it ended {self.ended}"
        yield ""
        yield from self._tickets()
        yield ""
        yield from self._waits()
        yield ""
        yield from _table("refused, by code", self.refusals)
        yield from _table("failed, without a problem document", self.failures)
        yield from _table("how buyers left", self.endings)
        yield from self._bottlenecks()

    def _tickets(self) -> Iterator[str]:
        yield (
            f"holds         {self.holds}, {self.holds_per_second:.1f} a second from the first to the last,"
            f" {self.holds_in_best_second} in the best"
        )
        yield f"sold          {self.tickets_sold} tickets in {self.bookings} bookings"
        yield f"oversold      {len(self.oversold)}{_some(self.oversold)}"
        yield f"abandoned     {self.tickets_abandoned} tickets, by buyers who left without a word"
        yield f"given back    {self.tickets_given_back} tickets, those that the rehearsal gave back included"
        if self.tickets_left_held:
            yield f"still held    {self.tickets_left_held} tickets: free in ten minutes, unless they are paid"
        yield f"errors shown  {self.errors_shown}"

    def _waits(self) -> Iterator[str]:
        yield f"{'waits':<18}{'times':>8}{'median':>11}{'p95':>11}{'p99':>11}{'longest':>11}"
        for step, wait in self.waits.items():
            shown = [wait[name] for name in ("median", "p95", "p99", "longest")]
            yield f"  {step:<16}{wait['times']:>8.0f}" + "".join(f"{in_words(value):>11}" for value in shown)

    def _bottlenecks(self) -> Iterator[str]:
        first, *others = self.bottlenecks
        yield from _paragraph(f"First bottleneck: {_described(first)}.")
        for other in others:
            yield from _paragraph(f"Then: {_described(other)}.")
        if self.other_gateway:
            yield from _paragraph(
                f"Nobody paid: payments go to {self.other_gateway}, not to the sandbox."
                " The seats were given back."
            )


def _described(bottleneck: Bottleneck) -> str:
    since = f", from {_clock(bottleneck.since)}" if bottleneck.name != "nothing" else ""
    return f"{bottleneck.name}{since}; {bottleneck.evidence}"


def _paragraph(text: str) -> Iterator[str]:
    yield from textwrap.wrap(text, WIDTH, subsequent_indent="  ")


def _table(title: str, counted: dict[str, int]) -> Iterator[str]:
    if not counted:
        return
    yield title
    for name, count in counted.items():
        yield f"{count:>8}  {name}"[:WIDTH]
    yield ""


def _some(tickets: list[int]) -> str:
    if not tickets:
        return ""
    return f": tickets {', '.join(map(str, tickets[:8]))}{' and others' if len(tickets) > 8 else ''}"


def summarise(
    record: Record, *, url: str, event: str, buyers: int, seed: int, left_held: int, other_gateway: str
) -> Report:
    """The report of a rehearsal that has ended."""
    counts = record.counts
    return Report(
        url=url,
        event=event,
        buyers=buyers,
        seed=seed,
        seconds=record.lasted,
        ended=record.ended,
        arrived=counts["arrived"],
        holds=counts["holds"],
        holds_per_second=_rate(record.hold_times),
        holds_in_best_second=max(Counter(map(int, record.hold_times)).values(), default=0),
        tickets_sold=counts["sold"],
        bookings=counts["bookings"],
        tickets_abandoned=counts["abandoned"],
        tickets_given_back=counts["given_back"],
        tickets_left_held=left_held,
        oversold=record.oversold,
        errors_shown=counts["errors"],
        failures=dict(record.failures.most_common()),
        refusals=dict(record.refusals.most_common()),
        endings=dict(record.endings.most_common()),
        waits=_waits(record),
        bottlenecks=find_bottlenecks(record.seconds),
        other_gateway=other_gateway,
        timeline=[asdict(second) for second in record.seconds],
    )


def _rate(times: list[float]) -> float:
    """Holds per second, from the first to the last."""
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0


def _waits(record: Record) -> dict[str, dict[str, float]]:
    found = {}
    for step in STEPS:
        waits = sorted(wait.seconds for wait in record.waits if wait.step == step)
        if waits:
            found[step] = {
                "times": len(waits),
                "median": percentile(waits, 50),
                "p95": percentile(waits, 95),
                "p99": percentile(waits, 99),
                "longest": waits[-1],
            }
    return found


def _clock(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02}"
