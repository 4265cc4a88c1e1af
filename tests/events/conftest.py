"""A clock for what is kept for a moment."""

from __future__ import annotations

import pytest

from events import moments
from tests.events.clock import Clock


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """It stands still, so that nothing is due for its age alone, until a test moves it."""
    clock = Clock()
    monkeypatch.setattr(moments.time, "monotonic", lambda: clock.now)
    return clock
