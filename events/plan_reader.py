"""Reads a pretix seating-plan JSON file: checks it, and says where in the file something is wrong.

Nothing here touches the database. A zone becomes a section; what the plan says beyond its seats
is kept in `SeatingPlan.document`, so that `events.seating_plan` can write the plan again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, median_low
from typing import Any

from django.utils.translation import gettext as _

from events.exceptions import InvalidPlan

SEATS_AT_MOST = 200_000
# A gap this much wider than the row's usual spacing is an aisle.
AISLE = 1.6
STAGE_WORDS = ("stage", "bühne", "scène", "escenario", "palco", "podium", "screen", "leinwand")
SHAPES = ("polygon", "rectangle", "ellipse", "circle", "text")

Point = tuple[float, float]


@dataclass
class PlanSeat:
    """A seat of the plan, at its place in the whole drawing."""

    guid: str
    section: str
    row: str
    number: str
    category: str
    x: float
    y: float
    row_index: int = 0
    place: int = 0


@dataclass
class SeatingPlan:
    """A plan that was understood."""

    document: dict[str, Any]
    seats: list[PlanSeat] = field(default_factory=list)


class Node:
    """An object of the file, and where it stands."""

    def __init__(self, value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise InvalidPlan(place, _("is not an object"))
        self.value = value
        self.place = place

    def at(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name

    def has(self, name: str) -> bool:
        return self.value.get(name) is not None

    def need(self, name: str) -> Any:
        if not self.has(name):
            raise InvalidPlan(self.at(name), _("is missing"))
        return self.value[name]

    def text(self, name: str, *, most: int = 200) -> str:
        """A word that must be there; numbers count as words."""
        value = self.need(name)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise InvalidPlan(self.at(name), _("is not text"))
        text = str(value).strip()
        if not text:
            raise InvalidPlan(self.at(name), _("is empty"))
        if len(text) > most:
            raise InvalidPlan(self.at(name), _("has more than %(most)d characters") % {"most": most})
        if not text.isprintable():
            raise InvalidPlan(self.at(name), _("has a character that cannot be shown"))
        return text

    def optional_text(self, name: str, *, most: int = 200) -> str | None:
        return self.text(name, most=most) if self.has(name) and self.value[name] != "" else None

    def number(self, name: str) -> float:
        """A number that must be there, maybe written as a word."""
        value = self.need(name)
        try:
            number = float("no number" if isinstance(value, bool) else value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number) or abs(number) > 1e7:
            raise InvalidPlan(self.at(name), _("is not a number"))
        return round(number, 3)

    def child(self, name: str) -> Node:
        return Node(self.need(name), self.at(name))

    def point(self, name: str) -> Point:
        point = self.child(name)
        return point.number("x"), point.number("y")

    def optional_point(self, name: str) -> Point:
        return self.point(name) if self.has(name) else (0.0, 0.0)

    def children(self, name: str) -> Iterator[Node]:
        values = self.need(name)
        if not isinstance(values, list):
            raise InvalidPlan(self.at(name), _("is not a list"))
        for index, value in enumerate(values):
            yield Node(value, f"{self.at(name)}[{index}]")

    def optional_children(self, name: str) -> Iterator[Node]:
        return self.children(name) if self.has(name) else iter(())


def read_plan(content: bytes) -> SeatingPlan:
    """Understand the file, or raise `InvalidPlan` with the place and the reason."""
    try:
        root = Node(json.loads(content), "")
    except (ValueError, RecursionError) as error:
        raise InvalidPlan("", _("This is not a JSON file.")) from error
    return _Reader(root).read()


class _Reader:
    """Walks the plan once and remembers what must not come twice."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self.plan = SeatingPlan(document={})
        self.guids: set[str] = set()
        self.sections: set[str] = set()
        self.categories: set[str] = set()

    def read(self) -> SeatingPlan:
        size = self.root.child("size")
        categories = [self._category(node) for node in self.root.children("categories")]
        self.plan.document = {
            "name": self.root.text("name"),
            "size": {"width": size.number("width"), "height": size.number("height")},
            "categories": categories,
            "zones": [],
        }
        zones = list(self.root.children("zones"))
        stage = _find_stage(zones)
        for index, zone in enumerate(zones):
            self.plan.document["zones"].append(self._zone(zone, index, stage))
        return self.plan

    def _category(self, node: Node) -> dict[str, Any]:
        name = node.text("name", most=80)
        self.categories.add(name)
        return _without_none({"name": name, "color": node.optional_text("color", most=40)})

    def _zone(self, node: Node, index: int, stage: Point | None) -> dict[str, Any]:
        section = self._section_name(node.optional_text("name", most=70) or _("Zone %d") % (index + 1))
        x, y = node.point("position")
        rows, labels = [], set[str]()
        for row_index, row in enumerate(node.children("rows")):
            rows.append(self._row(row, row_index, section, (x, y), labels))
        for order, (facts, seats) in enumerate(sorted(rows, key=lambda row: _distance_to(stage, row[1]))):
            facts["row_index"] = order
            _number_places(seats)
            for seat in seats:
                seat.row_index = order
        return _without_none(
            {
                "section": section,
                "name": node.optional_text("name", most=70),
                "zone_id": node.optional_text("zone_id"),
                "uuid": node.optional_text("uuid"),
                "position": {"x": x, "y": y},
                "areas": [_area(area) for area in node.optional_children("areas")],
                "rows": [facts for facts, _seats in rows],
            }
        )

    def _section_name(self, name: str) -> str:
        """The zone's name; a second zone of that name is told apart by a number."""
        names = [name, *(f"{name} ({number})" for number in range(2, len(self.sections) + 3))]
        section = next(name for name in names if name not in self.sections)
        self.sections.add(section)
        return section

    def _row(
        self, node: Node, index: int, section: str, origin: Point, labels: set[str]
    ) -> tuple[dict[str, Any], list[PlanSeat]]:
        x, y = node.optional_point("position")
        label = node.optional_text("row_number", most=40) or str(index + 1)
        corner = origin[0] + x, origin[1] + y
        seats, extras = [], {}
        for seat in node.children("seats"):
            seats.append(self._seat(seat, section, label, corner, labels))
            extras[seats[-1].guid] = _seat_extras(seat)
        self.plan.seats.extend(seats)
        facts = {
            "row_number": node.optional_text("row_number", most=40),
            "row_label": node.optional_text("row_label"),
            "seat_label": node.optional_text("seat_label"),
            "row_number_position": node.optional_text("row_number_position"),
            "uuid": node.optional_text("uuid"),
            "position": {"x": x, "y": y} if node.has("position") else None,
            "seats": {guid: extra for guid, extra in extras.items() if extra},
        }
        return _without_none(facts), seats

    def _seat(self, node: Node, section: str, row: str, corner: Point, labels: set[str]) -> PlanSeat:
        guid = node.text("seat_guid")
        if guid in self.guids:
            raise InvalidPlan(node.at("seat_guid"), _("“%s” is used twice") % guid)
        self.guids.add(guid)
        if len(self.guids) > SEATS_AT_MOST:
            raise InvalidPlan(node.place, _("the plan has more than %d seats") % SEATS_AT_MOST)
        category = node.text("category", most=80)
        if category not in self.categories:
            raise InvalidPlan(node.at("category"), _("“%s” is not declared") % category)
        number = node.text("seat_number", most=40)
        label = f"{row}\n{number}"
        if label in labels:
            raise InvalidPlan(
                node.at("seat_number"),
                _("row %(row)s already has a seat %(number)s") % {"row": row, "number": number},
            )
        labels.add(label)
        x, y = node.point("position")
        return PlanSeat(
            guid, section, row, number, category, round(corner[0] + x, 3), round(corner[1] + y, 3)
        )


