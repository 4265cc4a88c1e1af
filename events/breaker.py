"""What keeps a part that is away (the lock cache, the cache, the broker) from slowing every request."""

from __future__ import annotations

import threading
import time


class CircuitBreaker:
    """Stops calling a part that does not answer, so that it costs milliseconds once.

    Opens at the first failure for `open_seconds`; after that one thread at a time probes.
    """

    def __init__(self, open_seconds: float = 2.0) -> None:
        self.open_seconds = open_seconds
        self._lock = threading.Lock()
        self._retry_at = 0.0

    def allows_call(self) -> bool:
        """Whether to try now. While open, the one call per period that is let through is the probe."""
        if self._retry_at == 0.0:
            return True
        with self._lock:
            now = time.monotonic()
            if now < self._retry_at:
                return False
            self._retry_at = now + self.open_seconds
            return True

    def record_success(self) -> None:
        self._retry_at = 0.0

    def record_failure(self) -> None:
        self._retry_at = time.monotonic() + self.open_seconds
