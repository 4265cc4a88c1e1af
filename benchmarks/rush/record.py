"""What was seen: waits, refusals, errors, who was given which ticket, and one line for every second."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from benchmarks.client import Answer

GATEWAY_STEPS = frozenset({"payment page", "card"})
# From the card that was accepted to the booking that says so: no request, but a wait all the same.
TO_BOOKED = "card to booked"
STEPS = (
    "event page",
    "assets",
    "availability",
    "hold",
    "details",
    "payment start",
    "payment page",
    "card",
    "look at booking",
    "give back",
    TO_BOOKED,
)


class Wait(NamedTuple):
    """One wait: its step, when it ended in seconds from the start, and how long it was."""

    step: str
    ended: float
    seconds: float


class Claim(NamedTuple):
    """For how long a ticket was one booking's, by what its buyer was told."""

    ticket: int
    booking: str
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Second:
    """One second of the rush, as it looked from outside. Waits are medians, in seconds.

    `slowness` is how many times longer a request took than the same one did when nobody was there.
    """

    at: int
    arrived: int = 0
    waiting: int = 0
    answered: int = 0
    holds: int = 0
    wait: float = 0.0
    slowness: float = 1.0
    gateway_wait: float = 0.0
    gateway_slowness: float = 1.0
    booked_wait: float = 0.0
    rate_limited: int = 0
    errors: int = 0
    is_sold_out: bool = False
    lag: float = 0.0
    busy: float = 0.0


@dataclass
class Record:
    """Everything that was counted. `idle` says how long each step took when nobody was there."""

    idle: dict[str, float]
    started: float = field(default_factory=time.monotonic)
    waits: list[Wait] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    claims: defaultdict[str, list[Claim]] = field(default_factory=lambda: defaultdict(list))
    hold_times: list[float] = field(default_factory=list)
    seconds: list[Second] = field(default_factory=list)
    lasted: float = 0.0
    ended: str = ""
    # Since when each paid booking waits to be booked, also when its buyer has given up.
    unbooked: dict[str, float] = field(default_factory=dict)
    _under_way: dict[int, tuple[str, float]] = field(default_factory=dict)
    _told: int = 0

    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    # --- Requests ---------------------------------------------------------------------------

    def begin(self, step: str) -> int:
        """A request goes out; the mark to end it with."""
        self.counts["requests"] += 1
        mark = self.counts["requests"]
        self._under_way[mark] = (step, self.now())
        return mark

    def end(self, mark: int) -> float:
        """The request is over, one way or the other; since when it was under way."""
        return self._under_way.pop(mark)[1]

    def note_answer(self, step: str, begun: float, answer: Answer) -> None:
        """An answer came: how long it took, and what kind of answer it is."""
        self.note_wait(step, begun)
        if answer.status < 400:
            return
        if answer.is_problem:
            self.refusals[str(answer.json().get("code"))] += 1
            self.counts["rate_limited"] += answer.status == 429
            self.counts["errors"] += answer.status >= 500
        else:
            self.note_failure(f"{step}: {answer.status} without a problem document")

    def note_failure(self, reason: str) -> None:
        """A request that nobody answered, or with an error that says nothing."""
        self.failures[reason] += 1
        self.counts["errors"] += 1

    def note_wait(self, step: str, begun: float) -> None:
        now = self.now()
        self.waits.append(Wait(step, now, now - begun))

    @property
    def under_way(self) -> int:
        return len(self._under_way)

    # --- Tickets ----------------------------------------------------------------------------

    def claim(self, tickets: Iterable[int], booking: str, *, start: float, end: float) -> None:
        """The tickets were this booking's from `start` to `end` at least."""
        self.claims[booking] += [Claim(ticket, booking, start, end) for ticket in tickets]

    def cut_claims(self, booking: str, *, end: float) -> None:
        """From `end` on the tickets may be anybody's: they have been given back."""
        claims = self.claims[booking]
        self.claims[booking] = [claim._replace(end=min(claim.end, end)) for claim in claims]

    @property
    def oversold(self) -> list[int]:
        """The tickets that two bookings had at the same time, by what their buyers were told."""
        return find_oversold(claim for claims in self.claims.values() for claim in claims)

    # --- The second that has passed -----------------------------------------------------------

    def close_second(self, *, lag: float, busy: float) -> None:
        """Sum up what came since the last one was closed."""
        fresh, self._told = self.waits[self._told :], len(self.waits)
        answered = sum(wait.step != TO_BOOKED for wait in fresh)
        now = self.now()
        # Who has waited for longer than this second has no wait to show yet.
        fresh += [Wait(step, now, now - begun) for step, begun in self._under_way.values() if now - begun > 1]
        office = [wait for wait in fresh if wait.step not in GATEWAY_STEPS and wait.step != TO_BOOKED]
        gateway = [wait for wait in fresh if wait.step in GATEWAY_STEPS]
        booked = [wait.seconds for wait in fresh if wait.step == TO_BOOKED]
        booked += [now - begun for begun in self.unbooked.values() if now - begun > 1]
        self.seconds.append(
            Second(
                at=int(now),
                arrived=self.counts["arrived"],
                waiting=self.under_way,
                answered=answered,
                holds=self.counts["holds"],
                wait=_median(wait.seconds for wait in office),
                slowness=self._slowness(office),
                gateway_wait=_median(wait.seconds for wait in gateway),
                gateway_slowness=self._slowness(gateway),
                booked_wait=_median(booked),
                rate_limited=self.counts["rate_limited"],
                errors=self.counts["errors"],
                is_sold_out=bool(self.counts["looks_in_vain"]),
                lag=lag,
                busy=busy,
            )
        )

    def _slowness(self, waits: Sequence[Wait]) -> float:
        ratios = [wait.seconds / self.idle[wait.step] for wait in waits if self.idle.get(wait.step)]
        return median(ratios) if ratios else 1.0


def _median(values: Iterable[float]) -> float:
    found = list(values)
    return median(found) if found else 0.0


def find_oversold(claims: Iterable[Claim]) -> list[int]:
    """The tickets of which two claims, of different bookings, have a moment in common."""
    of_ticket: defaultdict[int, list[Claim]] = defaultdict(list)
    for claim in claims:
        of_ticket[claim.ticket].append(claim)
    return sorted(ticket for ticket, claims in of_ticket.items() if _overlap(claims))


def _overlap(claims: list[Claim]) -> bool:
    """Whether two of them, of different bookings, have a moment in common."""
    claims.sort(key=lambda claim: claim.start)
    return any(
        earlier.booking != later.booking and later.start < earlier.end
        for number, later in enumerate(claims)
        for earlier in claims[:number]
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The value that `percent` of a sorted list do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def in_words(seconds: float) -> str:
    """A wait as people read it."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
