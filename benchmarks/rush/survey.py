"""What is looked up before the doors open: the event, its seats and limits, and how long a step takes."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from html.parser import HTMLParser
from statistics import median
from time import monotonic
from typing import Any
from urllib.parse import quote, urljoin, urlsplit
from uuid import uuid4

from benchmarks.client import Answer, Client, get_json
from benchmarks.rush.picture import Seat

API = "/api/v1"
# How often each step is tried in peace.
ROUNDS = 3
# Buyers choose among so many seats themselves; of a larger hall they let the box office find the others.
MOST_SEATS = 5000
# So many events are looked at for one that is large enough.
MOST_EVENTS = 100
QUOTA = re.compile(r'"(?P<kind>\w+)";q=(?P<limit>\d+)')


class CannotRehearse(Exception):
    """A reason not to begin, told to the operator in one line."""


@dataclass
class Show:
    """The event as the rehearsal found it."""

    slug: str
    title: str
    available: int
    most_tickets: int
    has_price: bool
    seats: list[Seat] = field(default_factory=list)
    assets: list[str] = field(default_factory=list)
    # Requests a minute for one caller, `reads` and `writes`, where the instance has such limits.
    quotas: dict[str, int] = field(default_factory=dict)
    # Seconds that each step took when nobody else was there.
    idle: dict[str, float] = field(default_factory=dict)
    # Where a buyer would pay, if that is not the sandbox of this instance.
    other_gateway: str = ""

    @property
    def page(self) -> str:
        return f"/events/{self.slug}/"

    @property
    def api(self) -> str:
        return f"{API}/events/{self.slug}/"


async def survey(client: Client, *, slug: str, buyers: int) -> Show:
    """Everything that buyers need to know of the event `slug`, or of the first that takes `buyers` of them.

    Holds a few tickets, starts one payment, and gives them back. Raises `CannotRehearse`, or `NoAnswer`.
    """
    facts = await _read_event(client, slug) if slug else await _find_event(client, buyers)
    if facts["sale_state"] != "on_sale":
        raise CannotRehearse(f"{facts['slug']} is not on sale: its state is {facts['sale_state']}")
    show = Show(
        slug=facts["slug"],
        title="".join(letter for letter in facts["title"] if letter.isprintable()),
        available=facts["availability"]["available"],
        most_tickets=facts["max_tickets_per_booking"],
        has_price=any(Decimal(tier["price"]) for tier in facts["price_tiers"]),
    )
    if any(tier["seated"] for tier in facts["price_tiers"]):
        show.seats = [seat async for seat in _seats(client, show)]
    await Trial(client, show, facts["price_tiers"]).run()
    return show


async def _read_event(client: Client, slug: str) -> Any:
    answer = await client.request("GET", f"{API}/events/{quote(slug, safe='')}/")
    if answer.status == 404:
        raise CannotRehearse(f"there is no published event {slug}")
    return _checked(answer, "the event").json()


async def _find_event(client: Client, buyers: int) -> Any:
    """The first event with a ticket for each buyer, else the one with the most."""
    found = await get_json(client, f"{API}/events/?on_sale=true&available=true&page_size={MOST_EVENTS}")
    largest = None
    for event in found["results"]:
        facts = await get_json(client, f"{API}/events/{event['slug']}/")
        if largest is None or _left(facts) > _left(largest):
            largest = facts
        if _left(facts) >= buyers:
            return facts
    if largest is None:
        raise CannotRehearse("no event is on sale")
    return largest


def _left(facts: Any) -> int:
    return int(facts["availability"]["available"])


async def _seats(client: Client, show: Show) -> AsyncIterator[Seat]:
    """The numbered tickets, in the order of their positions, up to `MOST_SEATS`."""
    path: str | None = f"{show.api}tickets/?page_size=100"
    seen = 0
    while path and seen < MOST_SEATS:
        page = await get_json(client, path)
        for ticket in page["results"]:
            seen += 1
            if ticket["seat"] is not None:
                yield Seat(ticket["position"], ticket["id"], ticket["price_tier"])
        path = _path(page["next"]) if page["next"] else None


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


class Trial:
    """One careful buyer before the doors open, who times each step and gives everything back."""

    def __init__(self, client: Client, show: Show, tiers: list[Any]) -> None:
        self.client = client
        self.show = show
        # One that costs something first, so that the gateway is seen.
        self.tiers = sorted(tiers, key=lambda tier: not Decimal(tier["price"]))
        self.waits: defaultdict[str, list[float]] = defaultdict(list)

    async def run(self) -> None:
        page = await self._ask("event page", "GET", self.show.page)
        self.show.assets = list(find_assets(page.body.decode(), self.show.page))
        for number in range(ROUNDS):
            await self._look()
            await self._hold_and_give_back(with_payment=number == 0)
        self.show.idle = {step: median(waits) for step, waits in self.waits.items()}

    async def _look(self) -> None:
        await self._ask("event page", "GET", self.show.page)
        for asset in self.show.assets:
            await self._ask("assets", "GET", asset)
        version = (await self._ask("availability", "GET", f"{self.show.api}availability/")).json()["version"]
        await self._ask("availability", "GET", f"{self.show.api}availability/?since={quote(version)}")

    async def _hold_and_give_back(self, *, with_payment: bool) -> None:
        left = [tier for tier in self.tiers if tier["available"]]
        wish = {"event": self.show.slug, "price_tier": left[0]["id"], "quantity": 1}
        held = await self._ask("hold", "POST", f"{API}/bookings/", wish)
        booking, token = held.json()["id"], held.json()["access_token"]
        address = f"{API}/bookings/{booking}/"
        try:
            await self._ask("look at booking", "GET", address, token=token)
            await self._ask("details", "PATCH", address, {"name": "Rehearsal"}, token=token)
            if with_payment and Decimal(left[0]["price"]):
                await self._start_payment(address, token)
        finally:
            await self._ask("give back", "DELETE", address, token=token)

    async def _start_payment(self, address: str, token: str) -> None:
        """See where a buyer is sent to pay; the sandbox's page is looked at, and no other."""
        started = await self._ask("payment start", "POST", f"{address}payments/", {}, token=token)
        page = started.json()["redirect_url"]
        if is_sandbox(page, self.client.origin):
            await self._ask("payment page", "GET", _path(page))
        else:
            self.show.other_gateway = page.partition("?")[0]

    async def _ask(self, step: str, method: str, path: str, body: Any = None, *, token: str = "") -> Answer:
        begun = monotonic()
        answer = await self.client.request(
            method,
            path,
            headers=office_headers(token),
            body=b"" if body is None else json.dumps(body).encode(),
        )
        self.waits[step].append(monotonic() - begun)
        if found := QUOTA.match(answer.headers.get("ratelimit-policy", "")):
            self.show.quotas[found["kind"]] = int(found["limit"])
        return _checked(answer, step)


