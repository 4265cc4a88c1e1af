"""Writing imported events: in batches, and only what differs from what is there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.text import slugify

from events.importing.records import ImportedEvent, ImportedVenue
from events.models import Category, Event, Performer, PriceTier, Ticket, Venue

COMPARED = [
    "title",
    "summary",
    "description",
    "category_id",
    "venue_id",
    "starts_at",
    "ends_at",
    "doors_at",
    "on_sale_at",
    "off_sale_at",
    "currency",
    "website",
]


@dataclass
class Outcome:
    """What became of a batch. `refused` pairs an event's source key with the reason."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Batch:
    """Rows that a batch of imported events refers to, by what the file calls them."""

    categories: dict[str, Category]
    performers: dict[str, Performer]
    venues: dict[str, Venue]
    existing: dict[str, Event]
    with_tickets: set[int]
    taken_slugs: set[str]


def write_events(imported: Sequence[ImportedEvent], *, status: str, is_dry_run: bool) -> Outcome:
    """Create what is new as `status` and update what differs, in one transaction.

    An event whose tickets have been made is never changed: whoever bought one relies on it.
    """
    outcome = Outcome()
    with transaction.atomic():
        batch = load_batch(imported)
        fresh = []
        changed = []
        for record in imported:
            event = batch.existing.get(record.source_key)
            if event is None:
                fresh.append((make_event(record, batch, status), record))
            elif not apply_changes(event, record, batch):
                outcome.unchanged += 1
            elif event.pk in batch.with_tickets:
                outcome.refused.append(
                    (record.source_key, "it has changed, but its tickets are made: change it in the admin")
                )
            else:
                changed.append((event, record))
        Event.objects.bulk_create([event for event, _ in fresh])
        Event.objects.bulk_update([event for event, _ in changed], [*COMPARED, "status", "updated_at"])
        write_performers([*fresh, *changed], batch)
        write_tiers([*fresh, *changed])
        transaction.set_rollback(is_dry_run)
    outcome.created = len(fresh)
    outcome.updated = len(changed)
    return outcome


def load_batch(imported: Sequence[ImportedEvent]) -> Batch:
    known = Event.objects.filter(source_key__in=[record.source_key for record in imported])
    existing = known.prefetch_related("performers", "price_tiers")
    with_tickets = known.filter(Exists(Ticket.objects.filter(event=OuterRef("pk"))))
    candidates = [slug for record in imported for slug in slug_candidates(record)]
    return Batch(
        categories=ensure_categories({record.category for record in imported if record.category}),
        performers=ensure_performers({name for record in imported for name in record.performers}),
        venues=ensure_venues([record.venue for record in imported]),
        existing={event.source_key: event for event in existing if event.source_key},
        with_tickets=set(with_tickets.values_list("pk", flat=True)),
        taken_slugs=set(Event.objects.filter(slug__in=candidates).values_list("slug", flat=True)),
    )


def ensure_categories(names: set[str]) -> dict[str, Category]:
    Category.objects.bulk_create(
        [Category(name=name, slug=make_slug(name, 80)) for name in sorted(names)], ignore_conflicts=True
    )
    by_slug = Category.objects.in_bulk([make_slug(name, 80) for name in names], field_name="slug")
    by_name = Category.objects.in_bulk(list(names), field_name="name")
    return {name: by_name.get(name) or by_slug[make_slug(name, 80)] for name in names}


def make_slug(name: str, longest: int) -> str:
    """A slug in ASCII where the name allows it, else in its own letters, else a mere mark."""
    slug = slugify(name) or slugify(name, allow_unicode=True) or "other"
    return slug[:longest].strip("-")


def ensure_performers(names: set[str]) -> dict[str, Performer]:
    Performer.objects.bulk_create(
        [Performer(name=name, slug=make_slug(name, 120)) for name in sorted(names)], ignore_conflicts=True
    )
    by_slug = Performer.objects.in_bulk([make_slug(name, 120) for name in names], field_name="slug")
    return {name: by_slug[make_slug(name, 120)] for name in names}


