"""The client of each Valkey database that is asked without Django's cache in between."""

from __future__ import annotations

from functools import cache

from django_redis import get_redis_connection
from redis import Redis


@cache
def raw_client(alias: str) -> Redis:
    """Of the cache with that alias: its primary, as a replica may not have heard of the newest locks.

    One for the process, whose threads share its pool of connections. Django's cache objects belong to
    a context, of which each request has one of its own: there they are made anew for each.
    """
    client: Redis = get_redis_connection(alias, write=True)
    return client
