"""Seating plans of the demonstration's venues. Plan pixels, y downwards, the stage at the top."""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SPACING = 22.0
ROW_DEPTH = 26.0
# Room for the stage above the first row.
STAGE = 140.0


@dataclass(frozen=True, kw_only=True)
class PlannedSeat:
    """A seat of a plan; the fields are those of `events.models.Seat`."""

    section: str
    row: str
    number: str
    category: str
    row_index: int
    place: int
    x: float
    y: float
    is_accessible: bool = False


Layout = Callable[[], Iterator[PlannedSeat]]


def row_name(index: int) -> str:
    """A to Z without I and O, which look like numbers, then AA, BB and so on."""
    letters = [letter for letter in string.ascii_uppercase if letter not in "IO"]
    return letters[index % len(letters)] * (index // len(letters) + 1)


def curved_block(
    section: str,
    category: str,
    *,
    rows: int,
    seats: int,
    growth: int = 0,
    distance: float = STAGE,
    bend: float = 1400.0,
    aisle: bool = True,
    front_rows: int = 0,
    front_category: str = "",
    shift: float = 0.0,
) -> Iterator[PlannedSeat]:
    """Rows on arcs around a point behind the stage. The first `front_rows` have their own category.

    An aisle in the middle leaves a place out; the ends of the last row have room for wheelchairs.
    """
    for index in range(rows):
        count = seats + growth * index
        gap = 1 if aisle else 0
        radius = bend + index * ROW_DEPTH
        for seat in range(count):
            place = seat + (gap if seat >= count // 2 else 0)
            angle = (place - (count + gap - 1) / 2) * SPACING / radius
            yield PlannedSeat(
                section=section,
                row=row_name(index),
                number=str(seat + 1),
                category=front_category if index < front_rows else category,
                row_index=index,
                place=place,
                x=round(shift + radius * math.sin(angle), 1),
                y=round(distance + radius * math.cos(angle) - bend, 1),
                is_accessible=index == rows - 1 and seat in {0, count - 1},
            )


def cabaret(*, tables: int, seats: int, per_line: int) -> Iterator[PlannedSeat]:
    """Small tables with `seats` chairs each; a table is a row."""
    for table in range(tables):
        line, column = divmod(table, per_line)
        centre_x = (column - (per_line - 1) / 2) * 110 + (28 if line % 2 else -28)
        centre_y = STAGE + line * 100
        for seat in range(seats):
            angle = math.tau * (seat + 0.5) / seats
            yield PlannedSeat(
                section="Tables",
                row=f"Table {table + 1}",
                number=str(seat + 1),
                category="Front tables" if line < 2 else "Tables",
                row_index=table,
                place=seat,
                x=round(centre_x + 30 * math.cos(angle), 1),
                y=round(centre_y + 30 * math.sin(angle), 1),
                is_accessible=column == 0 and seat == 0,
            )


def bowl(
    *, first_block: int, blocks: int, rows: int, seats: int, category: str, width: float, depth: float
) -> Iterator[PlannedSeat]:
    """A ring of blocks around an oval floor of `width` by `depth` pixels.

    The blocks around the head of the floor, behind the stage, are the cheaper "… rear".
    """
    for block in range(blocks):
        middle = math.tau * block / blocks - math.pi / 2
        is_rear = abs(math.sin(middle) + 1) < 0.12
        for row in range(rows):
            out = row * ROW_DEPTH
            half_x, half_y = width / 2 + out, depth / 2 + out
            # The chord that one block may fill, a gangway left free between blocks.
            step = math.tau / blocks * 0.9 / seats
            for seat in range(seats):
                angle = middle + (seat - (seats - 1) / 2) * step
                yield PlannedSeat(
                    section=f"Block {first_block + block}",
                    row=str(row + 1),
                    number=str(seat + 1),
                    category=f"{category}, rear" if is_rear else category,
                    row_index=row,
                    place=seat,
                    x=round(half_x * math.cos(angle), 1),
                    y=round(half_y * math.sin(angle), 1),
                    is_accessible=row == rows - 1 and seat == 0,
                )


def arena() -> Iterator[PlannedSeat]:
    """14,000 seats in two rings; the floor is for standing."""
    yield from bowl(
        first_block=101, blocks=24, rows=12, seats=20, category="Lower ring", width=1900, depth=1300
    )
    yield from bowl(
        first_block=201, blocks=28, rows=14, seats=21, category="Upper ring", width=2660, depth=2060
    )


def sports_hall() -> Iterator[PlannedSeat]:
    """5,760 seats around a court."""
    yield from bowl(first_block=1, blocks=24, rows=12, seats=20, category="Ring", width=1900, depth=1200)


def playhouse() -> Iterator[PlannedSeat]:
    """A theatre of 700 seats on three levels."""
    yield from curved_block(
        "Stalls", "Stalls", rows=16, seats=20, growth=0, front_rows=5, front_category="Front stalls"
    )
    yield from curved_block("Circle", "Circle", rows=8, seats=26, distance=STAGE + 520, bend=1600)
    yield from curved_block("Balcony", "Balcony", rows=6, seats=28, distance=STAGE + 790, bend=1800)


def small_theatre() -> Iterator[PlannedSeat]:
    """420 seats, a single slope."""
    yield from curved_block(
        "Stalls", "Stalls", rows=14, seats=20, growth=1, front_rows=4, front_category="Front stalls"
    )
    yield from curved_block("Gallery", "Gallery", rows=3, seats=16, distance=STAGE + 470, bend=1700)


def opera_house() -> Iterator[PlannedSeat]:
    """A horseshoe of 1,230 seats: stalls, two tiers, boxes at the sides, and the gods."""
    yield from curved_block(
        "Stalls", "Stalls", rows=18, seats=22, growth=1, front_rows=6, front_category="Front stalls"
    )
    for side, shift in (("left", -640.0), ("right", 640.0)):
        for box in range(8):
            yield from box_seats(f"Box {box + 1} {side}", shift=shift, distance=STAGE + 40 + box * 62)
    yield from curved_block("First tier", "First tier", rows=6, seats=36, distance=STAGE + 620, bend=1300)
    yield from curved_block("Second tier", "Second tier", rows=5, seats=40, distance=STAGE + 820, bend=1500)
    yield from curved_block("Gallery", "Gallery", rows=4, seats=42, distance=STAGE + 1000, bend=1700)


def box_seats(section: str, *, shift: float, distance: float) -> Iterator[PlannedSeat]:
    """A box with three chairs in front and two behind."""
    for row, chairs in enumerate((3, 2)):
        for chair in range(chairs):
            yield PlannedSeat(
                section=section,
                row=str(row + 1),
                number=str(chair + 1),
                category="Boxes",
                row_index=row,
                place=chair,
                x=round(shift + math.copysign(row * ROW_DEPTH, shift), 1),
                y=round(distance + chair * 19, 1),
            )


def concert_hall() -> Iterator[PlannedSeat]:
    """A shoebox of 1,000 seats with a choir gallery behind the orchestra."""
    yield from curved_block(
        "Stalls", "Stalls", rows=22, seats=26, bend=4000, front_rows=10, front_category="Front stalls"
    )
    yield from curved_block("Choir", "Choir", rows=4, seats=24, distance=-120, bend=4000, aisle=False)
    yield from curved_block("Balcony", "Balcony", rows=9, seats=32, distance=STAGE + 650, bend=4000)


def lecture_hall() -> Iterator[PlannedSeat]:
    """320 seats on one steep slope."""
    yield from curved_block("Auditorium", "Auditorium", rows=16, seats=16, growth=1, bend=700)


def gallery() -> Iterator[PlannedSeat]:
    """A hall for standing with 180 seats upstairs."""
    yield from curved_block("Gallery", "Gallery", rows=5, seats=36, distance=STAGE + 420, bend=2400)


def comedy_cellar() -> Iterator[PlannedSeat]:
    """220 chairs at small tables."""
    yield from cabaret(tables=55, seats=4, per_line=9)


def jazz_room() -> Iterator[PlannedSeat]:
    """144 chairs at small tables, with a bar behind."""
    yield from cabaret(tables=36, seats=4, per_line=6)
