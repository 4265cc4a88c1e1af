"""One buyer of an on-sale: looks, holds, is refused and tries again, pays or does not, and has had enough."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from math import inf, log
from random import Random
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from benchmarks.client import Answer, Client, NoAnswer
from benchmarks.rush.picture import Picture
from benchmarks.rush.record import TO_BOOKED, Record
from benchmarks.rush.survey import API, Show, is_sandbox, office_headers

GOOD, ASKS = "4242424242424242", "4000000000003220"
DECLINED, NO_FUNDS = "4000000000000002", "4000000000009995"
CARDS = {GOOD: 86, ASKS: 5, DECLINED: 6, NO_FUNDS: 3}
QUANTITIES = {1: 20, 2: 50, 3: 15, 4: 15}

FIRST_VISIT = 0.5  # Whoever was here before has the assets.
CHOOSES_SEATS = 0.6
TAKES_SUGGESTION = 0.8
CHANGES_MIND = 0.05  # Gives the tickets back before paying.
WALKS_AWAY = 0.04  # Closes the page: once before paying, and once at the gateway.
GOES_BACK = 0.05  # From the gateway's page, and on to it again.
TRIES_ANOTHER_CARD = 0.7

TRIES_WITHOUT_ANSWER = 3
ENDED = frozenset({"expired", "released", "cancelled", "refunded"})


@dataclass(frozen=True)
class Pace:
    """How long people take, in seconds: each is drawn anew, between half and twice of it."""

    look: float = 2.0
    fill_in: float = 3.0
    card: float = 3.0
    look_again: float = 1.5
    # In all until they have tickets, and again until they have paid; the median of very different people.
    patience: float = 45.0
    # Between two looks at a booking that is being paid for.
    poll: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What all buyers of one rehearsal share."""

    origin: str
    show: Show
    record: Record
    run: str
    seed: int
    pace: Pace = Pace()


class Leaves(Exception):
    """The buyer has had enough; says why."""


