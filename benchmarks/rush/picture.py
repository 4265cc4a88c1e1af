"""What one buyer knows of the tickets that are left, and what they would choose from it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

AVAILABLE = 0


class Seat(NamedTuple):
    """A numbered ticket: its place in the picture, its id, and its price tier."""

    position: int
    ticket: int
    tier: int


@dataclass
class Picture:
    """The live availability, kept up to date with what has changed since."""

    version: str = ""
    available: dict[int, int] = field(default_factory=dict)
    _packed: bytearray = field(default_factory=bytearray)

    def update(self, told: Mapping[str, Any]) -> None:
        """Take over an answer of `/availability/`, whole or with `since`."""
        self.version = told["version"]
        self.available = {tier["id"]: tier["available"] for tier in told["price_tiers"]}
        if "statuses" in told:
            self._packed = bytearray(base64.b64decode(told["statuses"]))
        for position, state in told.get("changes", ()):
            byte, shift = position // 4, 2 * (position % 4)
            self._packed[byte] = self._packed[byte] & ~(3 << shift) | state << shift

    def is_available(self, position: int) -> bool:
        return self._packed[position // 4] >> 2 * (position % 4) & 3 == AVAILABLE

    def neighbours(self, seats: Sequence[Seat], quantity: int, dice: Random) -> list[int]:
        """Tickets next to one another that look free, the further in front the likelier; empty if none.

        Everybody would rather sit in front, so many find the same.
        """
        start = int(len(seats) * dice.random() * dice.random())
        run: list[Seat] = []
        for seat in (*seats[start:], *seats[:start]):
            follows = run and seat.position == run[-1].position + 1 and seat.tier == run[-1].tier
            if not self.is_available(seat.position):
                run = []
            elif follows:
                run.append(seat)
            else:
                run = [seat]
            if len(run) == quantity:
                return [seat.ticket for seat in run]
        return []

    def tier(self, dice: Random) -> tuple[int, int] | None:
        """A price tier that has tickets, and how many; the fuller ones more often. None: sold out."""
        left = [(tier, count) for tier, count in self.available.items() if count]
        return dice.choices(left, [count for _tier, count in left])[0] if left else None
