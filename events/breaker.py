"""What keeps a part that is away (the lock cache, the cache, the broker) from slowing every request."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

# What it looks like when Valkey, as the cache, the lock cache or the broker, is away.
AWAY = (RedisError, OperationalError, OSError)


class CircuitBreaker:
    """Stops calling a part that does not answer, so that it costs milliseconds once.

    Opens at the first failure for `open_seconds`; after that one thread at a time probes.
    `part` and `otherwise` are for the log: "The broker does not answer; the timetable will do it."
    """

    def __init__(self, part: str, otherwise: str, *, open_seconds: float = 2.0) -> None:
        self.part, self.otherwise, self.open_seconds = part, otherwise, open_seconds
        self._lock = threading.Lock()
        self._retry_at = 0.0

    def call(self, ask: Callable[[], Answer], instead: Callable[[], Answer]) -> Answer:
        """What `ask` answers; or what `instead` does, while the part is away."""
        if not self.allows_call():
            return instead()
        try:
            answer = ask()
        except AWAY as error:
            self.record_failure()
            logger.warning("%s does not answer (%s); %s.", self.part, error, self.otherwise)
            return instead()
        self.record_success()
        return answer

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
