"""What buyers were told, kept outside of the box office: it decides what was lost and what was sold twice."""

from __future__ import annotations

import math
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median


@dataclass(frozen=True)
class Answer:
    """One request and what came back; status 0 where nothing did."""

    what: str
    sent: float
    seconds: float
    status: int
    code: str = ""
    retry_after: str = ""

    @property
    def is_error(self) -> bool:
        """Whether the buyer saw something that is the box office's own fault."""
        return self.status == 0 or self.status >= 500

    @property
    def ended(self) -> float:
        return self.sent + self.seconds


@dataclass
class Told:
    """A hold that a buyer was told of: which tickets, from when, and until when it was not given back."""

    id: str
    tickets: frozenset[int]
    since: float
    until: float = math.inf
    is_released: bool = False
    is_paid: bool = False


@dataclass
class Journal:
    answers: list[Answer] = field(default_factory=list)
    holds: dict[str, Told] = field(default_factory=dict)
    # Buyers who asked and asked, and were never told.
    unanswered: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def note(self, answer: Answer) -> None:
        with self._lock:
            self.answers.append(answer)

    def note_hold(self, told: Told) -> None:
        with self._lock:
            self.holds[told.id] = told

    def sold_twice(self) -> list[str]:
        """A line for each ticket that two buyers were told to have at once."""
        claims = defaultdict(list)
        for told in self.holds.values():
            for ticket in told.tickets:
                claims[ticket].append((told.since, told.until, told.id))
        return [
            f"ticket {ticket} was {first[2]}'s and {second[2]}'s at once"
            for ticket, times in claims.items()
            for first, second in pairwise(sorted(times))
            if second[0] < first[1]
        ]


@dataclass(frozen=True)
class Period:
    """The answers to requests that were sent in a part of the sale."""

    began: float
    ended: float
    answers: list[Answer]

    @classmethod
    def of(cls, answers: Iterable[Answer], began: float, ended: float) -> Period:
        return cls(began, ended, [answer for answer in answers if began <= answer.sent < ended])

    def only(self, what: str) -> Period:
        return Period(self.began, self.ended, [answer for answer in self.answers if answer.what == what])

    @property
    def errors(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.is_error]

    @property
    def held(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.what == "hold" and answer.status == 201]

    @property
    def refused(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.what == "hold" and answer.status == 409]

    @property
    def rate(self) -> float:
        """Holds a second."""
        return len(self.held) / (self.ended - self.began)

    @property
    def slowest(self) -> float:
        return max((answer.seconds for answer in self.answers), default=0.0)

    @property
    def usual(self) -> float:
        return median([answer.seconds for answer in self.answers] or [0.0])

    @property
    def outage(self) -> float:
        """The longest time in which nobody was told of a hold."""
        moments = sorted(answer.ended for answer in self.held)
        return max((later - earlier for earlier, later in pairwise([self.began, *moments])), default=0.0)

    def errors_in_words(self) -> str:
        kinds = Counter(str(answer.status or "broken") for answer in self.errors)
        return ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items())) or "0"
