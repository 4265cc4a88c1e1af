"""One round of the machine: the same steps for the same seed."""

from __future__ import annotations

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.proof.machine import BoxOffice

STEPS = 50


def play(*, number: int, examples: int) -> None:
    """Raises where model and box office disagree, and prints the shortest way there."""
    seed(number)(BoxOffice)
    run_state_machine_as_test(
        BoxOffice,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def tally() -> str:
    """What was done so far, in a line."""
    done = BoxOffice.done
    ended = ", ".join(f"{done[status]} {status}" for status in ("booked", "refunded", "cancelled"))
    return f"{done['steps']} steps in {done['examples']} runs, {done['payments']} payments; {ended}"
