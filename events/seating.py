"""Seats of a venue, made from a few numbers, and taken away again by section."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, Max, QuerySet
from django.utils.translation import gettext as _

from events.exceptions import SeatsCollide, SeatsInUse, name_some
from events.models import Seat, Ticket, Venue
from events.services import describe, drop_tickets

SEATS_AT_MOST = 200_000
ROWS_AT_MOST = 1_000
# In plan pixels.
SEAT_SPACING = 25
ROW_SPACING = 35


@dataclass(frozen=True)
class SeatBlock:
    """A rectangle of seats as an organiser describes it.

    `aisles_after` counts seats from the left, from 1. `accessible` names seats by row and
    number: "A1", "3-12".
    """

    section: str
    rows: Sequence[str]
    seats_per_row: int
    first_number: int = 1
    step: int = 1
    is_numbered_from_right: bool = False
    aisles_after: Sequence[int] = ()
    category: str = ""
    accessible: Sequence[str] = ()

    @property
    def total(self) -> int:
        return len(self.rows) * self.seats_per_row

    @property
    def numbers(self) -> list[str]:
        """The seats' numbers from left to right."""
        last = self.first_number + self.step * self.seats_per_row
        numbers = [str(number) for number in range(self.first_number, last, self.step)]
        return numbers[::-1] if self.is_numbered_from_right else numbers

    @property
    def places(self) -> list[int]:
        """The seats' places from left to right; an aisle leaves one out."""
        return [
            seat + sum(1 for aisle in set(self.aisles_after) if aisle <= seat)
            for seat in range(self.seats_per_row)
        ]


# --- Names of rows --------------------------------------------------------------------


def letters() -> Iterator[str]:
    """A to Z, then AA, AB and so on."""
    return (letter_of(number) for number in count())


def letter_of(number: int) -> str:
    """0 is A, 25 is Z, 26 is AA."""
    name = ""
    while number >= 0:
        number, rest = divmod(number, 26)
        name = chr(ord("A") + rest) + name
        number -= 1
    return name


def letter_number(name: str) -> int:
    """The inverse of `letter_of`."""
    number = 0
    for letter in name:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def read_rows(text: str) -> list[str]:
    """Row names from "12" (A to L), "A-M", "1-20" or "A, B, D"; `ValueError` if none or too many."""
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,6}", text):
        return list(islice(letters(), _sensible(int(text))))
    if found := re.fullmatch(r"([0-9]{1,6})\s*[-–]\s*([0-9]{1,6})", text):
        first, last = int(found[1]), int(found[2])
        return [str(first + offset) for offset in range(_sensible(last - first + 1))]
    if found := re.fullmatch(r"([A-Z]{1,3})\s*[-–]\s*([A-Z]{1,3})", text):
        first, last = letter_number(found[1]), letter_number(found[2])
        return [letter_of(first + offset) for offset in range(_sensible(last - first + 1))]
    return _read_list(text)


def _read_list(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    _sensible(len(names))
    if len(set(names)) < len(names) or any(len(name) > 40 for name in names):
        raise ValueError(_("Each row needs a name of its own, of at most 40 characters."))
    return names


def _sensible(rows: int) -> int:
    if not 1 <= rows <= ROWS_AT_MOST:
        raise ValueError(_("There must be between 1 and %(most)d rows.") % {"most": ROWS_AT_MOST})
    return rows


# --- Making seats ---------------------------------------------------------------------


def add_seats(venue: Venue, block: SeatBlock) -> int:
    """Make the block's seats behind the rows that its section has; says how many.

    Raises `SeatsCollide` where the section has one of the rows already, where an accessible seat
    is not among the new ones, or where the venue would have too many seats. Locks the venue.
    """
    with transaction.atomic():
        Venue.objects.select_for_update(no_key=True).get(pk=venue.pk)
        check_block(venue, block)
        try:
            with transaction.atomic():
                return len(Seat.objects.bulk_create(_lay_out(venue, block), batch_size=5_000))
        except IntegrityError as error:
            # The plan that the venue was imported from happens to use one of the ids we make.
            raise SeatsCollide(_("Some of these seats exist already, under other names.")) from error


def check_block(venue: Venue, block: SeatBlock) -> None:
    """Raise what `add_seats` would raise."""
    existing = venue.seats.filter(section=block.section, row__in=block.rows)
    rows = list(existing.order_by("row_index").values_list("row", flat=True).distinct())
    if rows:
        raise SeatsCollide(
            _("Section “%(section)s” already has these rows: %(rows)s.")
            % {"section": block.section, "rows": name_some(rows, len(rows))}
        )
    known = {name for row in block.rows for number in block.numbers for name in _short_names(row, number)}
    unknown = sorted(set(block.accessible) - known)
    if unknown:
        raise SeatsCollide(
            _("These accessible seats are not among the new ones: %(seats)s.")
            % {"seats": name_some(unknown, len(unknown))}
        )
    if venue.seats.count() + block.total > SEATS_AT_MOST:
        raise SeatsCollide(_("A venue has at most %(most)d seats.") % {"most": SEATS_AT_MOST})


def _short_names(row: str, number: str) -> set[str]:
    """What a seat may be called within its section: A-1, or A1 where that is clear."""
    return {f"{row}-{number}"} if row[-1].isdigit() else {f"{row}-{number}", f"{row}{number}"}


def _lay_out(venue: Venue, block: SeatBlock) -> Iterable[Seat]:
    """The seats, drawn below whatever the venue has."""
    last_row = venue.seats.filter(section=block.section).aggregate(last=Max("row_index"))["last"]
    first_index = 0 if last_row is None else last_row + 1
    lowest = venue.seats.aggregate(lowest=Max("y"))["lowest"]
    top = 0 if lowest is None else lowest + (2 * ROW_SPACING if last_row is None else ROW_SPACING)
    return (
        Seat(
            venue=venue,
            guid=f"{block.section}-{row}-{number}",
            section=block.section,
            row=row,
            number=number,
            category=block.category,
            row_index=first_index + offset,
            place=place,
            x=place * SEAT_SPACING,
            y=top + offset * ROW_SPACING,
            is_accessible=not _short_names(row, number).isdisjoint(block.accessible),
        )
        for offset, row in enumerate(block.rows)
        for number, place in zip(block.numbers, block.places, strict=True)
    )


# --- Taking seats away ----------------------------------------------------------------


def remove_section(venue: Venue, section: str) -> int:
    """Delete a section's seats, with the tickets nobody ever held; says how many seats.

    Raises `TicketsTaken` if somebody has one of the tickets, and `SeatsInUse` if somebody had.
    """
    with transaction.atomic():
        Venue.objects.select_for_update(no_key=True).get(pk=venue.pk)
        return remove_seats(venue.seats.filter(section=section))


def remove_seats(seats: QuerySet[Seat]) -> int:
    """Delete the seats and their tickets; raises as `remove_section` does. Needs an open transaction."""
    drop_tickets(Ticket.objects.filter(seat__in=seats.order_by()))
    # What is left was held once: bookings refer to it, and so it keeps its seat.
    left = Ticket.objects.filter(seat__in=seats.order_by())
    total = left.count()
    if total:
        some = left.select_related("seat", "price_tier").order_by("id")[:5]
        raise SeatsInUse([describe(ticket) for ticket in some], total)
    return seats._raw_delete(using=seats.db)


def section_facts(venue: Venue) -> Iterable[Mapping[str, Any]]:
    """One line for each section: its rows, seats and categories."""
    return (
        venue.seats.order_by("section")
        .values("section", "category")
        .annotate(rows=Count("row_index", distinct=True), seats=Count("id"))
    )
