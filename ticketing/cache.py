"""The shared cache; and while it is away, one of each process's own.

What is limited is counted in it: a limit may weaken where each process counts for itself, but it
never goes, and nobody is kept out because nothing can be counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.cache.backends.locmem import LocMemCache
from django_redis.cache import RedisCache

from events.breaker import CircuitBreaker

breaker = CircuitBreaker("The cache", "each process uses one of its own")
# Enough for everybody who signs in or asks for too much in the minutes of an outage.
LOCAL = {"OPTIONS": {"MAX_ENTRIES": 5_000}}


def _shared_or_own(name: str) -> Callable[..., Any]:
    """The method of that name: of the shared cache, or where that does not answer of our own."""

    def method(self: SharedOrOwnCache, *args: Any, **kwargs: Any) -> Any:
        return breaker.call(
            lambda: getattr(RedisCache, name)(self, *args, **kwargs),
            lambda: getattr(self.own, name)(*args, **kwargs),
        )

    method.__name__ = name
    return method


class SharedOrOwnCache(RedisCache):  # type: ignore[misc]  # django-redis is not typed.
    """django-redis's cache, which never fails. Its raw client is the shared cache's alone."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self.own = LocMemCache("while the shared cache is away", LOCAL)

    add = _shared_or_own("add")
    get = _shared_or_own("get")
    set = _shared_or_own("set")
    incr = _shared_or_own("incr")
    touch = _shared_or_own("touch")
    delete = _shared_or_own("delete")
    get_many = _shared_or_own("get_many")
    set_many = _shared_or_own("set_many")
