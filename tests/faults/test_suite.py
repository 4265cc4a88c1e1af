"""That the suite of `make faults` works, and that its journal finds what it is there for."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time

import pytest

from bookings.services import Buyer, HeldBooking, hold_tickets, release_hold
from tests.factories import make_seated_event, ticket_ids
from tests.faults.__main__ import print_table
from tests.faults.journal import Answer, Journal, Period, Told
from tests.faults.sale import HEADINGS, Noticing, lost_holds
from tests.faults.tools import wrong_clock
from ticketing.local.environment import given
from ticketing.local.paths import CHECKOUT


def test_quick_sale_with_the_cache_killed_ends_with_its_line():
    # Engines of its own, and so nothing of the addresses of this test run's.
    ours = {"DATABASE_URL", "REDIS_URL", "REDIS_LOCKS_URL", "CELERY_BROKER_URL", "PYTEST_XDIST_WORKER"}
    environment = {name: value for name, value in given().items() if name not in ours}
    command = [sys.executable, "-W", "ignore", "-m", "tests.faults", "--quick", "cache-killed"]

    done = subprocess.run(
        command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=300
    )

    line = done.stdout.splitlines()[0]
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert line.startswith("broken cache killed · requests ")
    assert line.endswith(" · oversold 0 · lost 0")


def told(number: int, tickets: set[int], since: float, until: float) -> Told:
    return Told(f"hold {number}", frozenset(tickets), since, until)


def test_journal_finds_a_ticket_that_two_had_at_once():
    journal = Journal()
    for hold in (told(1, {7, 8}, 1, 5), told(2, {8}, 4, 9), told(3, {7}, 5, 6)):
        journal.note_hold(hold)

    assert journal.sold_twice() == ["ticket 8 was hold 1's and hold 2's at once"]


def test_outage_is_the_longest_time_without_a_hold():
    moments = [0.5, 1.0, 4.0, 4.5]
    answers = [Answer("hold", moment, 0.0, 201) for moment in moments] + [Answer("hold", 2.0, 0.1, 503)]

    period = Period.of(answers, 0.0, 5.0)

    assert (period.outage, period.errors_in_words(), period.rate) == (3.0, "1 × 503", 0.8)


def test_slow_hold_of_the_first_is_told_from_slow_holds_of_all():
    first_alone = Noticing(before=[0.1, 0.1, 0.3], after=[0.6, 0.1, 0.1])
    everybody = Noticing(before=[0.1, 0.1, 0.3], after=[0.3, 0.3, 0.3])

    assert (first_alone.of_the_first, first_alone.of_the_others) == (pytest.approx(0.3), 0.0)
    assert (everybody.of_the_first, everybody.of_the_others) == (0.0, pytest.approx(0.2))


def test_table_is_printed_as_the_document_has_it(capsys):
    print_table(HEADINGS, [["cache killed", *"123456789"]])

    document = (CHECKOUT / "docs" / "reliability.md").read_text()
    head, line, row = capsys.readouterr().out.splitlines()
    assert f"\n{head}\n{line}\n| " in document
    assert row == "| cache killed | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 |"


# A worker forks the processes that work, a web server spawns those that answer, and both have threads.
CLOCKS = """
import threading, time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import datetime
from multiprocessing import get_context

began = time.monotonic()
time.sleep(0.2)
threading.Event().wait(0.2)
print(began, time.monotonic() - began)
pools = [ProcessPoolExecutor(1, get_context(how)) for how in ("fork", "spawn")] + [ThreadPoolExecutor(1)]
asked = [pool.submit(time.time) for pool in pools]
print(time.time(), datetime.now().timestamp(), *[each.result() for each in asked])
"""


@pytest.mark.parametrize("seconds", [-300, 300])
def test_program_with_a_wrong_clock_waits_as_long_as_others(seconds):
    environment = os.environ | wrong_clock(seconds)
    command = [sys.executable, "-W", "error", "-c", CLOCKS]
    time_before, monotonic_before = time.time(), time.monotonic()

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)

    (began, waited), told = (map(float, line.split()) for line in done.stdout.splitlines())
    assert list(told) == [pytest.approx(time_before + seconds, abs=60)] * 5
    assert began == pytest.approx(monotonic_before, abs=60)
    assert 0.4 <= waited < 60


# --- What is lost -----------------------------------------------------------------------


@pytest.fixture
def held(db) -> HeldBooking:
    event = make_seated_event(seats=2)
    return hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=Buyer(email="buyer@example.org"))


@pytest.fixture
def journal(held) -> Journal:
    """That of a buyer who was told of the hold."""
    journal = Journal()
    tickets = frozenset(held.booking.items.values_list("ticket", flat=True))
    journal.note_hold(Told(str(held.booking.pk), tickets, since=time.monotonic()))
    return journal


def test_hold_that_is_there_is_not_lost(journal):
    assert list(lost_holds(journal)) == []


def test_hold_that_is_not_there_is_lost(db):
    (line,) = lost_holds(Journal(holds={"1": told(1, {7}, 0, math.inf)}))

    assert line == "hold 1: told of [7], and there is None []"


def test_hold_whose_tickets_are_free_is_lost(journal, held):
    release_hold(booking_id=held.booking.pk)

    (line,) = lost_holds(journal)

    assert line == f"{held.booking.pk}: held, and is released with []"


def test_paid_hold_that_is_not_booked_is_lost(journal, held):
    journal.holds[str(held.booking.pk)].is_paid = True

    assert list(lost_holds(journal)) == [f"{held.booking.pk}: paid, and is reserved"]


def test_hold_that_nobody_was_told_of_is_found(held):
    assert list(lost_holds(Journal())) == [f"{held.booking.pk}: nobody was told of it"]


def test_buyer_who_was_never_answered_is_lost(held):
    assert list(lost_holds(Journal(unanswered=["hold bookings/"]))) == ["hold bookings/: never answered"]
