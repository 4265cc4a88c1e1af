"""The seconds that `time.monotonic` says in a test."""

from __future__ import annotations


class Clock:
    now = 1000.0
