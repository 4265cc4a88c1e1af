"""The table of a run, and the same as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.load import Outcome


@dataclass(frozen=True)
class Row:
    """A rate (requests a second), a share of what stands beside it, or both; and what the share should be."""

    what: str
    rate: float | None = None
    median_ms: float | None = None
    p99_ms: float | None = None
    beside: str = ""
    ratio: float | None = None
    target: float | None = None
    # The target is the most that the share may be, where it is not the least.
    at_most: bool = False

    @property
    def verdict(self) -> str:
        if self.ratio is None or self.target is None:
            return ""
        is_met = self.ratio <= self.target if self.at_most else self.ratio >= self.target
        return "met" if is_met else "NOT MET"

    def __str__(self) -> str:
        rate = "" if self.rate is None else f"{self.rate:8.0f}"
        times = "" if self.median_ms is None else f"{self.median_ms:8.1f} {self.p99_ms:8.1f}"
        ratio = "" if self.ratio is None else f"{self.ratio:6.1%} of {self.beside}"
        if self.target is not None:
            ratio += f", {'at most' if self.at_most else 'at least'} {self.target:.0%}: {self.verdict}"
        return f"{self.what:32} {rate:8} {times:17}  {ratio}".rstrip()


@dataclass
class Report:
    """The rows of a run, printed as they come."""

    rows: list[Row] = field(default_factory=list)

    def begin(self) -> None:
        print(f"{'':32} {'per s':>8} {'p50 ms':>8} {'p99 ms':>8}")

    def note(self, what: str, outcome: Outcome) -> None:
        """A limit that was measured with requests."""
        self._say(Row(what, outcome.rate, *_times(outcome)))

    def limit(self, what: str, rate: float) -> None:
        """A limit that another program measured."""
        self._say(Row(what, rate))

    def add(self, what: str, outcome: Outcome, limit: float, beside: str, target: float | None) -> None:
        """What was measured, beside a limit of the same run."""
        self._say(Row(what, outcome.rate, *_times(outcome), beside, outcome.rate / limit, target))

    def bound(self, what: str, amount: float, limit: float, beside: str, most: float) -> None:
        """An amount that may be at most so many times the one beside it."""
        self._say(Row(what, beside=beside, ratio=amount / limit, target=most, at_most=True))

    def write(self, path: Path) -> None:
        rows = [asdict(row) | {"verdict": row.verdict} for row in self.rows]
        path.write_text(json.dumps(rows, indent=2) + "\n")

    def _say(self, row: Row) -> None:
        self.rows.append(row)
        print(row, flush=True)


def _times(outcome: Outcome) -> tuple[float, float]:
    return outcome.percentile(50) * 1000, outcome.percentile(99) * 1000
