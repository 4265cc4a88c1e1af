"""The whole of an import: read each record, refuse or write it, and count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from events.importing.records import Entry, ImportedEvent, Refused
from events.importing.writing import write_events
from events.models import Event

BATCH = 500


@dataclass
class Report:
    """How many records were created, updated, left as they were, and refused."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0


def import_entries(
    entries: Sequence[Entry],
    *,
    refuse: Callable[[str, str], None],
    progress: Callable[[int], None] | None = None,
    status: str = Event.Status.PUBLISHED,
    is_dry_run: bool = False,
) -> Report:
    """Import `entries` batch by batch; `refuse` is told the place and the reason of each refusal.

    What is written stays written if a later batch fails: the next run goes on from there.
    """
    report = Report()
    places: dict[str, str] = {}

    def turn_down(place: str, reason: str) -> None:
        report.refused += 1
        refuse(place, reason)

    for begin in range(0, len(entries), BATCH):
        accepted = read_batch(entries[begin : begin + BATCH], places, turn_down)
        outcome = write_events(accepted, status=status, is_dry_run=is_dry_run)
        report.created += outcome.created
        report.updated += outcome.updated
        report.unchanged += outcome.unchanged
        for source_key, reason in outcome.refused:
            turn_down(places[source_key], reason)
        if progress is not None:
            progress(min(begin + BATCH, len(entries)))
    return report


def read_batch(
    entries: Sequence[Entry], places: dict[str, str], turn_down: Callable[[str, str], None]
) -> list[ImportedEvent]:
    """The records that can become events. `places` remembers where each was, over all batches."""
    accepted = []
    for entry in entries:
        try:
            record = entry.read(entry.raw)
            check_times(record)
        except Refused as refusal:
            turn_down(entry.place, str(refusal))
            continue
        first_place = places.setdefault(record.source_key, entry.place)
        if first_place == entry.place:
            accepted.append(record)
        else:
            turn_down(entry.place, f"it is the same event as {first_place}: {record.title}")
    return accepted


def check_times(record: ImportedEvent) -> None:
    """What the database would refuse with all of the batch. Raises `Refused`."""
    if record.doors_at is not None and record.doors_at > record.starts_at:
        raise Refused("its doors open after it starts")
    if record.on_sale_at and record.off_sale_at and record.on_sale_at >= record.off_sale_at:
        raise Refused("its sale ends before it begins")