class Buyer:
    """What this one does follows from the seed and the buyer's number, and from what the others do."""

    def __init__(self, stage: Stage, number: int, *, source: str = "", key: str = "") -> None:
        self.stage = stage
        self.show, self.record, self.pace = stage.show, stage.record, stage.pace
        self.dice = Random(f"{stage.seed}/{number}")
        self.email = f"rush-{stage.run}-{number}@rush.invalid"
        self.key = key
        self.client = Client(stage.origin, source=source, headers={"User-Agent": "holdfast-rush"})
        self.picture = Picture()
        self.deadline = inf
        self.booking = self.token = ""
        self.tickets: list[int] = []
        # Of the booking: none, held, paid (the card was accepted), booked, ended.
        self.state = "none"

    async def play(self) -> None:
        """From the door to the door."""
        self.record.counts["arrived"] += 1
        reason = "bought"
        try:
            self._take_patience()
            await self.browse()
            await self.get_tickets()
            await self.check_out()
        except Leaves as leaving:
            reason = str(leaving)
        except asyncio.CancelledError:
            reason = "still there at the end"
            raise
        except (ValueError, LookupError, TypeError) as error:
            reason = "an answer that cannot be read"
            self.record.note_failure(f"{reason}: {error!r}")
        finally:
            self.record.endings[reason if self.state != "booked" else "bought"] += 1
            if self.state == "held":
                self.record.counts["abandoned"] += len(self.tickets)

    # --- Looking ----------------------------------------------------------------------------

    async def browse(self) -> None:
        await self._page("event page", self.show.page)
        if self.dice.random() < FIRST_VISIT:
            for asset in self.show.assets:
                await self._page("assets", asset)
        await self.look()
        await self._think(self.pace.look)

    async def look(self) -> None:
        """Bring the picture up to date."""
        since = f"?since={quote(self.picture.version)}" if self.picture.version else ""
        answer = await self._office("availability", "GET", f"{self.show.api}availability/{since}")
        if answer.status != 200:
            raise Leaves("refused")
        self.picture.update(answer.json())

    # --- Holding ----------------------------------------------------------------------------

    async def get_tickets(self) -> None:
        """Hold tickets, however often it takes. Raises `Leaves`."""
        [quantity] = self.dice.choices(list(QUANTITIES), list(QUANTITIES.values()))
        quantity = min(quantity, self.show.most_tickets)
        wish: dict[str, Any] | None = None
        while self.state == "none":
            wish = wish or await self._choose(quantity)
            asked = self.record.now()
            answer = await self._office("hold", "POST", f"{API}/bookings/", {"email": self.email, **wish})
            if answer.status == 201:
                self._note_hold(answer.json(), asked)
            else:
                wish = self._after_refusal(answer)
                await self._think(self.pace.look_again)

    async def _choose(self, quantity: int) -> dict[str, Any]:
        """Something that looks free; looks again and again while nothing does."""
        await self.look()
        while (free := self.picture.tier(self.dice)) is None:
            self.record.counts["looks_in_vain"] += 1
            await self._think(self.pace.look_again * 2, reason="sold out")
            await self.look()
        if self.show.seats and self.dice.random() < CHOOSES_SEATS:
            tickets = self.picture.neighbours(self.show.seats, quantity, self.dice)
            if tickets:
                return {"event": self.show.slug, "tickets": tickets}
        tier, left = free
        return {"event": self.show.slug, "price_tier": tier, "quantity": min(quantity, left)}

    def _after_refusal(self, answer: Answer) -> dict[str, Any] | None:
        """What to ask for instead; None to look again. Raises `Leaves` where asking again is of no use."""
        problem = answer.json() if answer.is_problem else {}
        if problem.get("code") != "tickets_unavailable":
            raise Leaves("refused")
        suggestion = problem.get("suggestion")
        if suggestion and self.dice.random() < TAKES_SUGGESTION:
            return {"event": self.show.slug, "tickets": suggestion}
        return None

    def _note_hold(self, booking: dict[str, Any], asked: float) -> None:
        self.booking, self.token, self.state = booking["id"], booking["access_token"], "held"
        self.tickets = [ticket["id"] for ticket in booking["tickets"]]
        lasts = datetime.fromisoformat(booking["expires_at"]) - datetime.fromisoformat(booking["server_time"])
        now = self.record.now()
        self.record.claim(self.tickets, self.booking, start=now, end=asked + lasts.total_seconds())
        self.record.counts["holds"] += 1
        self.record.counts["held"] += len(self.tickets)
        self.record.hold_times.append(now)
        self._take_patience()

    # --- Paying -----------------------------------------------------------------------------

    async def check_out(self) -> None:
        await self._think(self.pace.fill_in)
        if self.dice.random() < CHANGES_MIND:
            await self.give_back()
            raise Leaves("changed their mind")
        self._may_walk_away()
        await self._booking_step("details", "PATCH", body=self._details())
        if self.show.other_gateway:
            await self.give_back()
            raise Leaves("another gateway")
        page = await self._start_payment()
        if page:
            await self._pay(page)
        await self._wait_until_booked()

    def _details(self) -> dict[str, Any]:
        holders = [{"id": ticket, "holder_name": "Rehearsal"} for ticket in self.tickets]
        return {"name": f"Rehearsal {self.stage.run}", "tickets": holders}

    async def _start_payment(self) -> str | None:
        """The payment page, or None for tickets that cost nothing."""
        answer = await self._booking_step("payment start", "POST", "payments/", {})
        page: str | None = answer.json()["redirect_url"]
        if page is None:
            self.state = "paid"
        elif not is_sandbox(page, self.stage.origin):
            await self.give_back()
            raise Leaves("another gateway")
        return page

    async def _pay(self, page: str) -> None:
        """Show one card after the other. Raises `Leaves` when none is accepted."""
        for card in self._cards():
            await self._page("payment page", _path(page))
            await self._think(self.pace.card)
            self._may_walk_away()
            if self.dice.random() < GOES_BACK:
                page = await self._start_payment() or page
                await self._page("payment page", _path(page))
            await self._form("card", _path(page), card_number=card)
            if card == ASKS:
                await self._form("card", _path(page), confirmation="accept")
            if card in {GOOD, ASKS}:
                self.state = "paid"
                return
            page = await self._start_payment() or page
        await self.give_back()
        raise Leaves("card declined")

    def _cards(self) -> Iterator[str]:
        [card] = self.dice.choices(list(CARDS), list(CARDS.values()))
        yield card
        if self.dice.random() < TRIES_ANOTHER_CARD:
            yield GOOD

    async def _wait_until_booked(self) -> None:
        """Look at the booking until it says how paying ended."""
        self._take_patience()
        self.record.unbooked[self.booking] = self.record.now()
        while not await self.look_at_booking():
            await self._think(self.pace.poll, reason="paid, and not booked in time")
        if self.state != "booked":
            raise Leaves("paid too late")

    async def look_at_booking(self) -> bool:
        """Whether the booking has come to its end: booked, or ended in another way."""
        booking = (await self._booking_step("look at booking", "GET")).json()
        if booking["status"] == "booked":
            self.state = "booked"
            self.record.note_wait(TO_BOOKED, self.record.unbooked.pop(self.booking))
            self.tickets = [ticket["id"] for ticket in booking["tickets"]]
            self.record.claim(self.tickets, self.booking, start=self.record.now(), end=inf)
            self.record.counts["sold"] += len(self.tickets)
            self.record.counts["bookings"] += 1
        elif booking["status"] in ENDED:
            self.state = "ended"
            self.record.unbooked.pop(self.booking, None)
        return self.state in {"booked", "ended"}

    async def give_back(self) -> None:
        """The tickets go back at once; whoever gets them next is no rival."""
        self.record.cut_claims(self.booking, end=self.record.now())
        await self._booking_step("give back", "DELETE")
        self.state = "ended"
        self.record.counts["given_back"] += len(self.tickets)

    # --- Asking -----------------------------------------------------------------------------

    async def _booking_step(self, step: str, method: str, path: str = "", body: Any = None) -> Answer:
        """A step of this booking. Raises `Leaves` where it is refused."""
        answer = await self._office(step, method, f"{API}/bookings/{self.booking}/{path}", body)
        if answer.status >= 400:
            raise Leaves("refused")
        return answer

    async def _office(self, step: str, method: str, path: str, body: Any = None) -> Answer:
        """The API's answer; asks again, under the same key, while it says “in a moment” or says nothing."""
        headers = office_headers(self.token)
        if self.key:
            headers["Authorization"] = f"Token {self.key}"
        sent = b"" if body is None else json.dumps(body).encode()
        for _try in range(TRIES_WITHOUT_ANSWER):
            while (answer := await self._send(step, method, path, headers, sent)) is not None:
                is_busy = answer.status == 409 and answer.json()["code"] == "request_in_progress"
                if answer.status not in {429, 503} and not is_busy:
                    return answer
                await self._pause(answer.retry_after)
            await self._think(self.pace.look_again)
        raise Leaves("no answer")

    async def _page(self, step: str, path: str) -> None:
        """Fetch a page. Raises `Leaves` where there is none."""
        headers = {"Accept-Encoding": "gzip, br"}
        answer = await self._send(step, "GET", path, headers, b"")
        if answer is None or answer.status >= 400:
            raise Leaves("a page that broke")

    async def _form(self, step: str, path: str, **fields: str) -> None:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await self._send(step, "POST", path, headers, urlencode(fields).encode())
        if answer is None or answer.status >= 400:
            raise Leaves("a page that broke")

    async def _send(
        self, step: str, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> Answer | None:
        """One request and its answer, both in the record; None where none came."""
        mark = self.record.begin(step)
        try:
            answer = await self.client.request(method, path, headers=headers, body=body)
        except NoAnswer as error:
            self.record.end(mark)
            self.record.note_failure(f"{step}: {error}")
            return None
        except asyncio.CancelledError:
            self.record.end(mark)
            raise
        self.record.note_answer(step, self.record.end(mark), answer)
        return answer

    # --- Time -------------------------------------------------------------------------------

    def _take_patience(self) -> None:
        self.deadline = self.record.now() + self.dice.lognormvariate(log(self.pace.patience), 0.5)

    async def _think(self, seconds: float, *, reason: str = "lost patience") -> None:
        await self._pause(seconds * self.dice.uniform(0.5, 2), reason=reason)

    async def _pause(self, seconds: float, *, reason: str = "lost patience") -> None:
        """Raises `Leaves` for whoever will not wait so long."""
        if self.record.now() + seconds > self.deadline:
            raise Leaves(reason)
        await asyncio.sleep(seconds)

    def _may_walk_away(self) -> None:
        if self.dice.random() < WALKS_AWAY:
            raise Leaves("walked away")


def _path(page: str) -> str:
    return urlsplit(page).path
