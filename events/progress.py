"""A bar on a terminal, and a line now and then where nobody is looking."""

from __future__ import annotations

import time
from typing import Protocol

WIDTH = 30
SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_FRAMES = 0.1


class Output(Protocol):
    """A command's stdout or stderr, or any other text stream."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...
    def isatty(self) -> bool: ...


class ProgressBar:
    """Shows how much of `total` is done. Nothing is shown of work that ends at once."""

    def __init__(self, output: Output, *, label: str, total: int) -> None:
        self.output = output
        self.label = label
        self.total = max(total, 1)
        self.is_terminal = output.isatty()
        self._shown_at = time.monotonic()
        self._is_drawn = False

    def show(self, done: int) -> None:
        """Redraw, if the last drawing is old enough to be worth it."""
        now = time.monotonic()
        pause = SECONDS_BETWEEN_FRAMES if self.is_terminal else SECONDS_BETWEEN_LINES
        if now - self._shown_at < pause:
            return
        self._shown_at = now
        if self.is_terminal:
            self._draw(done)
        else:
            self.output.write(f"{self.label}: {done:,} of {self.total:,}\n")
            self.output.flush()

    def clear(self) -> None:
        """Take the bar away, so that a line can be written in its place."""
        if self._is_drawn:
            self.output.write("\r\033[K")
            self.output.flush()
            self._is_drawn = False

    def _draw(self, done: int) -> None:
        filled = min(WIDTH, WIDTH * done // self.total)
        bar = "█" * filled + "░" * (WIDTH - filled)
        self.output.write(f"\r{self.label} {bar} {done:,}/{self.total:,}")
        self.output.flush()
        self._is_drawn = True
