"""A booked booking's tickets to take along: PDF to print, calendar entry, QR pictures.

Everything is read from a booking that came from `BookingQuerySet.with_details()`; nothing here
queries.
"""

from __future__ import annotations

import base64
import io
from datetime import timedelta

import segno
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from icalendar import Alarm, Calendar
from icalendar import Event as CalendarEntry

from bookings.codes import sign_code
from bookings.models import Booking, BookingItem
from events.models import Event
from events.templatetags.box_office import clock, country_name, place_name

REMIND_BEFORE_DOORS = timedelta(hours=3)
# The light frame that scanners need around the code, in modules.
QUIET_ZONE = 4
# Pixels to a module.
PNG_SCALE = 16


def is_live(booking: Booking, item: BookingItem) -> bool:
    """Whether the ticket is booked and was not given back: only then has it a code."""
    return booking.status == Booking.Status.BOOKED and item.refund_id is None and bool(item.code)


def live_items(booking: Booking) -> list[BookingItem]:
    """The tickets that are valid at the door, in their order in the hall."""
    return [item for item in booking.items.all() if is_live(booking, item)]


def has_calendar(booking: Booking) -> bool:
    """A booking that is over has one too: it strikes the entry out of a calendar that has it."""
    return booking.booked_at is not None


def address_lines(event: Event) -> list[str]:
    """The venue's name, its street and its town, each without what the ones before say."""
    venue = event.venue
    place = venue.city if venue.city not in venue.address else ""
    country = country_name(venue.country) if venue.country else ""
    lines = [venue.name, venue.address, ", ".join(part for part in (place, country) if part)]
    return [line for line in lines if line]


# --- QR ---------------------------------------------------------------------------------


def make_qr(item: BookingItem) -> segno.QRCode:
    """The signed code, so that a smudge over a seventh of it does no harm (level M)."""
    return segno.make_qr(sign_code(item), error="m", boost_error=False)


def qr_svg(item: BookingItem) -> bytes:
    """The ticket's signed code as an SVG picture that stands alone, dark on white in every mode."""
    out = io.BytesIO()
    title = _("QR code of the ticket")
    make_qr(item).save(out, kind="svg", border=QUIET_ZONE, light="#fff", omitsize=True, title=title)
    # Without this, modules that do not fall on whole pixels are blurred into each other.
    return out.getvalue().replace(b"<svg ", b'<svg shape-rendering="crispEdges" ', 1)


def qr_data_uri(item: BookingItem) -> str:
    """The same picture within a page, which then needs nothing more from the network."""
    return f"data:image/svg+xml;base64,{base64.b64encode(qr_svg(item)).decode()}"


def qr_png(item: BookingItem, *, border: int = QUIET_ZONE, scale: int = PNG_SCALE) -> bytes:
    """The same in pixels, `scale` to a module."""
    out = io.BytesIO()
    make_qr(item).save(out, kind="png", border=border, scale=scale)
    return out.getvalue()


# --- Paper ------------------------------------------------------------------------------


def tickets_pdf(booking: Booking) -> bytes:
    """One A4 page for each valid ticket."""
    # Here and not above: it loads a whole font library, which the web's start need not wait for.
    from bookings.printing import draw_tickets

    return draw_tickets(booking, live_items(booking))


# --- Calendar ---------------------------------------------------------------------------


def tickets_calendar(booking: Booking) -> bytes:
    """An iCalendar file with the event in the venue's time zone, and a reminder before the doors.

    Reading a newer one replaces the entry: it keeps its UID, and SEQUENCE grows with every change.
    """
    event = booking.event
    calendar = Calendar()
    calendar.add("prodid", f"-//{settings.SITE_NAME}//EN")
    calendar.add("version", "2.0")
    calendar.add_component(_calendar_entry(booking))
    # A year on either side: a zone's rules are told by its changes of the clock.
    year = timedelta(days=366)
    calendar.add_missing_timezones((event.starts_at - year).date(), (event.ends_at + year).date())
    return bytes(calendar.to_ical())


def _calendar_entry(booking: Booking) -> CalendarEntry:
    event, zone = booking.event, booking.event.venue.zone
    status = _calendar_status(booking)
    entry = CalendarEntry()
    entry.add("uid", f"{booking.pk}@{settings.SITE_URL.partition('://')[2]}")
    entry.add("sequence", _sequence(event) + (status == "CANCELLED"))
    entry.add("status", status)
    entry.add("dtstamp", max(booking.booked_at or booking.created_at, event.updated_at))
    entry.add("last-modified", event.updated_at)
    entry.add("dtstart", event.starts_at.astimezone(zone))
    entry.add("dtend", event.ends_at.astimezone(zone))
    entry.add("summary", event.title)
    entry.add("location", ", ".join(address_lines(event)))
    if event.venue.latitude is not None and event.venue.longitude is not None:
        entry.add("geo", (event.venue.latitude, event.venue.longitude))
    entry.add("description", _calendar_words(booking))
    entry.add("url", settings.SITE_URL + booking.get_absolute_url())
    if status != "CANCELLED":
        entry.add_component(_reminder(event))
    return entry


def _calendar_status(booking: Booking) -> str:
    if booking.event.status == Event.Status.CANCELLED or not live_items(booking):
        return "CANCELLED"
    return "TENTATIVE" if booking.event.status == Event.Status.POSTPONED else "CONFIRMED"


def _sequence(event: Event) -> int:
    """Grows whenever the event is saved. In seconds, which fit into a calendar's 31 bits."""
    return max(0, int((event.updated_at - event.created_at).total_seconds()))


def _calendar_words(booking: Booking) -> str:
    items, event = live_items(booking), booking.event
    lines = [_("Booking %(reference)s") % {"reference": booking.reference}]
    if event.doors_at is not None:
        lines.append(_("Doors %(time)s") % {"time": clock(event.doors_at, event.venue)})
    if items:
        number = len(items)
        lines.append(ngettext("%(number)d ticket:", "%(number)d tickets:", number) % {"number": number})
        lines += [place_name(item.ticket.seat, item.price_tier) for item in items]
    return "\n".join(lines)


def _reminder(event: Event) -> Alarm:
    early = event.starts_at - (event.doors_at or event.starts_at)
    alarm = Alarm()
    alarm.add("action", "DISPLAY")
    alarm.add("description", event.title)
    alarm.add("trigger", -(early + REMIND_BEFORE_DOORS))
    return alarm
