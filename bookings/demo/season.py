"""Planning the season: which production plays where and when, and what a ticket costs.

Pure: from a day, the same season every time. Nothing here touches the database.
"""

from __future__ import annotations

import math
import random
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.text import slugify

from bookings.demo.venues import HOUSES, House

SEED = 1912
STANDING = "Standing"
# Monday is 0.
WEEKDAYS = {
    "Concerts": {2, 3, 4, 5, 6},
    "Classical": {2, 3, 4, 5, 6},
    "Theatre": {1, 2, 3, 4, 5},
    "Opera": {1, 3, 4, 5, 6},
    "Dance": {2, 3, 4, 5},
    "Comedy": {2, 3, 4, 5},
    "Family": {5, 6},
    "Talks": {0, 1, 2, 3},
    "Sport": {5, 6},
    "Festivals": {4},
}
# Far Festival sells no seats but days: name, share of the full price, how many, share sold.
FESTIVAL_TIERS = [
    ("Early bird weekend", 0.75, 500, 1.0),
    ("Weekend with camping", 1.25, 1_500, 0.8),
    ("Weekend", 1.0, 3_000, 0.5),
    ("Friday only", 0.4, 1_000, 0.2),
    ("Saturday only", 0.5, 1_200, 0.45),
    ("Sunday only", 0.4, 800, 0.15),
]
LARGE_HOUSE = 4_000
# Nobody plays on Christmas Eve and Christmas Day.
HOLIDAYS = {(12, 24), (12, 25)}
CAPACITIES: dict[str, int] = {}


@dataclass(frozen=True, kw_only=True)
class Production:
    """A show as productions.toml describes it, with the houses it plays, one for each night."""

    title: str
    category: str
    performers: tuple[str, ...]
    houses: tuple[House, ...]
    price: float
    minutes: int
    hour: time
    summaries: tuple[str, ...]
    text: str
    date: tuple[int, int] | None
    weekdays: frozenset[int]
    first: str

    @property
    def is_matinee(self) -> bool:
        return self.hour < time(16)


@dataclass(frozen=True, kw_only=True)
class PlannedTier:
    """A price; seated where `quantity` is None. `sold` is the share that is booked already."""

    name: str
    price: Decimal
    quantity: int | None
    sold: float


@dataclass(frozen=True, kw_only=True)
class PlannedEvent:
    """One night of a production. `key` is its place in the season, whatever the day."""

    key: str
    slug: str
    title: str
    summary: str
    description: str
    category: str
    performers: tuple[str, ...]
    house: House
    starts_at: datetime
    ends_at: datetime
    doors_at: datetime
    on_sale_at: datetime
    tiers: tuple[PlannedTier, ...]
    special: str
    max_tickets: int
    max_extensions: int


def plan_season(today: date, size: int) -> list[PlannedEvent]:
    """`size` events over the year that begins `today`: what is special first, from small to large."""
    dice = random.Random(SEED)  # noqa: S311  # The season is the same every time; nothing is secret.
    productions = read_productions()
    nights = [(production, index) for production in productions for index in range(len(production.houses))]
    special = [night for night in nights if night[0].first and night[1] == 0]
    others = [night for night in nights if night not in special]
    special.sort(key=lambda night: capacity(night[0].houses[0]))
    dice.shuffle(others)
    calendar = Calendar(today, dice)
    planned: list[PlannedEvent] = []
    for production, index in [*special, *others, *encores(productions, dice, size - len(nights))][:size]:
        day = calendar.find_day(production, index)
        planned.append(plan_event(f"demo:{len(planned):05}", production, index, day, today, dice))
    return planned


def read_productions() -> list[Production]:
    content = (Path(__file__).parent / "productions.toml").read_text(encoding="utf-8")
    return [read_production(raw) for raw in tomllib.loads(content)["production"]]


def read_production(raw: dict[str, Any]) -> Production:
    month, _, day = raw.get("date", "").partition("-")
    return Production(
        title=raw["title"],
        category=raw["category"],
        performers=tuple(raw["performers"]),
        houses=tuple(house for stop in raw["stops"] for house in read_stop(stop)),
        price=raw["price"],
        minutes=raw["minutes"],
        hour=time.fromisoformat(raw.get("hour", "19:30")),
        summaries=tuple(raw["summary"]),
        text=raw["text"].strip(),
        date=(int(month), int(day)) if month else None,
        weekdays=frozenset(raw.get("weekdays", WEEKDAYS[raw["category"]])),
        first=raw.get("first", ""),
    )


