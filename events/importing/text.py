"""Cleaning what people and programs type: text, links, dates, prices."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from urllib.parse import quote, urlsplit

from django.utils.text import slugify

from events.importing.records import Refused

# Invisible characters that copying from web pages leaves behind.
INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"))
# Letters that Unicode does not take apart into a letter and an accent.
UNDIVIDED = str.maketrans({"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "ß": "ss", "æ": "ae", "ı": "i"})
LAST_MINUTE = time(23, 59)
USUAL_LENGTH = timedelta(hours=2)
LONGEST_EVENT = timedelta(days=366)
YEARS = range(1970, 2101)
DAY_FIRST = re.compile(r"^(\d{1,2})\.(\d{1,2})\.(\d{4})(.*)$")
SLASHES = re.compile(r"^(\d{1,2})/(\d{1,2})/(\d{4})(.*)$")
HIGHEST_PRICE = Decimal("99999999.99")


def clean_line(value: object) -> str:
    """One line of text: no control or invisible characters, single spaces, composed accents."""
    if value is None:
        return ""
    text = unicodedata.normalize("NFC", str(value)).translate(INVISIBLE)
    return " ".join("".join(" " if is_control(c) else c for c in text).split())


def clean_text(value: object) -> str:
    """Text of several lines, its line breaks kept."""
    if value is None:
        return ""
    text = (
        unicodedata.normalize("NFC", str(value))
        .translate(INVISIBLE)
        .replace("\r\n", "\n")
        .replace("\r", "\n")
    )
    kept = "".join(c for c in text if c == "\n" or not is_control(c))
    return re.sub(r"\n{3,}", "\n\n", kept).strip()


def is_control(character: str) -> bool:
    """Control characters and lone surrogates, none of which PostgreSQL or a page wants."""
    return unicodedata.category(character) in {"Cc", "Cs"}


def fold(text: str) -> str:
    """A form in which spellings meet: no accents, case or punctuation."""
    plain = unicodedata.normalize("NFKD", text.translate(UNDIVIDED))
    return "".join(c for c in plain.casefold() if c.isalnum())


def require(value: str, name: str, *, longest: int) -> str:
    """`value`, unless it is empty or too long."""
    if not value:
        raise Refused(f"it has no {name}")
    return limit(value, name, longest=longest)


def limit(value: str, name: str, *, longest: int) -> str:
    if len(value) > longest:
        raise Refused(f"its {name} has {len(value)} characters, and {longest} fit: “{value[:40]}…”")
    return value


def shorten(value: str, *, longest: int) -> str:
    """`value`, cut at a word where it is too long."""
    if len(value) <= longest:
        return value
    return value[: longest - 1].rsplit(" ", 1)[0].rstrip(" ,;:–-") + "…"


def clean_url(value: object) -> str:
    """An http(s) link, or an empty string; raises `Refused` for any other scheme or nonsense."""
    text = clean_line(value)
    if not text:
        return ""
    if "://" not in text and re.match(r"^(www\.)?[\w-]+(\.[\w-]+)+(/|$)", text):
        text = f"https://{text}"
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    if not host or parts.scheme.lower() not in {"http", "https"} or "." not in host or " " in host:
        raise Refused(f"its link is not an http or https address: “{text[:80]}”")
    return limit(quote(text, safe="%/:=&?~#+!$,;'@()*[]"), "link", longest=500)


def read_moment(value: object, zone: tzinfo, *, is_end: bool = False) -> datetime | None:
    """A date or a time of day, with or without an offset; None where nothing is given.

    A time without an offset is the venue's. A date alone is its first minute, or, as an end,
    its last.
    """
    text = clean_line(value)
    if not text:
        return None
    text = year_first(text)
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            moment = datetime.combine(date.fromisoformat(text), LAST_MINUTE if is_end else time.min, zone)
        else:
            moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(
            f"“{text[:40]}” is no date or time; write it as 2026-05-31 or 2026-05-31 19:30"
        ) from error
    if moment.year not in YEARS:
        raise Refused(f"the year {moment.year} cannot be meant")
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def read_clock(value: object, starts_at: datetime, zone: tzinfo) -> datetime | None:
    """Like `read_moment`; a time without a date is on the day that the event starts."""
    text = clean_line(value)
    if re.fullmatch(r"\d\d?:\d\d(:\d\d)?", text):
        return read_moment(f"{starts_at.astimezone(zone):%Y-%m-%d} {text.zfill(5)}", zone)
    return read_moment(text, zone)


def year_first(text: str) -> str:
    """31.05.2026 and 31/05/2026 as 2026-05-31. Raises `Refused` where day and month could be swapped."""
    if match := DAY_FIRST.match(text):
        day, month, year, rest = match.groups()
        return f"{year}-{int(month):02}-{int(day):02}{rest}"
    if match := SLASHES.match(text):
        first, second, year, rest = match.groups()
        if int(first) <= 12 and int(second) <= 12 and first != second:
            raise Refused(f"“{text[:40]}” can be read in two ways; write it as 2026-05-31")
        day, month = (first, second) if int(first) > 12 else (second, first)
        return f"{year}-{int(month):02}-{int(day):02}{rest}"
    return text


def read_times(start: object, end: object, zone: tzinfo) -> tuple[datetime, datetime]:
    """When an event starts and ends. Without an end, a day for a date and two hours for a time."""
    starts_at = read_moment(start, zone)
    if starts_at is None:
        raise Refused("it does not say when it starts")
    ends_at = read_moment(end, zone, is_end=True)
    if ends_at is None:
        is_date = len(year_first(clean_line(start))) == len("2026-05-31")
        ends_at = read_moment(start, zone, is_end=True) if is_date else starts_at + USUAL_LENGTH
    if ends_at is None or ends_at < starts_at:
        raise Refused(f"it ends ({clean_line(end)}) before it starts ({clean_line(start)})")
    if ends_at - starts_at > LONGEST_EVENT:
        raise Refused(f"it would last {(ends_at - starts_at).days} days; is there a typing error in a year?")
    return starts_at, ends_at


def read_price(value: object) -> Decimal:
    """A price as people write it: 25, 25.00, 25,00, 1,250.00, free."""
    text = clean_line(value)
    if text.casefold() in {"free", "gratis", "kostenlos", "gratuit"}:
        return Decimal(0)
    digits = re.sub(r"[^\d.,-]", "", text)
    if re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?", digits):
        digits = digits.replace(",", "")
    elif re.fullmatch(r"-?\d{1,3}(\.\d{3})+,\d+", digits):
        digits = digits.replace(".", "")
    try:
        price = Decimal(digits.replace(",", "."))
    except InvalidOperation as error:
        raise Refused(f"“{text[:40]}” is no price") from error
    if not 0 <= price <= HIGHEST_PRICE:
        raise Refused(f"a price cannot be {price}")
    return price.quantize(Decimal("0.01"))


def read_quantity(value: object) -> int | None:
    """A whole number from 1 to 200,000, or None where nothing is given."""
    text = clean_line(value).replace(",", "").replace(" ", "")
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,9})(\.0+)?", text)
    if not match or not 1 <= int(match[1]) <= 200_000:
        raise Refused(f"“{text[:40]}” is no number of tickets from 1 to 200,000")
    return int(match[1])


def make_key(source: str, *parts: str) -> str:
    """A key for `Event.source_key` that stays the same as long as `parts` do."""
    digest = hashlib.sha256("\x1f".join(fold(part) for part in parts).encode()).hexdigest()[:24]
    return f"{source}:{slugify(parts[0])[:60]}:{digest}"
