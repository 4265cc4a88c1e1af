"""A crowd after far fewer seats: whether each is sold once, how soon, and how long anybody waits."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Any, Protocol

from benchmarks import database, house
from benchmarks.load import Answer, Outcome, expect, message, play
from benchmarks.report import Report
from benchmarks.requests import Address, guest_hold
from benchmarks.rush.picture import Picture
from benchmarks.sizes import Sizes
from bookings.models import BookingItem
from events.models import Event


class Buyer(Protocol):
    """Somebody who wants one seat, and asks until they have it or all are gone."""

    has_seat: bool

    def next_request(self, answer: Answer | None) -> bytes | None:
        """What they ask after this answer (None at first), or None once they leave."""


class BuyerOfTheBest:
    """One who leaves the choice to the box office, and goes on while anything is free."""

    def __init__(self, number: int, slug: str, price_tier: int) -> None:
        self.has_seat = False
        self._request = partial(guest_hold, slug, {"price_tier": price_tier, "quantity": 1}, number)

    def next_request(self, answer: Answer | None) -> bytes | None:
        if answer is None:
            return self._request()
        if answer.status == 201:
            self.has_seat = True
            return None
        if answer.status == 409:
            return self._request() if json.loads(answer.body)["available"] else None
        raise _unexpected(answer)


class BuyerByChance:
    """One who chooses: at first a seat by chance, as all look free.

    Refused, they take the seat that the answer suggests; where it suggests none, they look at the
    availability, choose by chance among what is free there, and leave once nothing is.
    """

    def __init__(self, number: int, slug: str, tickets: list[int]) -> None:
        self.number = number
        self.slug = slug
        self.tickets = tickets
        self.has_seat = False
        self._dice = Random(number)

    def next_request(self, answer: Answer | None) -> bytes | None:
        if answer is None:
            return self._hold(self._dice.choice(self.tickets))
        if answer.status == 201:
            self.has_seat = True
            return None
        told = json.loads(answer.body)
        if answer.status == 409:
            suggestion = told.get("suggestion")
            return self._hold(suggestion[0]) if suggestion else self._look()
        if answer.status == 200:
            return self._choose(told)
        raise _unexpected(answer)

    def _hold(self, ticket: int) -> bytes:
        return guest_hold(self.slug, {"tickets": [ticket]}, self.number)

    def _look(self) -> bytes:
        return message("GET", f"/api/v1/events/{self.slug}/availability/")

    def _choose(self, told: dict[str, Any]) -> bytes | None:
        picture = Picture()
        picture.update(told)
        free = [ticket for place, ticket in enumerate(self.tickets) if picture.is_available(place)]
        return self._hold(self._dice.choice(free)) if free else None


def _unexpected(answer: Answer) -> RuntimeError:
    return RuntimeError(f"a buyer was answered {answer.status}: {answer.body.decode()}")


def measure_contention(address: Address, report: Report, sizes: Sizes, seated: Outcome) -> None:
    """Two such crowds: of those who choose, and of those who have the best chosen for them."""
    event, tickets = _make_club("club", sizes)
    by_chance = [BuyerByChance(number, event.slug, tickets) for number in range(sizes.buyers)]
    _measure_crowd(address, report, sizes, seated, f"{sizes.contested} seats", by_chance, tickets)
    event, tickets = _make_club("loge", sizes)
    tier = event.price_tiers.get().pk
    of_the_best = [BuyerOfTheBest(sizes.buyers + number, event.slug, tier) for number in range(sizes.buyers)]
    _measure_crowd(address, report, sizes, seated, "the best seat", of_the_best, tickets)


def _make_club(name: str, sizes: Sizes) -> tuple[Event, list[int]]:
    event = house.make_event(name, house.make_venue(name, sizes.contested))
    database.analyze()
    return event, house.ticket_ids(event)


def _measure_crowd(
    address: Address,
    report: Report,
    sizes: Sizes,
    seated: Outcome,
    wish: str,
    buyers: Sequence[Buyer],
    tickets: list[int],
) -> None:
    """Have all of them begin in the same moment, each on a connection of their own."""
    times: list[float] = []

    def script(number: int, answer: Answer | None) -> bytes | None:
        buyer = buyers[number]
        request = buyer.next_request(answer)
        if answer is None or buyer.has_seat:
            times.append(time.perf_counter())
        return request

    crowd = play(address, len(buyers), script)
    expect(crowd, 201, 409, 200)
    report.note(f"{len(buyers)} buyers, {wish}", crowd)
    at_this_rate = sizes.contested / seated.rate
    report.bound(
        f"sold out, {wish}", times[-1] - times[0], at_this_rate, f"{sizes.contested} / hold rate", 1.5
    )
    report.bound(f"longest wait, {wish}", max(crowd.times), crowd.percentile(50), "the median", 10.0)
    wrong = sizes.contested - sold_once(tickets)
    report.bound(f"not sold once, {wish}", wrong, sizes.contested, "the seats", 0.0)


def sold_once(tickets: list[int]) -> int:
    """How many of these tickets are reserved, each in one booking alone, as the database has it."""
    items = BookingItem.objects.filter(ticket__in=tickets, booking__status="reserved")
    bookings: dict[int, set[Any]] = {}
    for ticket, booking, holder in items.values_list("ticket_id", "booking_id", "ticket__booking_id"):
        bookings.setdefault(ticket, set()).update({booking, holder})
    return Counter(map(len, bookings.values()))[1]