def read_stop(stop: str) -> list[House]:
    """The house of "foundry x3", three times."""
    name, _, nights = stop.partition(" x")
    (house,) = [house for house in HOUSES if house.slug.startswith(name)]
    return [house] * int(nights or 1)


def encores(
    productions: Sequence[Production], dice: random.Random, wanted: int
) -> Iterator[tuple[Production, int]]:
    """Further nights of productions in small houses, for a longer season."""
    small = [
        replace(production, first="", date=None)
        for production in productions
        if all(capacity(house) < LARGE_HOUSE for house in production.houses)
    ]
    for _ in range(wanted):
        production = dice.choice(small)
        yield production, dice.randrange(len(production.houses))


def capacity(house: House) -> int:
    """How many the house holds, counted once."""
    if house.slug not in CAPACITIES:
        CAPACITIES[house.slug] = house.standing + (sum(1 for _ in house.layout()) if house.layout else 0)
    return CAPACITIES[house.slug]


class Calendar:
    """Finds free evenings: one show a day in each house, and nobody in two cities at once."""

    def __init__(self, today: date, dice: random.Random) -> None:
        self.today = today
        self.dice = dice
        self.taken: set[tuple[str, date, bool]] = set()
        self.busy: dict[tuple[str, date], str] = {}
        self.last_day: dict[tuple[str, str], date] = {}

    def find_day(self, production: Production, index: int) -> date:
        house = production.houses[index]
        key = (production.title, house.slug)
        # Nights in the same house follow each other; another house is another week.
        begin = (
            self.last_day[key] + timedelta(days=1)
            if key in self.last_day
            else self.first_day(production, index)
        )
        last = self.today + timedelta(days=363)
        days = [begin + timedelta(days=number) for number in range((last - begin).days)]
        # What no longer fits at the end of the year goes anywhere else in it.
        anywhere = [self.today + timedelta(days=number) for number in range(3, 363)]
        self.dice.shuffle(anywhere)
        day = next(day for day in [*days, *anywhere] if self.is_free(production, house, day))
        self.taken.add((house.slug, day, production.is_matinee))
        self.last_day[key] = day
        for performer in production.performers:
            self.busy[performer, day] = house.place.city
        return day

    def is_free(self, production: Production, house: House, day: date) -> bool:
        if day.weekday() not in production.weekdays or (day.month, day.day) in HOLIDAYS:
            return False
        if (house.slug, day, production.is_matinee) in self.taken:
            return False
        around = [day + timedelta(days=number) for number in (-1, 0, 1)]
        cities = {self.busy.get((performer, d)) for performer in production.performers for d in around}
        return cities <= {None, house.place.city}

    def first_day(self, production: Production, index: int) -> date:
        if production.first == "soon" and index == 0:
            return self.today + timedelta(days=4)
        if production.first == "on sale tomorrow" and index == 0:
            return self.today + timedelta(days=75)
        if production.first in {"sold out", "nearly sold out"} and index == 0:
            return self.today + timedelta(days=self.dice.randrange(8, 90))
        if production.date is None:
            return self.today + timedelta(days=3 + int(345 * self.dice.random() ** 1.4))
        month, day = production.date
        wanted = date(self.today.year, month, day)
        return wanted if wanted > self.today + timedelta(days=3) else wanted.replace(year=wanted.year + 1)


