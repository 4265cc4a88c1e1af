"""What is made of a large hall's tickets, kept in this process for a moment.

A hall that many look at is read once for all of them and not for each. What is shown is never older than
`MAX_AGE` (only hints `peek` at something older), and made anew at once when the lock cache says that tickets
were held or given back since (`events.locks.last_change`), by whichever process; readers who may be a
little behind ask for each other. In a rush that is the case at every read: so that the pictures do not cost
more than the sale, making them takes no more than a share of the time.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from events import locks

# Seconds. Whoever comes to something older waits for the new one.
MAX_AGE = 1.0
# So many times as long as the last one took, before that age, one reader makes the next, so that the
# others need not wait. On a busy server that is earlier, but never before half of the age.
AHEAD = 3
# What took a second to make is kept for this many seconds if it may be, whatever changes.
COST_FACTOR = 10
# Seconds between two who peek and do without what grows old.
MISS_SECONDS = 1.0
# A hall with no more tickets than this is read each time: few can crowd it, and it is never old.
SMALL_HALL = 400
# So many halls are kept, small ones for hints among them; the one that was made the longest ago goes first.
HALLS = 128


class OfAHall(Protocol):
    """Anything that shows the tickets of one event."""

    @property
    def event_id(self) -> int: ...

    @property
    def ticket_count(self) -> int: ...


Shown = TypeVar("Shown", bound=OfAHall)


@dataclass
class _Kept(Generic[Shown]):
    shown: Shown
    # What `locks.last_change` said before it was made; by the clock of `time.monotonic`, when that was.
    last_change: bytes | None
    made_at: float
    # The seconds that it took.
    cost: float
    # Held by whoever makes the next one.
    turn: threading.Lock = field(default_factory=threading.Lock)
    # When the lock cache was asked last.
    asked_at: float = 0.0
    # When a reader who peeked was last told that there is none.
    missed_at: float = 0.0

    @property
    def age(self) -> float:
        return time.monotonic() - self.made_at

    def is_due(self, behind: float) -> bool:
        """Whether it is time for a new one; what changed in the last `behind` seconds may be missed.

        Asks the lock cache, unless its answer would change nothing.
        """
        now = time.monotonic()
        age = now - self.made_at
        if age >= max(MAX_AGE / 2, MAX_AGE - AHEAD * self.cost):
            return True
        if age < COST_FACTOR * self.cost or now - self.asked_at < behind:
            return False
        self.asked_at = now
        return locks.last_change(self.shown.event_id) != self.last_change


class Moments(Generic[Shown]):
    """Things of one kind by the event's slug, each kept for a moment where its hall is large."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Kept[Shown]] = OrderedDict()
        self._lock = threading.Lock()

    def read(
        self, slug: str, make: Callable[[], Shown], *, keep_small: bool = False, behind: float = 0.0
    ) -> Shown:
        """What is kept for the slug, or what `make` makes now. Raises what `make` raises.

        A small hall is kept only with `keep_small`, and for those alone who ask so. With `behind`, what
        changed in so many seconds may be missing, which saves asking whether anything did.
        """
        kept = self._kept.get(slug)
        if kept is not None and kept.shown.ticket_count <= SMALL_HALL and not keep_small:
            return make()
        if kept is None:
            return self._make(slug, make, None, keep_small)
        if not kept.is_due(behind):
            return kept.shown
        # One makes it; the others take the last one while they may, and wait if they must.
        must_wait = kept.age >= MAX_AGE
        # Whoever waited for nothing makes one too: all then meet the same obstacle at once.
        if not (kept.turn.acquire(timeout=MAX_AGE) if must_wait else kept.turn.acquire(blocking=False)):
            return make() if must_wait else kept.shown
        try:
            newest = self._kept.get(slug)
            if newest is not None and newest is not kept and not newest.is_due(behind):
                return newest.shown
            return self._make(slug, make, kept, keep_small)
        finally:
            kept.turn.release()

    def peek(self, slug: str, *, max_age: float) -> Shown | None:
        """What is kept for the slug, if it is not older than so many seconds, as it is. Asks nothing.

        None for one reader in each second of the last half of that time, so that whoever then does without
        has a new one made: else all would come to the end of it at once.
        """
        kept = self._kept.get(slug)
        if kept is None or kept.age > max_age:
            return None
        now = time.monotonic()
        if kept.age > max_age / 2 and now - kept.missed_at >= MISS_SECONDS:
            kept.missed_at = now
            return None
        return kept.shown

    def has_large(self, slug: str) -> bool:
        """Whether something of a large hall is kept for the slug, of whatever age."""
        kept = self._kept.get(slug)
        return kept is not None and kept.shown.ticket_count > SMALL_HALL

    def clear(self) -> None:
        """Keep nothing of what was kept."""
        with self._lock:
            self._kept.clear()

    def _make(
        self, slug: str, make: Callable[[], Shown], before: _Kept[Shown] | None, keep_small: bool
    ) -> Shown:
        # Asked first: what changes while it is made is noticed at the next read.
        last_change = None if before is None else locks.last_change(before.shown.event_id)
        began = time.monotonic()
        shown = make()
        cost = time.monotonic() - began
        with self._lock:
            self._kept.pop(slug, None)
            if keep_small or shown.ticket_count > SMALL_HALL:
                turn = threading.Lock() if before is None else before.turn
                self._kept[slug] = _Kept(shown, last_change, began, cost, turn)
                while len(self._kept) > HALLS:
                    self._kept.popitem(last=False)
        return shown
