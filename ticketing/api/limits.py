"""How often one caller may ask, told in every answer's `RateLimit` header.

Counted in the cache with one round trip; where the cache is away, each process counts for
itself, so that the limit weakens but never goes.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from events.breaker import CircuitBreaker
from events.raw_clients import raw_client
from events.requests import network_of

if TYPE_CHECKING:
    from rest_framework.views import APIView

WINDOW_SECONDS = 60
READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

breaker = CircuitBreaker("The cache", "each process counts requests for itself")
_local_counts: dict[str, int] = {}
_local_lock = threading.Lock()


class CallerThrottle(BaseThrottle):
    """A fixed window of a minute per caller, reads and writes apart."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        self.seconds_left, is_within = count_call(request, caller_of(request))
        return is_within

    def wait(self) -> float:
        return self.seconds_left


def count_call(request: Request, caller: str) -> tuple[int, bool]:
    """Count one more call; the seconds until the window ends, and whether the call is within the limit."""
    kind, limit = _budget(request)
    now = time.time()
    window = int(now // WINDOW_SECONDS)
    count = count_request(f"limit:1:{kind}:{caller}:{window}")
    seconds_left = max(1, int((window + 1) * WINDOW_SECONDS - now))
    # Read by ApiHeadersMiddleware, which sees the response that a throttle never does.
    request._request.rate_limit = (  # type: ignore[attr-defined]
        kind,
        limit,
        max(0, limit - count),
        seconds_left,
    )
    return seconds_left, count <= limit


def rate_limit_headers(request: Any) -> dict[str, str]:
    """The `RateLimit` headers of an answer, after draft-ietf-httpapi-ratelimit-headers-10."""
    found = getattr(request, "rate_limit", None)
    if found is None:
        return {}
    kind, limit, remaining, seconds = found
    return {
        "RateLimit-Policy": f'"{kind}";q={limit};w={WINDOW_SECONDS}',
        "RateLimit": f'"{kind}";r={remaining};t={seconds}',
    }


def caller_of(request: Request) -> str:
    """A word for who calls: the account, else the network address."""
    if request.user.is_authenticated:
        return f"account:{request.user.pk}"
    return address_of(request)


def address_of(request: Request) -> str:
    return f"address:{network_of(request)}"


def count_request(key: str) -> int:
    """Count one more and return how many there are in this window."""
    return breaker.call(lambda: _count_for_all(key), lambda: _count_for_this_process(key))


def _count_for_all(key: str) -> int:
    pipeline = raw_client("default").pipeline(transaction=False)
    pipeline.incr(key)
    pipeline.expire(key, WINDOW_SECONDS + 1)
    return int(pipeline.execute()[0])


def _count_for_this_process(key: str) -> int:
    with _local_lock:
        if len(_local_counts) > 10_000:
            _local_counts.clear()
        _local_counts[key] = _local_counts.get(key, 0) + 1
        return _local_counts[key]


def _budget(request: Request) -> tuple[str, int]:
    if request.method in READ_METHODS:
        return "reads", settings.API_READS_PER_MINUTE
    return "writes", settings.API_WRITES_PER_MINUTE
