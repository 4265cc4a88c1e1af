"""Buyers over HTTP: some double-click, some dawdle, some never come back, some want their money back."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from uuid import uuid4

import httpx
from django.db import connections

from bookings.models import Booking
from tests.utils import let_hold_lapse

GOOD, DECLINED, ASKED = "4242424242424242", "4000000000000002", "4000000000003220"
# What says that nothing is known yet, and the same may be asked again under its key.
ASK_AGAIN = {429, 500, 502, 503, 504}


@dataclass
class Sale:
    """What is on offer, and how it goes."""

    url: str
    event: str
    standing: int
    seats: list[int]
    staff_key: str
    payments_wanted: int
    seed: int
    told: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = 0

    def note(self, what: str) -> None:
        with self._lock:
            self.told[what] += 1

    def next_number(self) -> int | None:
        """The next buyer; None once there were enough payments."""
        with self._lock:
            if self.told["payments"] >= self.payments_wanted:
                return None
            self._numbers += 1
            return self._numbers

    def run(self, crowd: int) -> None:
        threads = [threading.Thread(target=self._serve) for _ in range(crowd)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _serve(self) -> None:
        try:
            while (number := self.next_number()) is not None:
                OneBuyer(self, number).play()
        finally:
            connections.close_all()


class OneBuyer:
    """What this buyer does follows from the sale's seed and the buyer's number."""

    def __init__(self, sale: Sale, number: int) -> None:
        self.sale = sale
        self.dice = random.Random(f"{sale.seed}/{number}")
        self.email = f"buyer{number}@example.org"
        self.browser = httpx.Client(timeout=15, follow_redirects=True)

    def play(self) -> None:
        with self.browser:
            held = self._ask("bookings/", {"event": self.sale.event, "email": self.email, **self._wish()})
            if held is None or held.status_code != 201:
                self.sale.note("no tickets")
                return
            self.booking, self.token = held.json()["id"], held.json()["access_token"]
            if self.dice.random() < 0.1:
                # The buyer looked for the purse until the hold had run out, or nearly.
                self._start_payment()
                let_hold_lapse(Booking.objects.get(pk=self.booking))
                self.sale.note("dawdled")
            page = self._start_payment()
            if page is not None and self._pay(page):
                self._afterwards()

    def _wish(self) -> dict[str, object]:
        if self.dice.random() < 0.25:
            return {"tickets": self.dice.sample(self.sale.seats, 1)}
        return {"price_tier": self.sale.standing, "quantity": self.dice.randint(1, 3)}

    def _start_payment(self) -> str | None:
        """The payment page, for one click or two."""
        answer = None
        clicks = 2 if self.dice.random() < 0.2 else 1
        while clicks:
            answer = self._ask(f"bookings/{self.booking}/payments/", {}, patience=5)
            # Whoever saw nothing happen for so long clicks again, on a page of a new key.
            clicks -= answer is not None or self.dice.random() < 0.1
        if answer is None or answer.status_code != 201:
            return None
        self.page = answer.json()["redirect_url"]
        return self.page

    def _pay(self, page: str) -> bool:
        """Whether the card was good; one in twelve buyers closes the page instead."""
        self.sale.note("payments")
        if self.dice.random() < 0.08:
            self.sale.note("abandoned")
            return False
        card = self.dice.choices([GOOD, DECLINED, ASKED], [82, 9, 9])[0]
        is_paid = self._post_card(page, {"card_number": card})
        if card == ASKED:
            is_paid = self._post_card(page, {"confirm": self.dice.choice(["yes", "no"])})
        self.sale.note("paid" if is_paid else "declined")
        return is_paid

    def _post_card(self, page: str, form: dict[str, str]) -> bool:
        return self.browser.post(page, data=form, follow_redirects=False).status_code == 303

    def _afterwards(self) -> None:
        """Back to our site, or not; and for some, the money back."""
        if self.dice.random() < 0.6:
            self._look(f"/bookings/{self.booking}/?token={self.token}")
            self._look(f"/bookings/{self.booking}/returned/")
        if self.dice.random() < 0.3:
            self._give_back()

    def _give_back(self) -> None:
        """As soon as the tickets are there: all of them or one, through staff or alone."""
        deadline = time.monotonic() + 10
        while not Booking.objects.filter(pk=self.booking, status="booked").exists():
            if time.monotonic() > deadline:
                return
            time.sleep(0.2)
        headers = {}
        if self.dice.random() < 0.5:
            headers["Authorization"] = f"Bearer {self.sale.staff_key}"
        wish: dict[str, object] = {}
        if self.dice.random() < 0.5:
            wish["tickets"] = list(
                Booking.objects.get(pk=self.booking).items.values_list("ticket", flat=True)[:1]
            )
        answer = self._ask(f"bookings/{self.booking}/refunds/", wish, **headers)
        self.sale.note("refunds" if answer is not None and answer.status_code == 201 else "refunds refused")

    def _look(self, path: str) -> None:
        try:
            self.browser.get(self.sale.url + path)
        except httpx.HTTPError:
            self.sale.note("pages that broke")

    def _ask(
        self, path: str, body: dict[str, object], *, patience: float = 40, **headers: str
    ) -> httpx.Response | None:
        """Ask the API, and ask again under the same key while nobody answers; None for who gives up."""
        headers = {"Idempotency-Key": str(uuid4()), **headers}
        if hasattr(self, "token") and "Authorization" not in headers:
            headers["X-Booking-Token"] = self.token
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            try:
                answer = self.browser.post(f"{self.sale.url}/api/v1/{path}", json=body, headers=headers)
            except httpx.HTTPError:
                self.sale.note("requests that broke")
            else:
                is_busy = answer.status_code == 409 and answer.json()["code"] == "request_in_progress"
                if answer.status_code not in ASK_AGAIN and not is_busy:
                    return answer
            time.sleep(0.3)
        self.sale.note("gave up")
        return None
