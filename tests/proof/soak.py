"""`make soak`: new orders of events for as long as asked, and what was found."""

from __future__ import annotations

import os
import secrets
import time

import pytest

from tests.proof.machine import BoxOffice
from tests.proof.running import play, tally

EXAMPLES = 40


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_unreliable_gateway")
def test_soak(capsys):
    ends = time.monotonic() + 60 * float(os.environ.get("MINUTES") or 10)
    BoxOffice.done.clear()
    is_over = False
    while not is_over:
        number = int(os.environ.get("SEED") or secrets.randbits(32))
        with capsys.disabled():
            print(f"\nSeed {number} …", flush=True)
        play(number=number, examples=EXAMPLES)
        with capsys.disabled():
            print(f"{tally()}; 0 findings.", flush=True)
        is_over = bool(os.environ.get("SEED")) or time.monotonic() > ends