def office_headers(token: str) -> dict[str, str]:
    """What a program sends with every step of a booking: JSON, a key of its own, and its proof."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
    return headers | {"X-Booking-Token": token} if token else headers


def is_sandbox(page: str, origin: str) -> bool:
    """Whether a payment page is the sandbox's, on the instance itself: no other page is ever sent a card."""
    parts = urlsplit(page)
    return f"{parts.scheme}://{parts.netloc}" == origin and parts.path.startswith("/sandbox/pay/")


def _checked(answer: Answer, step: str) -> Answer:
    """The answer, if it is not a refusal. Raises `CannotRehearse`."""
    if answer.status < 400:
        return answer
    told = answer.json().get("title", "") if answer.is_problem else "no problem document"
    raise CannotRehearse(f"{step}: {answer.status}, {told}")


def find_assets(html: str, page: str) -> Iterator[str]:
    """The paths of what a browser fetches with the page from the same site, each once."""
    parser = _Assets()
    parser.feed(html)
    for link in dict.fromkeys(parser.links):
        parts = urlsplit(urljoin(page, link))
        if not parts.netloc and not parts.scheme:
            yield _path(urljoin(page, link))


class _Assets(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        is_fetched = tag in {"script", "img"} or (
            tag == "link" and told.get("rel") in {"stylesheet", "icon", "preload"}
        )
        link = told.get("href" if tag == "link" else "src")
        if is_fetched and link:
            self.links.append(link)
