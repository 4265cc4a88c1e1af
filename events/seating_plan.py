"""A venue's seats from a seating-plan file, and the file from the seats."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from events.exceptions import InvalidPlan
from events.models import Seat, Venue
from events.plan_reader import PlanSeat, read_plan
from events.seating import remove_seats

BYTES_AT_MOST = 64 * 1024 * 1024
BATCH = 5_000
FIELDS = ["section", "row", "number", "category", "row_index", "place", "x", "y"]

# Rows that keep clear of every real one, so that seats can change places without meeting.
PARK = """
UPDATE events_seat SET row = '\x01' || id, row_index = 1000000000 + parked.number
FROM (SELECT id AS seat, row_number() OVER () AS number FROM events_seat WHERE id = ANY(%s)) AS parked
WHERE id = parked.seat
"""


@dataclass(frozen=True)
class Imported:
    """What an import did."""

    added: int
    changed: int
    removed: int
    total: int


def import_plan(venue: Venue, content: bytes) -> Imported:
    """Make the venue's seats those of the file; seats are known by their `seat_guid`.

    Raises `InvalidPlan`, and `TicketsTaken` or `SeatsInUse` where a seat would go that somebody
    has or had. Locks the venue; all or nothing.
    """
    if len(content) > BYTES_AT_MOST:
        megabytes = BYTES_AT_MOST // 1024 // 1024
        raise InvalidPlan("", _("The file is larger than %d MB.") % megabytes)
    plan = read_plan(content)
    with transaction.atomic():
        locked = Venue.objects.select_for_update(no_key=True).get(pk=venue.pk)
        existing = {seat.guid: seat for seat in locked.seats.all()}
        guids = {seat.guid for seat in plan.seats}
        removed = _remove([seat.pk for guid, seat in existing.items() if guid not in guids])
        changed = [seat for seat in plan.seats if _differs(existing.get(seat.guid), seat)]
        _write_seats(locked, changed, existing)
        venue.plan = plan.document
        venue.save(update_fields=["plan"])
    added = len(guids - existing.keys())
    return Imported(added, len(changed) - added, removed, len(plan.seats))


def _remove(seat_ids: list[int]) -> int:
    # In handfuls, as a list of many thousand ids is slow to put into a statement.
    handfuls = (seat_ids[start : start + 1_000] for start in range(0, len(seat_ids), 1_000))
    return sum(remove_seats(Seat.objects.filter(pk__in=handful)) for handful in handfuls)


def _differs(seat: Seat | None, wanted: PlanSeat) -> bool:
    return seat is None or any(getattr(seat, name) != getattr(wanted, name) for name in FIELDS)


def _write_seats(venue: Venue, seats: Iterable[PlanSeat], existing: dict[str, Seat]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(PARK, [[existing[seat.guid].pk for seat in seats if seat.guid in existing]])
    Seat.objects.bulk_create(
        (Seat(venue=venue, **asdict(seat)) for seat in seats),
        batch_size=BATCH,
        update_conflicts=True,
        unique_fields=["venue", "guid"],
        update_fields=FIELDS,
    )


# --- Export ---------------------------------------------------------------------------


def export_plan(venue: Venue) -> dict[str, Any]:
    """The venue as a seating plan: what was imported, with the seats as they are now."""
    document = venue.plan or {}
    rows: dict[str, dict[int, list[Seat]]] = defaultdict(lambda: defaultdict(list))
    for seat in venue.seats.order_by("section", "row_index", "place"):
        rows[seat.section][seat.row_index].append(seat)
    zones = [_zone(zone, rows.pop(zone["section"], {})) for zone in document.get("zones", [])]
    zones += [_zone({"name": section}, seats) for section, seats in rows.items()]
    return {
        "name": document.get("name", venue.name),
        "size": document.get("size") or _size(venue.seats.all()),
        "categories": _categories(document.get("categories", []), venue),
        "zones": zones,
    }


def export_json(venue: Venue) -> bytes:
    return json.dumps(export_plan(venue), ensure_ascii=False, indent=1).encode()


def _size(seats: Iterable[Seat]) -> dict[str, float]:
    positions = [(seat.x, seat.y) for seat in seats] or [(0.0, 0.0)]
    return {"width": max(x for x, _y in positions) + 50, "height": max(y for _x, y in positions) + 50}


def _categories(declared: list[dict[str, Any]], venue: Venue) -> list[dict[str, Any]]:
    known = {category["name"] for category in declared}
    used = venue.seats.order_by("category").values_list("category", flat=True).distinct()
    return declared + [
        {"name": name or _no_category(), "color": "#7f7f7f"} for name in used if name not in known
    ]


def _no_category() -> str:
    """The format wants a category for each seat."""
    return _("Seats")


def _zone(facts: dict[str, Any], seats: dict[int, list[Seat]]) -> dict[str, Any]:
    origin = facts.get("position", {"x": 0.0, "y": 0.0})
    rows = [_row(row, seats.pop(row["row_index"], []), origin) for row in facts.get("rows", [])]
    rows += [_row({"row_number": line[0].row}, line, origin) for line in seats.values()]
    own = {name: value for name, value in facts.items() if name != "section"}
    return own | {"position": origin, "rows": rows}


def _row(facts: dict[str, Any], seats: list[Seat], origin: dict[str, float]) -> dict[str, Any]:
    corner = facts.get("position", {"x": 0.0, "y": 0.0})
    own = {name: value for name, value in facts.items() if name not in {"row_index", "seats"}}
    extras = facts.get("seats", {})
    return own | {
        "seats": [
            {
                "seat_guid": seat.guid,
                "seat_number": seat.number,
                "category": seat.category or _no_category(),
                "position": {
                    axis: round(getattr(seat, axis) - origin[axis] - corner[axis], 3) for axis in ("x", "y")
                },
            }
            | extras.get(seat.guid, {})
            for seat in seats
        ]
    }
