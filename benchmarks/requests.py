"""The requests that the load is made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from benchmarks.load import Answer, message, play

Address = tuple[str, int]
BOOKINGS = "/api/v1/bookings/"


def hold(slug: str, wish: Mapping[str, Any], *, key: str) -> bytes:
    """A hold by an account with this API key."""
    return _hold(slug, wish, {"Authorization": f"Token {key}"})


def guest_hold(slug: str, wish: Mapping[str, Any], number: int) -> bytes:
    """A hold by a guest, each of another network address; there are 16 million of them."""
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return _hold(slug, wish, {"X-Forwarded-For": address})


def _hold(slug: str, wish: Mapping[str, Any], headers: Mapping[str, str]) -> bytes:
    body = json.dumps({"event": slug, **wish}).encode()
    return message("POST", BOOKINGS, headers={"Idempotency-Key": str(uuid4()), **headers}, body=body)


def ask(address: Address, path: str) -> bytes:
    """The body of one answer."""
    bodies: list[bytes] = []

    def script(_number: int, answer: Answer | None) -> bytes | None:
        if answer is None:
            return message("GET", path)
        bodies.append(answer.body)
        return None

    play(address, 1, script)
    return bodies[0]
