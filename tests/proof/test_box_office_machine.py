"""The box office against the model: the same few thousand steps in every run."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.proof.machine import BoxOffice

EXAMPLES = int(__import__("os").environ.get("EX", "60"))
STEPS = 50


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_unreliable_gateway")
def test_every_payment_ends_as_tickets_or_as_money_back(capsys):
    BoxOffice.steps.clear()

    run_state_machine_as_test(
        BoxOffice,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=True,
            database=None,
            phases=__import__("hypothesis").Phase and [__import__("hypothesis").Phase.generate],
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

    with capsys.disabled():
        print(f"\n{dict(BoxOffice.steps)}")
    assert BoxOffice.steps["steps"] > 2000
