"""A crowd after far fewer seats: whether each is sold once, how soon, and how long anybody waits."""

from __future__ import annotations

import json
import time
from collections import Counter
from random import Random
from typing import Any

from benchmarks import database, house
from benchmarks.load import Answer, Outcome, expect, message, play
from benchmarks.report import Report
from benchmarks.requests import Address, guest_hold
from benchmarks.rush.picture import Picture
from benchmarks.sizes import Sizes
from bookings.models import BookingItem


class Buyer:
    """Somebody who wants one seat, wherever it is, and asks until they have it or all are gone.

    At first they choose a seat by chance, as all look free. Refused, they take the seat that the
    answer suggests; where it suggests none, they look at the availability, choose by chance among
    what is free there, and leave once nothing is.
    """

    def __init__(self, number: int, slug: str, tickets: list[int]) -> None:
        self.number = number
        self.slug = slug
        self.tickets = tickets
        self.has_seat = False
        self._dice = Random(number)

    def next_request(self, answer: Answer | None) -> bytes | None:
        """What they ask after this answer (None at first), or None once they leave."""
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
        raise RuntimeError(f"a buyer was answered {answer.status}: {told}")

    def _hold(self, ticket: int) -> bytes:
        return guest_hold(self.slug, {"tickets": [ticket]}, self.number)

    def _look(self) -> bytes:
        return message("GET", f"/api/v1/events/{self.slug}/availability/")

    def _choose(self, told: dict[str, Any]) -> bytes | None:
        picture = Picture()
        picture.update(told)
        free = [ticket for place, ticket in enumerate(self.tickets) if picture.is_available(place)]
        return self._hold(self._dice.choice(free)) if free else None


def measure_contention(address: Address, report: Report, sizes: Sizes, seated: Outcome) -> None:
    """Have all buyers begin in the same moment, each on a connection of their own."""
    event = house.make_event("club", house.make_venue("club", sizes.contested))
    tickets = house.ticket_ids(event)
    database.analyze()
    buyers = [Buyer(number, event.slug, tickets) for number in range(sizes.buyers)]
    times: list[float] = []

    def script(number: int, answer: Answer | None) -> bytes | None:
        buyer = buyers[number]
        request = buyer.next_request(answer)
        if answer is None or buyer.has_seat:
            times.append(time.perf_counter())
        return request

    crowd = play(address, sizes.buyers, script)
    expect(crowd, 201, 409, 200)
    report.note(f"{sizes.buyers} buyers, {sizes.contested} seats", crowd)
    at_this_rate = sizes.contested / seated.rate
    report.bound(
        "time to sell out", times[-1] - times[0], at_this_rate, f"{sizes.contested} / hold rate", 1.5
    )
    report.bound("the longest wait of a request", max(crowd.times), crowd.percentile(50), "the median", 10.0)
    wrong = sizes.contested - sold_once(tickets)
    report.bound("seats not sold exactly once", wrong, sizes.contested, "the seats", 0.0)


def sold_once(tickets: list[int]) -> int:
    """How many of these tickets are reserved, each in one booking alone, as the database has it."""
    items = BookingItem.objects.filter(ticket__in=tickets, booking__status="reserved")
    bookings: dict[int, set[Any]] = {}
    for ticket, booking, holder in items.values_list("ticket_id", "booking_id", "ticket__booking_id"):
        bookings.setdefault(ticket, set()).update({booking, holder})
    return Counter(map(len, bookings.values()))[1]
