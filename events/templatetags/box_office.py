"""Money and time as people read them. Formatting only; never a query."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

from babel.core import Locale, UnknownLocaleError
from babel.dates import (
    format_date,
    format_datetime,
    format_interval,
    format_skeleton,
    format_time,
    get_timezone_name,
)
from babel.numbers import format_currency
from django import template
from django.utils.formats import localize_input
from django.utils.translation import get_language, to_locale
from django.utils.translation import gettext as _

from events.models import Event, PriceTier, Seat, Venue

register = template.Library()

# A festival's last set after midnight does not make it an event of two days.
NIGHT_IS_OVER_AFTER = timedelta(hours=12)


def current_locale() -> Locale:
    """The reader's locale; plain English is British, where a day comes before its month."""
    return _locale_of(get_language() or "en")


@lru_cache(maxsize=64)
def _locale_of(language: str) -> Locale:
    try:
        return Locale.parse("en_GB" if language == "en" else to_locale(language))
    except (UnknownLocaleError, ValueError):
        return Locale.parse("en_GB")


@register.filter
def money(amount: Decimal | None, currency: str) -> str:
    """`Decimal("45")` and `"EUR"` as “€45.00”; nothing for no amount."""
    return "" if amount is None else _write_money(amount, currency, current_locale())


# A page says the same few prices again and again.
@lru_cache(maxsize=1024)
def _write_money(amount: Decimal, currency: str, locale: Locale) -> str:
    text = format_currency(amount, currency, locale=locale)
    # Babel leaves out the space that CLDR wants between the letters of “CZK” and a figure.
    return re.sub(r"(?<=[A-Z])(?=\d)", "\N{NO-BREAK SPACE}", text)


@register.filter
def minor_units(amount: Decimal) -> str:
    """A price in hundredths, for scripts, which have no decimals."""
    return localize_input(int(amount * 100), "")


@register.filter
def day(moment: datetime, venue: Venue) -> str:
    """“Saturday, 12 December 2026”, where the venue is."""
    return format_date(moment.astimezone(venue.zone), format="full", locale=current_locale())


@register.filter
def short_day(moment: datetime, venue: Venue) -> str:
    """“Sat, 12 Dec 2026”, where the venue is."""
    return format_date(moment.astimezone(venue.zone), format="EEE d MMM y", locale=current_locale())


@register.filter
def clock(moment: datetime, venue: Venue) -> str:
    """“20:00”, where the venue is."""
    return format_time(moment, format="short", tzinfo=venue.zone, locale=current_locale())


@register.filter
def day_and_clock(moment: datetime, venue: Venue) -> str:
    """“12 Dec 2026, 20:00”, where the venue is."""
    return format_datetime(moment, format="d MMM y, HH:mm", tzinfo=venue.zone, locale=current_locale())


@register.filter
def zone_name(moment: datetime, venue: Venue) -> str:
    """“Central European Standard Time”: the name that the venue's clock has on that day."""
    return str(get_timezone_name(moment.astimezone(venue.zone), width="long", locale=current_locale()))


@register.filter
def lasts_days(event: Event) -> bool:
    """Whether the event's dates matter more than its hours."""
    starts, ends = (moment.astimezone(event.venue.zone) for moment in (event.starts_at, event.ends_at))
    return starts.date() != ends.date() and ends - starts > NIGHT_IS_OVER_AFTER


@register.filter
def day_range(event: Event) -> str:
    """“4–6 Jul 2027”, where the venue is."""
    starts, ends = (moment.astimezone(event.venue.zone).date() for moment in (event.starts_at, event.ends_at))
    return str(format_interval(starts, ends, "yMMMd", locale=current_locale()))


@register.filter
def month_name(month: str) -> str:
    """“Jan 2027” for “2027-01”."""
    return str(format_skeleton("yMMM", date.fromisoformat(f"{month}-01"), locale=current_locale()))


@register.filter
def place_name(seat: Seat | None, tier: PriceTier) -> str:
    """“Stalls, row 1, seat 2”; the price tier's name for general admission, which has no seat."""
    return tier.name if seat is None else seat_name(seat.section, seat.row, seat.number)


def seat_name(section: str, row: str, number: str) -> str:
    """“Stalls, row 1, seat 2”."""
    return _("%(section)s, row %(row)s, seat %(number)s") % {"section": section, "row": row, "number": number}


@register.filter
def country_name(code: str) -> str:
    """“Germany” for “DE”, in the reader's language; the code where it has no name."""
    return str(current_locale().territories.get(code, code))
