"""Buyers over HTTP who ask again until they know: some rush, some pay, some only look."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

import httpx

from tests.faults.house import House, Stock
from tests.faults.journal import Answer, Journal, Told
from tests.proof.buyers import ASK_AGAIN, GOOD

RUSHING, PAYING, LOOKING = 8, 2, 2
# Less patient than Retry-After asks for, so that an outage is measured to the tenth of a second.
PAUSE = 0.1
# How long a buyer asks again before it counts as never told.
PATIENCE = 90.0
# Nobody waits longer than this for one answer; what takes longer than ten seconds is a finding.
TIMEOUT = 15.0

PAGES = ["/", "/search/?q=event", "/accounts/login/", "/api/v1/events/", "/bookings/find/"]


class Crowd:
    """Runs from `with` to its end, and fills the journal."""

    def __init__(self, house: House, journal: Journal) -> None:
        self.house, self.journal, self.stock = house, journal, house.stock()
        self._is_over = threading.Event()
        self._may_go = threading.Event()
        self._may_go.set()
        self._busy = threading.BoundedSemaphore(RUSHING + PAYING + LOOKING)
        roles: list[tuple[Callable[[Buyer], None], int]] = [
            (Buyer.rush, RUSHING),
            (Buyer.pay, PAYING),
            (Buyer.look_around, LOOKING),
        ]
        self._threads = [
            threading.Thread(target=self._play, args=(role, 100 * number + place))
            for number, (role, count) in enumerate(roles)
            for place in range(count)
        ]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _play(self, role: Callable[[Buyer], None], seed: int) -> None:
        with Buyer(self.house, self.journal, self.stock, random.Random(seed)) as buyer:
            while not self._is_over.is_set():
                self._may_go.wait()
                with self._busy:
                    role(buyer)

    @contextmanager
    def hushed(self) -> Iterator[None]:
        """Nobody asks for anything inside, but for who is alone."""
        self._may_go.clear()
        for _ in self._threads:
            self._busy.acquire()
        try:
            yield
        finally:
            for _ in self._threads:
                self._busy.release()
            self._may_go.set()

    def hold_alone(self, seed: int, times: int = 12) -> list[float]:
        """One buyer holds tickets so often, one hold after the other; returns how long each took.

        With another seed it wants others, as those of before may still be held.
        """
        with Buyer(self.house, self.journal, self.stock, random.Random(seed)) as buyer:
            return [timed(buyer.hold) for _ in range(times)]


def timed(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


class Buyer:
    """One after the other in the same shoes; each hold is by an address of its own."""

    def __init__(self, house: House, journal: Journal, stock: Stock, dice: random.Random) -> None:
        self.house, self.journal, self.stock, self.dice = house, journal, stock, dice
        # As behind a proxy: each request is a connection of its own.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.http = httpx.Client(base_url=house.url, timeout=TIMEOUT, limits=limits)

    def __enter__(self) -> Buyer:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def rush(self) -> None:
        """Hold tickets as fast as answers come, and give most of them back."""
        told, token = self.hold()
        if told is not None and self.dice.random() < 0.9:
            self._release(told, token)

    def pay(self) -> None:
        """Hold, pay at the gateway's page, and come back to look."""
        told, token = self.hold()
        if told is not None:
            answer = self._ask("pay", f"bookings/{told.id}/payments/", {}, token)
            if answer is not None and answer.status_code == 201:
                told.is_paid = self._give_card(answer.json()["redirect_url"])
                self._look(f"/bookings/{told.id}/?token={token}")
                self._look(f"/bookings/{told.id}/returned/")
        time.sleep(0.1)

    def look_around(self) -> None:
        event = self.stock.event
        live = [f"/events/{event}/", f"/api/v1/events/{event}/", f"/api/v1/events/{event}/availability/"]
        self._look(self.dice.choice(PAGES + live))
        time.sleep(0.05)

    def hold(self) -> tuple[Told | None, str]:
        wish: dict[str, object] = {"price_tier": self.stock.standing, "quantity": self.dice.randint(1, 2)}
        if self.dice.random() < 0.5:
            wish = {"tickets": self.dice.sample(self.stock.seats, 2)}
        email = f"{uuid4().hex}@example.org"
        answer = self._ask("hold", "bookings/", {"event": self.stock.event, "email": email, **wish})
        if answer is None or answer.status_code != 201:
            return None, ""
        body = answer.json()
        tickets = frozenset(ticket["id"] for ticket in body["tickets"])
        told = Told(body["id"], tickets, since=time.monotonic())
        self.journal.note_hold(told)
        return told, body["access_token"]

    def _release(self, told: Told, token: str) -> None:
        told.until = time.monotonic()
        answer = self._ask("release", f"bookings/{told.id}/", None, token)
        told.is_released = answer is not None and answer.status_code == 204

    def _give_card(self, page: str) -> bool:
        """Whether the gateway took the card; it has its own faults, and its page is asked again."""
        for _ in range(20):
            with suppress(httpx.HTTPError):
                if self.http.post(page, data={"card_number": GOOD}).status_code == 303:
                    return True
            time.sleep(1)
        return False

    def _look(self, path: str) -> None:
        self._send("look", "GET", path)

    def _ask(
        self, what: str, path: str, body: dict[str, object] | None, token: str = ""
    ) -> httpx.Response | None:
        """Ask the API, and again under the same key until it says something definite; None if never."""
        headers = {"Idempotency-Key": str(uuid4()), **({"X-Booking-Token": token} if token else {})}
        method = "DELETE" if body is None else "POST"
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            answer = self._send(what, method, f"/api/v1/{path}", json=body, headers=headers)
            if answer is not None and answer.status_code not in ASK_AGAIN:
                is_busy = answer.status_code == 409 and answer.json()["code"] == "request_in_progress"
                if not is_busy:
                    return answer
            time.sleep(PAUSE)
        self.journal.unanswered.append(f"{what} {path}")
        return None

    def _send(self, what: str, method: str, path: str, **told: object) -> httpx.Response | None:
        sent = time.monotonic()
        try:
            answer = self.http.request(method, path, **told)
        except httpx.HTTPError as error:
            code = type(error).__name__
            self.journal.note(Answer(what, sent, time.monotonic() - sent, 0, code))
            return None
        seconds = time.monotonic() - sent
        is_problem = answer.headers.get("Content-Type") == "application/problem+json"
        code = answer.json()["code"] if is_problem else ""
        retry_after = answer.headers.get("Retry-After", "")
        self.journal.note(Answer(what, sent, seconds, answer.status_code, code, retry_after))
        return answer
