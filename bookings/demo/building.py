"""Making the season real: venues with seats, events with tickets, and what is sold of them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from django.db import connection, transaction
from django.utils.text import slugify

from bookings.demo.layouts import PlannedSeat
from bookings.demo.sales import copy_rows, sell_tickets
from bookings.demo.season import SEED, PlannedEvent, capacity
from bookings.demo.venues import House
from events.models import Category, Event, Performer, PriceTier, Seat, Venue
from events.services import block_tickets, cancel_event, postpone_event, publish_event

# The last seats of the last row are kept back for the house.
HOUSE_SEATS = 4


def build_season(season: Sequence[PlannedEvent], progress: Callable[[int], None], *, jobs: int) -> int:
    """Make the events that are missing, and say how many those were. Each is complete or not there.

    With more than one job, one event is thought out while the database works on another.
    """
    there = set(Event.objects.filter(source_key__startswith="demo:").values_list("source_key", flat=True))
    missing = [planned for planned in season if planned.key not in there]
    categories = ensure_categories({planned.category for planned in missing})
    performers = ensure_performers({name for planned in missing for name in planned.performers})
    venues = {house.slug: ensure_venue(house) for house in unique_houses(missing)}

    done = itertools.count(1)

    def build(events: Sequence[PlannedEvent]) -> None:
        for planned in events:
            build_event(planned, venues, categories, performers)
            progress(next(done))

    run_jobs(build, split_by_house(missing), jobs)
    return len(missing)


def split_by_house(season: Sequence[PlannedEvent]) -> list[list[PlannedEvent]]:
    """The events of each house, as publishing locks it; the largest houses first."""
    houses = sorted(unique_houses(season), key=capacity, reverse=True)
    return [[planned for planned in season if planned.house == house] for house in houses]


def run_jobs(
    build: Callable[[Sequence[PlannedEvent]], None], parts: Sequence[Sequence[PlannedEvent]], jobs: int
) -> None:
    """Build each part, in this thread or in `jobs` others."""

    def build_apart(part: Sequence[PlannedEvent]) -> None:
        try:
            build(part)
        finally:
            connection.close()

    if jobs == 1:
        for part in parts:
            build(part)
        return
    with ThreadPoolExecutor(jobs) as pool:
        for _ in pool.map(build_apart, parts):
            pass


def build_event(
    planned: PlannedEvent,
    venues: Mapping[str, Venue],
    categories: Mapping[str, Category],
    performers: Mapping[str, Performer],
) -> None:
    with transaction.atomic():
        speed_up_commits()
        event = make_event(planned, venues[planned.house.slug], categories[planned.category])
        event.performers.set([performers[name] for name in planned.performers])
        make_sales(event, planned)


def unique_houses(season: Iterable[PlannedEvent]) -> list[House]:
    return list({planned.house.slug: planned.house for planned in season}.values())


def speed_up_commits() -> None:
    """Let the disk follow later: the season could be made again, and 300 waits add up."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")


def ensure_categories(names: set[str]) -> dict[str, Category]:
    Category.objects.bulk_create(
        [Category(name=name, slug=slugify(name)) for name in sorted(names)], ignore_conflicts=True
    )
    return {category.name: category for category in Category.objects.filter(name__in=names)}


def ensure_performers(names: set[str]) -> dict[str, Performer]:
    Performer.objects.bulk_create(
        [Performer(name=name, slug=slugify(name)) for name in sorted(names)], ignore_conflicts=True
    )
    return {performer.name: performer for performer in Performer.objects.filter(name__in=names)}


def ensure_venue(house: House) -> Venue:
    """The house's venue with its seats, made if it is not there."""
    with transaction.atomic():
        venue, is_new = Venue.objects.get_or_create(
            slug=house.slug,
            defaults={
                "name": house.name,
                "address": house.address,
                "city": house.place.city,
                "country": house.place.country,
                "latitude": house.latitude,
                "longitude": house.longitude,
                "timezone": house.place.timezone,
            },
        )
        if is_new and house.layout is not None:
            copy_rows(
                Seat, (vars(seat) | {"venue_id": venue.pk, "guid": guid_of(seat)} for seat in house.layout())
            )
    return venue


def guid_of(seat: PlannedSeat) -> str:
    return f"{seat.section}-{seat.row}-{seat.number}"


def make_event(planned: PlannedEvent, venue: Venue, category: Category) -> Event:
    event = Event.objects.create(
        source_key=planned.key,
        slug=planned.slug,
        title=planned.title,
        summary=planned.summary,
        description=planned.description,
        category=category,
        venue=venue,
        starts_at=planned.starts_at,
        ends_at=planned.ends_at,
        doors_at=planned.doors_at,
        on_sale_at=planned.on_sale_at,
        currency=planned.house.place.currency,
        max_tickets_per_booking=planned.max_tickets,
        max_extensions=planned.max_extensions,
    )
    PriceTier.objects.bulk_create(
        PriceTier(
            event=event,
            name=tier.name,
            price=tier.price,
            position=position,
            is_seated=tier.quantity is None,
            quantity=tier.quantity,
        )
        for position, tier in enumerate(planned.tiers)
    )
    return event


def make_sales(event: Event, planned: PlannedEvent) -> None:
    """Put the event on sale, sell what is sold, and take it off again where that is its story."""
    made = publish_event(event)
    if planned.category in {"Theatre", "Opera", "Dance"} and planned.special != "sold out":
        block_tickets(event.tickets.filter(position__gte=made - HOUSE_SEATS))
    shares = {tier.name: tier.sold for tier in planned.tiers}
    by_id = {tier.pk: shares[tier.name] for tier in event.price_tiers.all()}
    sell_tickets(event, by_id, random.Random(f"{SEED} {planned.key}"))  # noqa: S311  # See plan_season().
    if planned.special == "postponed":
        postpone_event(event)
    if planned.special == "cancelled":
        cancel_event(event)
