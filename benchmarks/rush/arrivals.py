"""When buyers come: most at the stroke of the hour, the others over the next minute."""

from __future__ import annotations

from random import Random

BURST_SHARE = 0.6


def arrival_times(buyers: int, dice: Random, *, seconds: float) -> list[float]:
    """When each comes, in seconds from the start, in order, and all within `seconds`.

    The burst lies in about the first tenth; the tail grows thinner from there.
    """
    burst = round(buyers * BURST_SHARE)
    times = [_within(dice, seconds / 30, seconds) for _ in range(burst)]
    times += [_within(dice, seconds / 3, seconds) for _ in range(buyers - burst)]
    return sorted(times)


def _within(dice: Random, mean: float, most: float) -> float:
    """A time that is `mean` on average; the few beyond `most` come at any time."""
    time = dice.expovariate(1 / mean)
    return time if time <= most else dice.uniform(0, most)
