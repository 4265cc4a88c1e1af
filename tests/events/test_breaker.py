from __future__ import annotations

import time

from events.breaker import CircuitBreaker


def test_breaker_lets_one_probe_through_and_closes_again():
    breaker = CircuitBreaker(open_seconds=0.05)
    breaker.record_failure()
    assert not breaker.allows_call()

    time.sleep(0.06)
    assert [breaker.allows_call(), breaker.allows_call()] == [True, False]

    breaker.record_success()
    assert breaker.allows_call()
