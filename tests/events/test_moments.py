"""What is kept for a moment: for how long, for whom, and when it is made anew."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from events import locks
from events.moments import AHEAD, HALLS, MAX_AGE, SMALL_HALL, Moments
from tests.events.clock import Clock

EVENT = 7
# Seconds, and no fractions that a float has not: what takes so long is made anew at this age.
COST = 0.125
DUE_AGE = MAX_AGE - AHEAD * COST


@dataclass(frozen=True)
class Shown:
    number: int
    event_id: int = EVENT
    ticket_count: int = SMALL_HALL + 1


class Painter:
    """Makes numbered pictures, each of which takes `seconds` of the clock."""

    def __init__(self, clock: Clock, tickets: int = SMALL_HALL + 1) -> None:
        self.clock, self.tickets = clock, tickets
        self.made = 0
        self.seconds = 0.0

    def __call__(self) -> Shown:
        self.made += 1
        self.clock.now += self.seconds
        return Shown(self.made, ticket_count=self.tickets)


def give_back_a_ticket() -> None:
    locks.release(EVENT, [1], uuid4())


def test_small_hall_is_made_for_each_reader(clock: Clock):
    shown, paint = Moments[Shown](), Painter(clock, SMALL_HALL)

    assert [shown.read("hall", paint).number for _ in range(3)] == [1, 2, 3]


def test_one_who_peeks_in_each_second_does_without_what_grows_old(clock: Clock):
    shown, paint = Moments[Shown](), Painter(clock)
    shown.read("hall", paint)

    def peek() -> list[bool]:
        return [shown.peek("hall", max_age=30) is not None for _ in range(3)]

    clock.now += 15
    assert peek() == [True, True, True]
    clock.now += 0.5
    assert peek() == [False, True, True]
    clock.now += 0.75
    assert peek() == [True, True, True]
    clock.now += 0.25
    assert peek() == [False, True, True]
    clock.now += 14
    assert peek() == [False, False, False]
    assert paint.made == 1


def test_large_hall_is_made_once_for_all_until_it_is_due(clock: Clock):
    shown, paint = Moments[Shown](), Painter(clock)
    paint.seconds = COST
    assert shown.read("hall", paint).number == 1

    # It is of the moment when it was begun.
    clock.now += DUE_AGE - COST - 0.01
    assert shown.read("hall", paint).number == 1

    clock.now += 0.01
    assert shown.read("hall", paint).number == 2


def test_each_event_has_its_own(clock: Clock):
    shown, here, there = Moments[Shown](), Painter(clock), Painter(clock)
    there.made = 10

    assert (shown.read("here", here).number, shown.read("there", there).number) == (1, 11)
    assert (shown.read("here", here).number, shown.read("there", there).number) == (1, 11)


@pytest.mark.parametrize("change", ["keep", "release"])
def test_change_is_in_the_next_that_is_read(clock: Clock, change: str):
    shown, paint = Moments[Shown](), Painter(clock)
    assert shown.read("hall", paint).number == 1

    if change == "keep":
        locks.keep(EVENT, [1], uuid4(), milliseconds=60_000)
    else:
        give_back_a_ticket()

    assert [shown.read("hall", paint).number for _ in range(3)] == [2, 2, 2]


def test_change_by_another_process_is_in_the_next_that_is_read(clock: Clock):
    shown, paint = Moments[Shown](), Painter(clock)
    assert shown.read("hall", paint).number == 1

    program = f"""
