"""The locks in the cache: all or none, three answers, and a dead cache that costs milliseconds."""

from __future__ import annotations

import socket
import time
from uuid import uuid4

import pytest
from django.core.cache import cache
from django_redis import get_redis_connection

from events import locks
from events.locks import LockResult

EVENT = 7


def point_locks_at(settings, url: str) -> None:
    """Use another cache server for the locks until the test ends."""
    settings.CACHES = {**settings.CACHES, "locks": {**settings.CACHES["locks"], "LOCATION": url}}


def test_take_gets_all_or_none():
    first, second = uuid4(), uuid4()

    assert locks.take(EVENT, [1, 2], first) is LockResult.GOT
    assert locks.take(EVENT, [2, 3], second) is LockResult.TAKEN

    assert locks.owners(EVENT) == {1: first, 2: first}


def test_take_first_gets_the_first_choice_that_is_wholly_free_and_no_other():
    first, second = uuid4(), uuid4()
    locks.take(EVENT, [2, 5], first)

    assert locks.take_first(EVENT, [[1, 2], [3, 4], [6, 7]], second) == (LockResult.GOT, 1)
    assert locks.owners(EVENT) == {2: first, 5: first, 3: second, 4: second}
    assert locks.kept_beyond_lease(EVENT, [3, 4]) == set()

    assert locks.take_first(EVENT, [[1, 2], [4, 6]], uuid4()) == (LockResult.TAKEN, 2)
    assert set(locks.owners(EVENT)) == {2, 3, 4, 5}


def test_take_is_for_a_lease_and_keep_for_the_hold():
    booking = uuid4()
    locks.take(EVENT, [1, 2], booking)
    assert locks.kept_beyond_lease(EVENT, [1, 2]) == set()

    locks.keep(EVENT, [1], booking, milliseconds=600_000)

    assert locks.kept_beyond_lease(EVENT, [1, 2]) == {1}


def test_each_lock_ends_by_its_own_time():
    booking = uuid4()
    locks.take(EVENT, [1, 2], booking)
    locks.keep(EVENT, [2], booking, milliseconds=30)

    time.sleep(0.05)

    assert set(locks.owners(EVENT)) == {1}


def test_keep_of_a_hold_that_has_ended_writes_nothing():
    locks.keep(EVENT, [1], uuid4(), milliseconds=0)

    assert locks.owners(EVENT) == {}


def test_release_gives_back_only_what_the_booking_owns():
    mine, another = uuid4(), uuid4()
    locks.take(EVENT, [1], mine)
    locks.take(EVENT, [2], another)

    locks.release(EVENT, [1, 2], mine)

    assert locks.owners(EVENT) == {2: another}


def test_locks_of_one_event_do_not_touch_another():
    locks.take(1, [5], uuid4())

    assert locks.take(2, [5], uuid4()) is LockResult.GOT
    assert sorted(locks.events_with_locks()) == [1, 2]


def test_locked_among_asks_for_no_more_than_these():
    locks.take(EVENT, [1, 3], uuid4())

    assert locks.locked_among(EVENT, [1, 2]) == {1}
    assert locks.locked_among(EVENT, []) == frozenset()


def test_clearing_the_cache_leaves_the_locks():
    locks.take(EVENT, [1], uuid4())

    cache.clear()

    assert set(locks.owners(EVENT)) == {1}


def test_locks_are_found_where_the_key_function_says():
    locks.take(EVENT, [1], uuid4())

    assert get_redis_connection("locks").keys() == [locks.lock_key(EVENT).encode()]


@pytest.fixture
def _refused(settings):
    """A port where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    point_locks_at(settings, f"redis://127.0.0.1:{port}/0")


@pytest.fixture
def _silent(settings):
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        point_locks_at(settings, f"redis://127.0.0.1:{server.getsockname()[1]}/0")
        yield


@pytest.mark.parametrize("fault", ["_refused", "_silent"])
def test_cache_that_is_away_is_unknown_and_asked_only_once(request, fault):
    request.getfixturevalue(fault)
    began = time.monotonic()

    answers = [locks.take(EVENT, [1], uuid4()) for _time in range(100)]
    locks.release(EVENT, [1], uuid4())

    assert set(answers) == {LockResult.UNKNOWN}
    assert locks.take_first(EVENT, [[1]], uuid4()) == (LockResult.UNKNOWN, 0)
    assert locks.locked_fields(EVENT) is None
    assert locks.owners(EVENT) == {}
    # A hundred calls at 50 ms each would take five seconds; the breaker lets one of them wait.
    assert time.monotonic() - began < 2
