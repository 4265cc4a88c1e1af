from __future__ import annotations

import time

import pytest
from redis.exceptions import ConnectionError as NoConnection

from events.breaker import CircuitBreaker


def test_breaker_lets_one_probe_through_and_closes_again():
    breaker = CircuitBreaker("The cache", "we go without", open_seconds=0.05)
    breaker.record_failure()
    assert not breaker.allows_call()

    time.sleep(0.06)
    assert [breaker.allows_call(), breaker.allows_call()] == [True, False]

    breaker.record_success()
    assert breaker.allows_call()


def test_breaker_asks_a_part_that_is_away_once_and_goes_on_without(caplog):
    breaker = CircuitBreaker("The cache", "we go without")
    asked = []

    def ask() -> str:
        asked.append(1)
        raise NoConnection("refused")

    assert [breaker.call(ask, lambda: "without") for _ in range(3)] == ["without"] * 3
    assert len(asked) == 1
    assert [record.getMessage() for record in caplog.records] == [
        "The cache does not answer (refused); we go without."
    ]


def test_breaker_hands_on_the_answer_of_a_part_that_is_back():
    breaker = CircuitBreaker("The cache", "we go without", open_seconds=0.05)
    breaker.record_failure()
    time.sleep(0.06)

    assert [breaker.call(lambda: "with", lambda: "without") for _ in range(2)] == ["with", "with"]


def test_breaker_hides_no_mistake_of_ours():
    breaker = CircuitBreaker("The cache", "we go without")

    with pytest.raises(ZeroDivisionError):
        breaker.call(lambda: 1 // 0, lambda: 0)
    assert breaker.allows_call()