def _seat_extras(node: Node) -> dict[str, Any]:
    return _without_none(
        {
            "radius": node.number("radius") if node.has("radius") else None,
            "start_direction": node.optional_text("start_direction"),
            "uuid": node.optional_text("uuid"),
        }
    )


# --- The drawn background -------------------------------------------------------------


def _area(node: Node) -> dict[str, Any]:
    shape = node.text("shape")
    if shape not in SHAPES:
        raise InvalidPlan(node.at("shape"), _("“%s” is not a shape we know") % shape)
    area: dict[str, Any] = {
        "shape": shape,
        "color": node.optional_text("color", most=40),
        "border_color": node.optional_text("border_color", most=40),
        "rotation": node.number("rotation") if node.has("rotation") else None,
        "position": _xy(node.optional_point("position")),
        "uuid": node.optional_text("uuid"),
        "text": _area_text(node.child("text")) if node.has("text") else None,
    }
    if shape == "polygon":
        points = node.child("polygon").children("points")
        area["polygon"] = {"points": [_xy((point.number("x"), point.number("y"))) for point in points]}
    elif shape == "rectangle":
        size = node.child("rectangle")
        area["rectangle"] = {"width": size.number("width"), "height": size.number("height")}
    elif shape == "ellipse":
        area["ellipse"] = {"radius": _xy(node.child("ellipse").point("radius"))}
    elif shape == "circle":
        area["circle"] = {"radius": node.child("circle").number("radius")}
    return _without_none(area)


