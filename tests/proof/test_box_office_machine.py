"""The box office against the model: the same few thousand steps in every run."""

from __future__ import annotations

import pytest

from tests.proof.machine import BoxOffice
from tests.proof.running import play, tally

SEED = 1
EXAMPLES = 50


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_unreliable_gateway")
def test_every_payment_ends_as_tickets_or_as_money_back(capsys):
    BoxOffice.done.clear()

    play(number=SEED, examples=EXAMPLES)

    with capsys.disabled():
        print(f"\nSeed {SEED}: {tally()}.")
    assert BoxOffice.done["steps"] > 2000
    assert BoxOffice.done["payments"] > 50