import django
django.setup()
from uuid import uuid4
from events import locks
locks.keep({EVENT}, [1], uuid4(), milliseconds=60_000)
"""
    subprocess.run([sys.executable, "-c", program], check=True)

    assert set(locks.owners(EVENT)) == {1}
    assert [shown.read("hall", paint).number for _ in range(2)] == [2, 2]


def test_change_while_it_is_made_is_in_the_next(clock: Clock):
    shown, paint = Moments[Shown](), Painter(clock)
    shown.read("hall", paint)
    give_back_a_ticket()

    def make() -> Shown:
        give_back_a_ticket()
        return paint()

    assert shown.read("hall", make).number == 2
    assert shown.read("hall", paint).number == 3


def test_rush_of_changes_costs_a_tenth_of_the_time(clock: Clock):
    shown, paint = Moments[Shown](), Painter(clock)
    paint.seconds = 0.02
    start = clock.now

    for _ in range(1000):
        clock.now += 0.005
        give_back_a_ticket()
        shown.read("hall", paint)

    assert paint.made * paint.seconds / (clock.now - start) == pytest.approx(0.1, rel=0.1)


def test_nothing_is_older_than_its_age_however_dear_it_is(clock: Clock):
    shown, paint = Moments[Shown](), Painter(clock)
    paint.seconds = 0.4
    assert shown.read("hall", paint).number == 1

    clock.now = 1000.0 + MAX_AGE / 2 - 0.01
    assert shown.read("hall", paint).number == 1
    clock.now = 1000.0 + MAX_AGE
    assert shown.read("hall", paint).number == 2


def test_readers_who_may_be_behind_ask_for_each_other(clock: Clock, monkeypatch):
    shown, paint = Moments[Shown](), Painter(clock)
    shown.read("hall", paint)
    shown.read("hall", paint, behind=0.25)
    give_back_a_ticket()

    with monkeypatch.context() as nobody_asks:
        nobody_asks.setattr(locks, "last_change", fail)
        assert [shown.read("hall", paint, behind=0.25).number for _ in range(2)] == [1, 1]
    assert shown.read("hall", paint).number == 2

    give_back_a_ticket()
    clock.now += 0.25
    assert shown.read("hall", paint, behind=0.25).number == 3


def test_without_the_lock_cache_it_is_kept_until_it_is_due(clock: Clock, monkeypatch):
    shown, paint = Moments[Shown](), Painter(clock)
    monkeypatch.setattr(locks, "raw_client", fail)
    shown.read("hall", paint)

    assert shown.read("hall", paint).number == 1
    clock.now += MAX_AGE
    assert shown.read("hall", paint).number == 2


def fail(*_arguments: Any) -> Any:
    raise ConnectionError


@pytest.mark.parametrize(("age", "waits"), [(DUE_AGE, False), (MAX_AGE, True)])
def test_while_one_makes_it_the_others_take_the_last_unless_it_is_too_old(
    clock: Clock, age: float, waits: bool
):
    shown, paint = Moments[Shown](), Painter(clock)
    paint.seconds = COST
    shown.read("hall", paint)
    clock.now = 1000.0 + age
    is_making, may_end = threading.Event(), threading.Event()
    found: list[int] = []

    def make_slowly() -> Shown:
        is_making.set()
        assert may_end.wait(10)
        return paint()

    def read() -> None:
        found.append(shown.read("hall", paint).number)

    first = threading.Thread(target=lambda: shown.read("hall", make_slowly))
    first.start()
    assert is_making.wait(10)
    second = threading.Thread(target=read)
    second.start()
    second.join(0.2 if waits else 10)
    assert second.is_alive() == waits
    may_end.set()
    first.join(10)
    second.join(10)

    assert found == [2 if waits else 1]
    assert paint.made == 2


def test_error_is_the_readers_and_the_next_tries_again(clock: Clock):
    shown, paint = Moments[Shown](), Painter(clock)
    shown.read("hall", paint)
    clock.now += MAX_AGE

    def break_down() -> Shown:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        shown.read("hall", break_down)
    assert shown.read("hall", paint).number == 2


def test_only_so_many_halls_are_kept(clock: Clock):
    shown, paint = Moments[Shown](), Painter(clock)
    for number in range(HALLS + 1):
        shown.read(f"hall-{number}", paint)

    assert shown.read(f"hall-{HALLS}", paint).number == HALLS + 1
    assert shown.read("hall-1", paint).number == 2
    assert shown.read("hall-0", paint).number == HALLS + 2