def _area_text(node: Node) -> dict[str, Any]:
    return _without_none(
        {
            "text": node.optional_text("text", most=500) or "",
            "position": _xy(node.optional_point("position")),
            "color": node.optional_text("color", most=40),
            "size": node.number("size") if node.has("size") else None,
        }
    )


def _xy(point: Point) -> dict[str, float]:
    return {"x": point[0], "y": point[1]}


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


# --- Geometry -------------------------------------------------------------------------


def _find_stage(zones: Sequence[Node]) -> Point | None:
    """Where the first area stands whose text names a stage."""
    for zone in zones:
        for area in zone.optional_children("areas"):
            words = area.child("text").optional_text("text", most=500) if area.has("text") else None
            if words and any(word in words.casefold() for word in STAGE_WORDS):
                corners = zone.point("position"), area.optional_point("position")
                x, y = (sum(axis) for axis in zip(*corners, strict=True))
                return x, y
    return None


def _distance_to(stage: Point | None, seats: Sequence[PlanSeat]) -> float:
    """How far back a row is: from the stage, or from the upper edge where none is drawn."""
    if not seats:
        return math.inf
    middle = fmean(seat.x for seat in seats), fmean(seat.y for seat in seats)
    return middle[1] if stage is None else math.dist(middle, stage)


def _number_places(seats: Sequence[PlanSeat]) -> None:
    """Number a row's seats along its line, so that only neighbours differ by one."""
    ordered = _along_the_row(seats)
    gaps = [math.dist((one.x, one.y), (next_.x, next_.y)) for one, next_ in pairwise(ordered)]
    usual = median_low(gaps) if gaps else 0.0
    place = 0
    for seat, gap in zip(ordered, [0.0, *gaps], strict=True):
        place += 0 if seat is ordered[0] else 2 if usual and gap > AISLE * usual else 1
        seat.place = place


def _along_the_row(seats: Sequence[PlanSeat]) -> list[PlanSeat]:
    """The seats in their order along the row: as in the file, or along its main axis if that is shorter."""
    if len(seats) < 3:
        return list(seats)
    mean_x, mean_y = fmean(seat.x for seat in seats), fmean(seat.y for seat in seats)
    xx = sum((seat.x - mean_x) ** 2 for seat in seats)
    yy = sum((seat.y - mean_y) ** 2 for seat in seats)
    xy = sum((seat.x - mean_x) * (seat.y - mean_y) for seat in seats)
    angle = math.atan2(2 * xy, xx - yy) / 2
    projected = sorted(seats, key=lambda seat: seat.x * math.cos(angle) + seat.y * math.sin(angle))
    # A ring, or a row that doubles back, has no main axis; the file's order then follows it better.
    return projected if _length(projected) < _length(seats) * 0.999 else list(seats)


def _length(seats: Sequence[PlanSeat]) -> float:
    return sum(math.dist((one.x, one.y), (next_.x, next_.y)) for one, next_ in pairwise(seats))