def ensure_venues(wanted: Iterable[ImportedVenue]) -> dict[str, Venue]:
    """The venue of each slug: one that is there, by slug or by name and city, or a new one."""
    by_slug = {venue.slug: venue for venue in wanted}
    found = Venue.objects.in_bulk(list(by_slug), field_name="slug")
    missing = [venue for slug, venue in by_slug.items() if slug not in found]
    names = [venue.name for venue in missing if venue.is_named]
    namesakes = {
        (venue.name.casefold(), venue.city.casefold()): venue
        for venue in Venue.objects.filter(name__in=names).order_by("-id")
    }
    for venue in missing:
        namesake = namesakes.get((venue.name.casefold(), venue.city.casefold())) if venue.is_named else None
        found[venue.slug] = namesake or Venue(
            slug=venue.slug,
            name=venue.name,
            address=venue.address,
            city=venue.city,
            country=venue.country,
            latitude=venue.latitude,
            longitude=venue.longitude,
            timezone=venue.timezone,
        )
    Venue.objects.bulk_create([venue for venue in found.values() if venue.pk is None])
    return found


def slug_candidates(record: ImportedEvent) -> list[str]:
    """Slugs to try, nicest first; the last one is the record's alone."""
    year = f"{record.starts_at.year}"
    title = slugify(record.title)[:100].strip("-") or "event"
    dated = title if year in title else f"{title}-{year}"
    by_day = slugify(f"{title} {record.starts_at:%Y-%m-%d} {record.venue.city}")[:150].strip("-")
    return [dated, by_day, f"{title}-{record.source_key[-12:]}"]


def make_event(record: ImportedEvent, batch: Batch, status: str) -> Event:
    slug = next(slug for slug in slug_candidates(record) if slug not in batch.taken_slugs)
    batch.taken_slugs.add(slug)
    return Event(
        slug=slug, source_key=record.source_key, status=record.status or status, **field_values(record, batch)
    )


def field_values(record: ImportedEvent, batch: Batch) -> dict[str, object]:
    """The record's value for each field that is compared."""
    category = batch.categories.get(record.category)
    related = {
        "category_id": category.pk if category else None,
        "venue_id": batch.venues[record.venue.slug].pk,
    }
    return {name: related[name] if name in related else getattr(record, name) for name in COMPARED}


def apply_changes(event: Event, record: ImportedEvent, batch: Batch) -> bool:
    """Bring `event` up to date in memory, and say whether anything differed."""
    wanted = field_values(record, batch)
    if record.status:
        wanted["status"] = record.status
    differing = {name: value for name, value in wanted.items() if getattr(event, name) != value}
    for name, value in differing.items():
        setattr(event, name, value)
    event.updated_at = timezone.now()
    performers = {performer.pk for performer in event.performers.all()}
    tiers = {(tier.name, tier.price, tier.quantity) for tier in event.price_tiers.all()}
    return (
        bool(differing)
        or performers != {batch.performers[name].pk for name in record.performers}
        or tiers != {(tier.name, tier.price, tier.quantity) for tier in record.tiers}
    )


def write_performers(written: Sequence[tuple[Event, ImportedEvent]], batch: Batch) -> None:
    links = Event.performers.through
    links._default_manager.filter(event__in=[event for event, _ in written]).delete()
    links._default_manager.bulk_create(
        [
            links(event_id=event.pk, performer_id=performer)
            for event, record in written
            for performer in {batch.performers[name].pk for name in record.performers}
        ]
    )


def write_tiers(written: Sequence[tuple[Event, ImportedEvent]]) -> None:
    PriceTier.objects.filter(event__in=[event for event, _ in written]).delete()
    PriceTier.objects.bulk_create(
        [
            PriceTier(
                event=event, name=tier.name, price=tier.price, quantity=tier.quantity, position=position
            )
            for event, record in written
            for position, tier in enumerate(record.tiers)
        ]
    )