def plan_event(
    key: str, production: Production, index: int, day: date, today: date, dice: random.Random
) -> PlannedEvent:
    house = production.houses[index]
    zone = ZoneInfo(house.place.timezone)
    starts_at = datetime.combine(day, production.hour, zone)
    special = production.first if index == 0 else ""
    length = timedelta(days=2, hours=7) if special == "festival" else timedelta(minutes=production.minutes)
    doors = timedelta(minutes=60 if house.standing else 30)
    return PlannedEvent(
        key=key,
        slug=f"{slugify(production.title)[:100].strip('-')}-{slugify(house.place.city)}-{day:%Y-%m-%d}",
        title=production.title,
        summary=production.summaries[index % len(production.summaries)],
        description=f"{production.text}\n\n{practical_notes(production, house, special, dice)}",
        category=production.category,
        performers=production.performers,
        house=house,
        starts_at=starts_at,
        ends_at=starts_at + length,
        doors_at=starts_at - doors,
        on_sale_at=sale_start(special, today, zone, dice),
        tiers=tuple(plan_tiers(production, house, special, (day - today).days, dice)),
        special=special,
        max_tickets=6 if capacity(house) < 250 else dice.choice([6, 8, 8, 10]),
        max_extensions=0 if special == "no extensions" else 10,
    )


def sale_start(special: str, today: date, zone: ZoneInfo, dice: random.Random) -> datetime:
    """Ten in the morning: tomorrow for one event, on some past day for all others."""
    days = 1 if special == "on sale tomorrow" else -dice.randrange(20, 150)
    return datetime.combine(today + timedelta(days=days), time(10), zone)


def plan_tiers(
    production: Production, house: House, special: str, days_ahead: int, dice: random.Random
) -> Iterator[PlannedTier]:
    """The prices of an event, dearest first."""
    if special == "festival":
        for name, share, quantity, sold in FESTIVAL_TIERS:
            yield PlannedTier(
                name=name, price=price_of(production, house, share), quantity=quantity, sold=sold
            )
        return
    shares = dict(house.prices)
    if house.standing:
        shares[STANDING if house.prices else "Admission"] = 1.0
    for name, share in sorted(shares.items(), key=lambda pair: -pair[1]):
        is_standing = name not in house.prices
        yield PlannedTier(
            name=name,
            price=price_of(production, house, share),
            quantity=house.standing if is_standing else None,
            sold=share_sold(special, days_ahead, dice, is_large=capacity(house) >= LARGE_HOUSE),
        )


def price_of(production: Production, house: House, share: float) -> Decimal:
    """The price in the house's currency, in the steps that people there are used to."""
    place = house.place
    exact = production.price * share * place.rate
    return Decimal(str(max(1, round(exact / place.step)) * place.step)).quantize(Decimal("0.01"))


def share_sold(special: str, days_ahead: int, dice: random.Random, *, is_large: bool) -> float:
    """How much is booked: more the sooner it is, and never quite the same."""
    if special in {"on sale tomorrow", "cancelled"}:
        return 0.0
    if special == "sold out":
        return 1.0
    if special == "nearly sold out":
        return 0.985
    usual = (0.25 if is_large else 0.55) * math.exp(-days_ahead / 70) + 0.03
    return min(0.93, usual * dice.uniform(0.6, 1.4))


def practical_notes(production: Production, house: House, special: str, dice: random.Random) -> str:
    """What to know before coming, in the house's own words."""
    if special == "festival":
        return (
            "## Getting there\n\nTram 4 stops at the gate. There is no car park; bicycles are looked after."
        )
    hours, minutes = divmod(production.minutes, 60)
    length = f"{hours} h {minutes:02} min" if hours else f"{minutes} minutes"
    doors = "an hour" if house.standing else "half an hour"
    lines = [
        dice.choice([f"Runs about {length}.", f"Length: {length}.", f"The evening lasts about {length}."])
        if not production.is_matinee
        else f"Lasts about {length}.",
        dice.choice(
            [
                f"{house.name} opens {doors} before the start.",
                f"Doors open {doors} before the start, the bar with them.",
                f"Come early: the doors open {doors} before.",
            ]
        ),
        dice.choice(
            [
                "Step-free access from the street; ask the ushers for the lift.",
                "Wheelchair places are marked in the list of seats; a companion comes in free.",
                "There is a hearing loop in the hall.",
                "Assistance dogs are welcome.",
            ]
        ),
        dice.choice(
            [
                "Coats and bags are looked after free of charge.",
                "Latecomers are let in at the first suitable break.",
                "Please bring no bag larger than a sheet of A4.",
                "Card payments only at the bar.",
                "Please take no photographs during the performance.",
            ]
        ),
    ]
    return "## Good to know\n\n" + "\n".join(f"- {line}" for line in lines)
