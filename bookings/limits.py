"""How often something may be tried, counted in the cache."""

from __future__ import annotations

import hashlib

from django.core.cache import cache


def is_too_often(what: str, most: int, *, seconds: int) -> bool:
    """Count one more try of `what`; whether there were more than `most` since the first of them.

    While the cache is away each process counts for itself.
    """
    # Hashed, as `what` has in it what somebody typed: any length, any character.
    key = f"tries:1:{hashlib.sha256(what.encode()).hexdigest()}"
    if cache.add(key, 1, seconds):
        return False
    try:
        return cache.incr(key) > most
    except ValueError:
        # It ran out between the two commands.
        return False
