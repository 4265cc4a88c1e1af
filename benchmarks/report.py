"""The table of a run, and the same as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.load import Outcome


@dataclass(frozen=True)
class Row:
    """A rate (requests a second), and as a share of the limit beside it what it should be at least."""

    what: str
    rate: float
    median_ms: float | None = None
    p99_ms: float | None = None
    beside: str = ""
    ratio: float | None = None
    target: float | None = None

    @property
    def verdict(self) -> str:
        if self.ratio is None or self.target is None:
            return ""
        return "met" if self.ratio >= self.target else "NOT MET"

    def __str__(self) -> str:
        times = "" if self.median_ms is None else f"{self.median_ms:8.1f} {self.p99_ms:8.1f}"
        ratio = "" if self.ratio is None else f"{self.ratio:6.1%} of {self.beside}, target {self.target:.0%}"
        return f"{self.what:26} {self.rate:8.0f} {times:17}  {ratio} {self.verdict}".rstrip()


@dataclass
class Report:
    """The rows of a run, printed as they come."""

    rows: list[Row] = field(default_factory=list)

    def begin(self) -> None:
        print(f"{'':26} {'per s':>8} {'p50 ms':>8} {'p99 ms':>8}")

    def note(self, what: str, outcome: Outcome) -> None:
        """A limit that was measured with requests."""
        self._say(Row(what, outcome.rate, *_times(outcome)))

    def limit(self, what: str, rate: float) -> None:
        """A limit that another program measured."""
        self._say(Row(what, rate))

    def add(self, what: str, outcome: Outcome, limit: float, beside: str, target: float) -> None:
        """What was measured, beside a limit of the same run."""
        self._say(Row(what, outcome.rate, *_times(outcome), beside, outcome.rate / limit, target))

    def write(self, path: Path) -> None:
        rows = [asdict(row) | {"verdict": row.verdict} for row in self.rows]
        path.write_text(json.dumps(rows, indent=2) + "\n")

    def _say(self, row: Row) -> None:
        self.rows.append(row)
        print(row, flush=True)


def _times(outcome: Outcome) -> tuple[float, float]:
    return outcome.percentile(50) * 1000, outcome.percentile(99) * 1000
