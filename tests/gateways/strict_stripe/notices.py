"""Signed notices, sent over HTTP until they are taken: in order, twice, late, shuffled, or never."""

from __future__ import annotations

import itertools
import json
import queue
import random
import threading
import time
from dataclasses import dataclass, field

import httpx
import stripe

from tests.gateways.strict_stripe.shapes import Object

SENDERS = 4
LONGEST_PAUSE = 2.0


@dataclass
class Post:
    """Where notices go, and how."""

    url: str = ""
    secret: str = ""
    # `normal`, `twice`, `late`, `shuffled` or `never`.
    mode: str = "normal"
    delay: float = 1.0
    kept: list[Object] = field(default_factory=list)
    # Provider ids of what was taken with a 2xx, in the order in which it was.
    taken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._due: queue.PriorityQueue[tuple[float, int, int, Object]] = queue.PriorityQueue()
        self._number = itertools.count()
        self._since = 0
        # No connection is kept: each would hold a thread of the server's, and its database connection.
        self._client = httpx.Client(timeout=5, limits=httpx.Limits(max_keepalive_connections=0))
        for _ in range(SENDERS):
            threading.Thread(target=self._send_for_ever, daemon=True).start()

    def add(self, event: Object) -> None:
        if self.mode == "never" or not self.url:
            self.kept.append(event)
            return
        delay = {"late": self.delay, "shuffled": random.uniform(0, self.delay)}.get(self.mode, 0.0)
        for _ in range(2 if self.mode == "twice" else 1):
            self._put(delay, 0, event)

    def forget(self) -> None:
        """Nothing more is sent, and what comes is kept until there is an address again."""
        self.url, self.mode, self.delay = "", "normal", 1.0
        self.kept, self.taken = [], []
        self._since = next(self._number)

    def send_kept(self) -> None:
        kept, self.kept = self.kept, []
        for event in kept:
            self._put(0, 0, event)

    def _put(self, delay: float, attempt: int, event: Object) -> None:
        self._due.put((time.monotonic() + delay, next(self._number), attempt, event))

    def _send_for_ever(self) -> None:
        while True:
            due, number, attempt, event = self._due.get()
            if number < self._since:
                continue
            if due > time.monotonic():
                self._due.put((due, number, attempt, event))
                time.sleep(0.02)
            elif self._send(event):
                self.taken.append(event["id"])
            else:
                self._put(min(0.1 * 2**attempt, LONGEST_PAUSE), attempt + 1, event)

    def _send(self, event: Object) -> bool:
        body = json.dumps(event, indent=2)
        signature = stripe.WebhookSignature.generate_signature_header(body, self.secret)
        headers = {"Stripe-Signature": signature, "Content-Type": "application/json; charset=utf-8"}
        try:
            return self._client.post(self.url, content=body, headers=headers).is_success
        except httpx.HTTPError:
            return False
