"""A booking's tickets on paper: one A4 page for each, with its QR, its place and its event's poster.

Everything is read from a booking that came from `BookingQuerySet.with_details()`; nothing here
queries. Lengths are in millimetres, letters in points.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import cast

from django.conf import settings
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from fpdf import FPDF
from fpdf.enums import Align, MethodReturnValue

from bookings.models import Booking, BookingItem
from bookings.pdf_fonts import HEADING, TEXT, add_fonts, is_right_to_left, needs_shaping, printable
from bookings.tickets_files import address_lines, qr_png
from events.models import Event
from events.posters import draw_poster, poster_ground
from events.templatetags.box_office import clock, day, money, zone_name

PAGE_WIDTH, PAGE_HEIGHT = 210, 297
MARGIN = 16
BAND = 66
QR = 62
# Pixels to a module: enough for any printer, and quick to write.
QR_SCALE = 6
QR_LEFT = PAGE_WIDTH - MARGIN - QR
COLUMN = QR_LEFT - MARGIN - 12
TOP = BAND + 14
FOOT = 262

INK, SOFT, LINE, PAPER = "#14201e", "#4a5955", "#c9c4b6", "#ffffff"
POINT = 25.4 / 72
LEADING = 1.22
SHRINK = 0.92


@dataclass(frozen=True)
class Style:
    """How a text is set: as large as fits, between two sizes."""

    size: float
    smallest: float
    family: str = TEXT
    weight: str = ""
    colour: str = INK
    align: Align | None = None


# A size, and the lines at it.
Fit = tuple[float, list[str]]

TITLE = Style(30, 10.5, HEADING, "B")
SITE = Style(10.5, 8, TEXT, "B")
LABEL = Style(8.5, 6.5, TEXT, "", SOFT)
STRONG = Style(15, 8, TEXT, "B")
PLAIN = Style(11, 7.5)
PLACE = Style(26, 9, HEADING, "B")
CODE = Style(13, 8, TEXT, "B", INK, Align.C)
SMALL = Style(8.5, 7, TEXT, "", SOFT)


def draw_tickets(booking: Booking, items: list[BookingItem]) -> bytes:
    """One page for each of `items`. However long a name, it shrinks and wraps into its place."""
    sheet = Sheet(booking, items)
    for number, item in enumerate(items, start=1):
        sheet.add_ticket(item, number)
    return bytes(sheet.pdf.output())


class Sheet:
    """The pages of one booking, which share their event and its poster."""

    def __init__(self, booking: Booking, items: list[BookingItem]) -> None:
        self.booking = booking
        self.event: Event = booking.event
        self.count = len(items)
        self._fits: dict[tuple[str, Style, float, float], Fit] = {}
        kind = self.event.category.slug if self.event.category else ""
        self.ground = poster_ground(kind, self.event.slug)
        self.poster = draw_poster(kind, self.event.slug).encode()
        self.pdf = FPDF(format="A4", unit="mm")
        self.pdf.set_auto_page_break(auto=False)
        self.pdf.c_margin = 0
        self.pdf.set_title(printable(f"{self.event.title} – {booking.reference}"))
        self.pdf.set_creator(settings.SITE_NAME)
        self.pdf.set_lang(get_language() or "en")
        add_fonts(self.pdf, self._texts(items))

    def add_ticket(self, item: BookingItem, number: int) -> None:
        self.pdf.add_page()
        self._draw_band()
        self._draw_facts(item)
        self._draw_code(item, number)
        self._draw_foot()

    def _draw_band(self) -> None:
        pdf, colour = self.pdf, PAPER if _is_dark(self.ground) else INK
        pdf.set_fill_color(self.ground)
        pdf.rect(0, 0, PAGE_WIDTH, BAND, style="F")
        left = PAGE_WIDTH - BAND
        with pdf.rect_clip(left, 0, BAND, BAND):
            pdf.image(io.BytesIO(self.poster), x=left, y=0, w=BAND, h=BAND)
        width = left - 2 * MARGIN + 6
        self._put(settings.SITE_NAME, SITE, MARGIN, 12, width, 6, colour=colour)
        self._put(self.event.title, TITLE, MARGIN, 20, width, BAND - 28, colour=colour)

    def _draw_facts(self, item: BookingItem) -> None:
        y = self._draw_place(item, TOP)
        y = self._fact(_("When"), self._when(), y, 22)
        name, *address = address_lines(self.event)
        y = self._fact(_("Where"), [(name, STRONG), *((line, PLAIN) for line in address)], y, 44)
        if item.holder_name:
            y = self._fact(_("For"), [(item.holder_name, STRONG)], y, 22)
        price = [(money(item.price, self.booking.currency), PLAIN)]
        if item.ticket.seat is not None:
            price.append((item.price_tier.name, PLAIN))
        self._fact(_("Price"), price, y, 14)

    def _when(self) -> list[tuple[str, Style]]:
        event, venue = self.event, self.event.venue
        if event.status == Event.Status.POSTPONED:
            return [(_("The new date is not known yet"), STRONG)]
        start = f"{clock(event.starts_at, venue)} ({zone_name(event.starts_at, venue)})"
        if event.doors_at is not None:
            doors = _("doors %(time)s") % {"time": clock(event.doors_at, venue)}
            start = f"{start} · {doors}"
        return [(day(event.starts_at, venue), STRONG), (start, PLAIN)]

    def _draw_place(self, item: BookingItem, y: float) -> float:
        """The seat in large type, as an usher looks for it; the price tier where there are no seats."""
        seat = item.ticket.seat
        if seat is None:
            return self._fact(_("Ticket"), [(item.price_tier.name, PLACE)], y, 26)
        half = (COLUMN - 6) / 2
        below = self._fact(_("Section"), [(seat.section, PLACE)], y, 26)
        row = self._fact(_("Row"), [(seat.row, PLACE)], below, 20, width=half)
        chair = self._fact(_("Seat"), [(seat.number, PLACE)], below, 20, x=MARGIN + half + 6, width=half)
        return max(row, chair)

    def _draw_code(self, item: BookingItem, number: int) -> None:
        pdf = self.pdf
        picture = io.BytesIO(qr_png(item, border=0, scale=QR_SCALE))
        pdf.image(picture, x=QR_LEFT, y=TOP, w=QR, h=QR, alt_text=_("QR code of the ticket"))
        y = self._put(item.grouped_code, CODE, QR_LEFT, TOP + QR + 4, QR, 6)
        reference = _("Booking %(reference)s") % {"reference": self.booking.reference}
        which = _("ticket %(number)d of %(count)d") % {"number": number, "count": self.count}
        centred = Style(9.5, 7, TEXT, "", SOFT, Align.C)
        self._put(f"{reference} · {which}", centred, QR_LEFT, y + 2, QR, 10)

    def _draw_foot(self) -> None:
        pdf = self.pdf
        pdf.set_draw_color(LINE)
        pdf.set_line_width(0.3)
        pdf.set_dash_pattern(dash=1.6, gap=1.6)
        pdf.line(MARGIN, FOOT, PAGE_WIDTH - MARGIN, FOOT)
        pdf.set_dash_pattern()
        width = PAGE_WIDTH - 2 * MARGIN
        y = self._put(self._terms(), SMALL, MARGIN, FOOT + 5, width, 12)
        self._put(self._made_for(), SMALL, MARGIN, y + 1.5, width, 9)

    def _terms(self) -> str:
        return _(
            "Show the code at the door, on paper or on a phone. It lets one person in, once: "
            "whoever shows it first. Do not post a picture of it."
        )

    def _made_for(self) -> str:
        booking = self.booking
        facts = {"site": settings.SITE_URL.partition("://")[2], "name": booking.name or booking.email}
        if not facts["name"]:
            return facts["site"]
        return _("Booked by %(name)s at %(site)s") % facts

    def _fact(
        self,
        label: str,
        lines: list[tuple[str, Style]],
        y: float,
        room: float,
        *,
        x: float = MARGIN,
        width: float = COLUMN,
    ) -> float:
        """A label and what it names, in at most `room` millimetres; returns where the next may begin."""
        y = self._put(label, LABEL, x, y, width, 5) + 0.8
        bottom = y + room
        for number, (text, style) in enumerate(lines):
            # What is left is shared, so that a long first line leaves the others theirs.
            share = (bottom - y) / (len(lines) - number)
            y = self._put(text, style, x, y, width, share)
        return y + 5

    def _put(
        self, text: str, style: Style, x: float, y: float, width: float, room: float, *, colour: str = ""
    ) -> float:
        """Set `text` as large as fits into the box, or cut it at the smallest; returns its lower edge."""
        pdf = self.pdf
        text = printable(text)
        pdf.set_text_shaping(use_shaping_engine=style.family == HEADING or needs_shaping(text))
        size, lines = self._fit_once(text, style, width, room)
        pdf.set_font(style.family, style.weight, size)
        pdf.set_text_color(colour or style.colour)
        # A single line stays beside its label.
        is_mirrored = len(lines) > 1 and is_right_to_left(text)
        align = style.align or (Align.R if is_mirrored else Align.L)
        height = size * POINT * LEADING
        for line in lines:
            pdf.set_xy(x, y)
            pdf.cell(width, height, line, align=align)
            y += height
        return y

    def _fit_once(self, text: str, style: Style, width: float, room: float) -> Fit:
        """Most texts are the same on every page, and fitting them is half of the work."""
        key = (text, style, width, round(room, 3))
        if key not in self._fits:
            self._fits[key] = self._fit(text, style, width, room)
        return self._fits[key]

    def _fit(self, text: str, style: Style, width: float, room: float) -> Fit:
        """The size, and the lines that the text breaks into at it."""
        size = style.size
        while True:
            self.pdf.set_font(style.family, style.weight, size)
            height = size * POINT * LEADING
            broken = self.pdf.multi_cell(
                width, height, text, dry_run=True, output=MethodReturnValue.LINES, align=Align.L
            )
            lines = cast(list[str], broken)
            fitting = max(1, int(room / height + 0.01))
            is_broken = len(lines) > len(text.split())
            if len(lines) <= fitting and not is_broken:
                return size, lines
            if size <= style.smallest:
                return size, lines if len(lines) <= fitting else _cut(lines, fitting)
            size = max(style.smallest, size * SHRINK)

    def _texts(self, items: list[BookingItem]) -> str:
        """Every letter that may be printed, but for the words of this module."""
        event, booking = self.event, self.booking
        texts = [settings.SITE_NAME, event.title, *address_lines(event), booking.name, booking.email]
        texts += [day(event.starts_at, event.venue), zone_name(event.starts_at, event.venue), self._terms()]
        for item in items:
            seat = item.ticket.seat
            texts += [item.holder_name, item.price_tier.name, money(item.price, booking.currency)]
            texts += [seat.section, seat.row, seat.number] if seat else []
        return printable(" ".join(texts))


def _cut(lines: list[str], fitting: int) -> list[str]:
    """As many lines as there is room for; the last one says that it goes on."""
    return [*lines[: fitting - 1], lines[fitting - 1][:-1].rstrip() + "…"]


def _is_dark(colour: str) -> bool:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue < 140
