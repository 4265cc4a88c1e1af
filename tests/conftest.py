"""What every test starts with: an empty cache, and caches that are apart for each xdist worker."""

from __future__ import annotations

import pytest
from django.core.cache import caches
from django.core.signals import setting_changed
from django.dispatch import receiver

from bookings.api.views import _found_lately
from events import locks, wake_up
from events.raw_clients import raw_client
from ticketing import cache
from ticketing.api import limits


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    """Ids start again in every test database, so a lock left behind would be another ticket's."""
    for breaker in (locks.breaker, limits.breaker, wake_up.breaker, cache.breaker):
        breaker.record_success()
    caches["default"].own.clear()
    _found_lately.clear()
    for alias in ("default", "locks"):
        raw_client(alias).flushdb()


@receiver(setting_changed)
def _forget_clients(setting: str, **_: object) -> None:
    if setting == "CACHES":
        raw_client.cache_clear()


@pytest.fixture
def cache_away(settings) -> None:
    """Nobody answers where the cache should be."""
    gone = {"LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {name: facts | gone for name, facts in settings.CACHES.items()}
