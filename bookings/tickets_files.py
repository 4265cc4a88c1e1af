"""A booked booking's tickets to take along: PDF to print, calendar entry, QR picture.

Everything is read from a booking that came from `BookingQuerySet.with_details()`; nothing here
queries.
"""

from __future__ import annotations

import io
from datetime import timedelta
from typing import TYPE_CHECKING

import segno
from django.conf import settings
from django.utils.translation import gettext as _
from icalendar import Calendar
from icalendar import Event as CalendarEntry

from bookings.models import Booking, BookingItem
from events.models import Event
from events.templatetags.box_office import clock, day, money, place_name

if TYPE_CHECKING:
    from fpdf import FPDF

FONTS = settings.BASE_DIR / "static" / "fonts"
QR_MILLIMETRES = 60


def tickets_pdf(booking: Booking) -> bytes:
    """One A4 page for each ticket."""
    # Here and not above: it loads a whole font library, which the web's start need not wait for.
    from fpdf import FPDF

    pdf = FPDF(format="A4", unit="mm")
    pdf.set_title(f"{booking.event.title} – {booking.reference}")
    pdf.set_creator(settings.SITE_NAME)
    pdf.set_margin(20)
    _add_fonts(pdf)
    for item in booking.items.all():
        _add_page(pdf, booking, item)
    return bytes(pdf.output())


def tickets_calendar(booking: Booking) -> bytes:
    """An iCalendar file with the event, in its own time zone."""
    event = booking.event
    entry = CalendarEntry()
    # The same for each download, so that a calendar replaces the entry instead of adding one.
    entry.add("uid", f"{booking.pk}@{settings.SITE_URL.partition('://')[2]}")
    entry.add("dtstamp", booking.booked_at or booking.created_at)
    entry.add("dtstart", event.starts_at.astimezone(event.venue.zone))
    entry.add("dtend", event.ends_at.astimezone(event.venue.zone))
    entry.add("summary", event.title)
    entry.add("location", _where(event))
    entry.add("description", _("Booking %(reference)s") % {"reference": booking.reference})
    entry.add("url", settings.SITE_URL + event.get_absolute_url())
    calendar = Calendar()
    calendar.add("prodid", f"-//{settings.SITE_NAME}//EN")
    calendar.add("version", "2.0")
    calendar.add_component(entry)
    # A year on either side: a zone's rules are told by its changes of the clock.
    year = timedelta(days=366)
    calendar.add_missing_timezones((event.starts_at - year).date(), (event.ends_at + year).date())
    return bytes(calendar.to_ical())


def qr_svg(code: str) -> bytes:
    """The ticket's code as an SVG picture that stands alone."""
    out = io.BytesIO()
    segno.make(code, error="m", micro=False).save(out, kind="svg", scale=8, title=_("QR code of the ticket"))
    return out.getvalue()


def _add_fonts(pdf: FPDF) -> None:
    """The site's own fonts: they have every Latin letter, which the built-in ones have not."""
    for family, name in [("text", "figtree"), ("heading", "bricolage-grotesque")]:
        pdf.add_font(family, fname=FONTS / f"{name}-latin-wght-normal.woff2")
        pdf.add_font(f"{family}-more", fname=FONTS / f"{name}-latin-ext-wght-normal.woff2")


def _add_page(pdf: FPDF, booking: Booking, item: BookingItem) -> None:
    event = booking.event
    pdf.add_page()
    _line(pdf, settings.SITE_NAME, size=11)
    pdf.ln(6)
    _line(pdf, event.title, size=24, font="heading")
    _line(pdf, f"{day(event.starts_at, event.venue)}, {clock(event.starts_at, event.venue)}", size=13)
    _line(pdf, _where(event), size=13)
    pdf.ln(6)
    _line(pdf, place_name(item.ticket.seat, item.price_tier), size=18, font="heading")
    _line(pdf, f"{item.price_tier.name} · {money(item.price, booking.currency)}", size=13)
    if item.holder_name:
        _line(pdf, item.holder_name, size=13)
    pdf.ln(8)
    pdf.image(_qr_png(item.code or ""), x=20, w=QR_MILLIMETRES, alt_text=_("QR code of the ticket"))
    pdf.ln(4)
    _line(pdf, item.code or "", size=10)
    _line(pdf, _("Booking %(reference)s") % {"reference": booking.reference}, size=10)


def _line(pdf: FPDF, text: str, *, size: int, font: str = "text") -> None:
    pdf.set_font(font, size=size)
    pdf.set_fallback_fonts([f"{font}-more"])
    # Dates and prices have narrow spaces between their parts, which the fonts have not.
    printable = text.replace("\u202f", " ").replace("\u00a0", " ")
    pdf.multi_cell(0, size * 0.5, printable, new_x="LMARGIN", new_y="NEXT", align="L")


def _qr_png(code: str) -> io.BytesIO:
    out = io.BytesIO()
    segno.make(code, error="m", micro=False).save(out, kind="png", scale=10, border=0)
    out.seek(0)
    return out


def _where(event: Event) -> str:
    venue = event.venue
    return ", ".join(part for part in (venue.name, venue.address, venue.city, venue.country) if part)
