"""What gave way first, as far as it can be told from outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.rush.record import Second, in_words

# A process that is so late, or uses so much of its core, measures itself.
LATE, BUSY = 0.05, 0.9
# So many times as long as in peace, and so long at all, is a wait that a buyer feels.
SLOWER, FELT = 4.0, 0.1
# The gateway's page is to blame where it is so much slower than the rest.
WORSE_THAN_THE_REST = 3.0
BOOKED_LATE = 5.0


@dataclass(frozen=True)
class Bottleneck:
    """What it was, since which second, and how it shows."""

    name: str
    since: int
    evidence: str


@dataclass(frozen=True)
class Look:
    """How one kind of bottleneck shows in a second, and what to say of it.

    What can be a hiccup counts only where it shows in two seconds in a row. `evidence` gets the
    second in which it began, and the last.
    """

    name: str
    shows: Callable[[Second], bool]
    evidence: Callable[[Second, Second], str]
    can_be_hiccup: bool = False

    def at(self, seconds: Sequence[Second]) -> Bottleneck | None:
        """The bottleneck, if there was one."""
        if self.can_be_hiccup:
            found = (first for first, after in pairwise(seconds) if self.shows(first) and self.shows(after))
        else:
            found = (second for second in seconds if self.shows(second))
        for second in found:
            return Bottleneck(self.name, second.at, self.evidence(second, seconds[-1]))
        return None


def find_bottlenecks(seconds: Sequence[Second]) -> list[Bottleneck]:
    """All that were found, the first to show first; `NONE` alone where there were none.

    Of two in the same second the one comes first that casts doubt on the other.
    """
    found = [bottleneck for look in LOOKS if (bottleneck := look.at(seconds)) is not None]
    return sorted(found, key=lambda bottleneck: bottleneck.since) or [NONE]


NONE = Bottleneck("nothing", 0, "no wait grew, no request was turned away, and tickets were left")


def _is_generator_late(second: Second) -> bool:
    return second.lag >= LATE or second.busy >= BUSY


def _is_server_slow(second: Second) -> bool:
    return second.slowness >= SLOWER and second.wait >= FELT


def _is_gateway_slow(second: Second) -> bool:
    felt = max(FELT, WORSE_THAN_THE_REST * second.wait)
    return second.gateway_slowness >= SLOWER and second.gateway_wait >= felt


LOOKS = [
    Look(
        "the generator",
        _is_generator_late,
        lambda second, _last: (
            f"the rehearsal itself was {in_words(second.lag)} late and used {second.busy:.0%} of a core: its"
            " figures say more of it than of the server"
        ),
        can_be_hiccup=True,
    ),
    Look(
        "the rate limit",
        lambda second: second.rate_limited > 0,
        lambda _second, last: (
            f"{last.rate_limited} requests were answered 429 rate_limited: raise the limits, or pass keys"
        ),
    ),
    Look(
        "errors of the server",
        lambda second: second.errors > 0,
        lambda _second, last: (
            f"{last.errors} requests were answered with an error of the server, or not at all"
        ),
    ),
    Look(
        "the server",
        _is_server_slow,
        lambda second, _last: (
            f"requests waited {in_words(second.wait)}, {second.slowness:.0f} times as long as in peace, with"
            f" {second.waiting} of them under way, while the rehearsal used {second.busy:.0%} of a core and"
            f" was {in_words(second.lag)} late: the server is saturated"
        ),
        can_be_hiccup=True,
    ),
    Look(
        "the gateway's page",
        _is_gateway_slow,
        lambda second, _last: (
            f"it took {in_words(second.gateway_wait)} where the box office took {in_words(second.wait)}"
        ),
        can_be_hiccup=True,
    ),
    Look(
        "the worker",
        lambda second: second.booked_wait >= BOOKED_LATE,
        lambda second, _last: (
            f"cards had been accepted {second.booked_wait:.1f} s before, and the tickets were booked only"
            " then, or not yet: the gateway's notices wait for a worker"
        ),
    ),
    Look(
        "sold out",
        lambda second: second.is_sold_out,
        lambda second, _last: (
            f"no ticket was free after {second.holds} holds: more speed would not have sold more"
        ),
    ),
]
