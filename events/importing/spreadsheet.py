"""CSV, as spreadsheets and ticket systems write it; docs/importing.md lists the columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from django.utils.text import slugify

from events.importing import places
from events.importing.records import (
    Entry,
    ImportedEvent,
    ImportedTier,
    ImportedVenue,
    RawRecord,
    Refused,
    UnreadableFile,
)
from events.importing.text import (
    clean_line,
    clean_text,
    clean_url,
    fold,
    limit,
    make_key,
    read_clock,
    read_moment,
    read_price,
    read_quantity,
    read_times,
    require,
)

# Our column, and the other headings that mean it, folded.
HEADINGS = {
    "title": ["title", "name", "event", "eventname", "eventtitle"],
    "starts": ["starts", "start", "startsat", "startdate", "begins", "date", "datetime", "from"],
    "time": ["time", "starttime"],
    "ends": ["ends", "end", "endsat", "enddate", "until"],
    "doors": ["doors", "doorsat", "doorsopen"],
    "venue": ["venue", "location", "place", "hall", "venuename"],
    "address": ["address", "street", "venueaddress"],
    "city": ["city", "town"],
    "country": ["country", "countrycode"],
    "timezone": ["timezone", "tz"],
    "latitude": ["latitude", "lat"],
    "longitude": ["longitude", "lng", "lon", "long"],
    "category": ["category", "kind", "type", "genre"],
    "performers": ["performers", "performer", "artists", "artist", "speakers", "speaker", "lineup"],
    "summary": ["summary", "subtitle", "teaser"],
    "description": ["description", "details", "text"],
    "website": ["website", "url", "link", "web"],
    "status": ["status", "eventstatus"],
    "currency": ["currency"],
    "price": ["price", "ticketprice", "admission"],
    "quantity": ["quantity", "capacity", "tickets"],
    "prices": ["prices", "tiers", "pricetiers"],
    "onsale": ["onsale", "onsaleat", "salestart", "onsalefrom"],
    "offsale": ["offsale", "offsaleat", "saleend", "onsaleuntil"],
    "online": ["online", "virtual"],
    "id": ["id", "uid", "key", "eventid"],
}
COLUMNS = {heading: column for column, headings in HEADINGS.items() for heading in headings}
DELIMITERS = ",;\t|"
YES = {"1", "yes", "true", "x", "y"}
STATUSES = {
    "": "",
    "published": "",
    "scheduled": "",
    "confirmed": "",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "postponed": "postponed",
}
# As in: Stalls: 45.00 x 200
PRICE = re.compile(r"^(?P<name>[^:]+):\s*(?P<price>[^x×]+?)(?:\s*[x×]\s*(?P<quantity>[\d.,]+))?$")
DEFAULT_QUANTITY = 100
LONGEST_FIELD = 1_000_000


def read_csv(content: str) -> Iterator[Entry]:
    """The rows of a table, placed by their line. Raises `UnreadableFile`."""
    csv.field_size_limit(LONGEST_FIELD)
    rows = csv.reader(io.StringIO(content.replace("\0", ""), newline=""), delimiter=find_delimiter(content))
    try:
        columns = read_headings(next(rows, []))
        line = rows.line_num + 1
        for row in rows:
            if any(cell.strip() for cell in row):
                yield Entry(f"line {line}", dict(zip(columns, row, strict=False)), read_row)
            line = rows.line_num + 1
    except csv.Error as error:
        raise UnreadableFile(f"line {rows.line_num}: {error}") from error


def find_delimiter(content: str) -> str:
    """The delimiter that the first line has most of."""
    first_line = content.lstrip().partition("\n")[0]
    return max(DELIMITERS, key=first_line.count)


def read_headings(row: list[str]) -> list[str]:
    columns = [COLUMNS.get(fold(cell), "") for cell in row]
    missing = {"title", "starts"} - set(columns)
    if missing:
        raise UnreadableFile(
            f"It is neither JSON nor a table with the columns “title” and “starts”: “{' '.join(row)[:80]}”"
        )
    doubled = sorted({column for column in columns if column and columns.count(column) > 1})
    if doubled:
        raise UnreadableFile(f"Two columns mean the same: {', '.join(doubled)}.")
    return columns


def read_row(raw: RawRecord) -> ImportedEvent:
    """One row. Raises `Refused`."""
    title = require(clean_line(raw.get("title")), "title", longest=200)
    venue = read_venue(raw)
    zone = places.zone(venue.timezone)
    start = " ".join(filter(None, [clean_line(raw.get("starts")), clean_line(raw.get("time"))]))
    starts_at, ends_at = read_times(start, raw.get("ends"), zone)
    identity = clean_line(raw.get("id"))
    return ImportedEvent(
        source_key=make_key("csv", *([identity] if identity else [title, start, venue.slug])),
        title=title,
        summary=limit(clean_line(raw.get("summary")), "summary", longest=300),
        description=clean_text(raw.get("description")),
        category=limit(clean_line(raw.get("category")), "category", longest=80),
        performers=read_names(raw.get("performers")),
        venue=venue,
        starts_at=starts_at,
        ends_at=ends_at,
        doors_at=read_clock(raw.get("doors"), starts_at, zone),
        on_sale_at=read_moment(raw.get("onsale"), zone),
        off_sale_at=read_moment(raw.get("offsale"), zone, is_end=True),
        status=read_status(raw.get("status")),
        currency=read_currency(raw.get("currency"), venue.country),
        website=clean_url(raw.get("website")),
        tiers=tuple(read_tiers(raw)),
    )


def read_venue(raw: RawRecord) -> ImportedVenue:
    """The venue of a row, with what is known about its city where the row leaves it out."""
    country = places.find_country(clean_line(raw.get("country")))
    city = places.find_city(limit(clean_line(raw.get("city")), "city", longest=120), country)
    name = limit(clean_line(raw.get("venue")), "venue", longest=160)
    if not name and clean_line(raw.get("online")).casefold() in YES:
        return places.online_venue()
    if not name and not city.name:
        raise Refused("it names neither a venue nor a city")
    timezone = clean_line(raw.get("timezone"))
    if not name:
        return places.venue_in(city)
    return places.named_venue(
        name,
        city,
        address=limit(clean_line(raw.get("address")), "address", longest=240),
        latitude=raw.get("latitude"),
        longitude=raw.get("longitude"),
        timezone=timezone,
    )


def read_names(value: object) -> tuple[str, ...]:
    """Names between semicolons, bars or line breaks, each once; a comma may be part of a name."""
    names = [
        limit(clean_line(name), "performer", longest=160) for name in re.split(r"[;|\n]", str(value or ""))
    ]
    return tuple(dict.fromkeys(name for name in names if slugify(name, allow_unicode=True)))


def read_status(value: object) -> str:
    status = STATUSES.get(clean_line(value).casefold())
    if status is None:
        raise Refused(f"its status is not published, postponed or cancelled: “{clean_line(value)[:40]}”")
    return status


def read_currency(value: object, country: str) -> str:
    currency = clean_line(value).upper() or places.currency_of(country)
    if not re.fullmatch("[A-Z]{3}", currency):
        raise Refused(f"“{currency[:20]}” is not a currency of three letters, such as EUR")
    return currency


def read_tiers(raw: RawRecord) -> Iterator[ImportedTier]:
    """Either one `price` with its `quantity`, or `prices`: "Stalls: 45.00 x 200; Balcony: 30.00 x 80"."""
    quantity = read_quantity(raw.get("quantity")) or DEFAULT_QUANTITY
    if clean_line(raw.get("price")):
        yield ImportedTier(name="Admission", price=read_price(raw.get("price")), quantity=quantity)
    seen: set[str] = set()
    for part in filter(None, (clean_line(part) for part in str(raw.get("prices") or "").split(";"))):
        match = PRICE.match(part)
        if match is None:
            raise Refused(f"its prices cannot be read: “{part[:40]}”; write “Stalls: 45.00 x 200”")
        name = limit(match["name"].strip(), "price's name", longest=80)
        if name in seen:
            raise Refused(f"it has two prices with the name “{name}”")
        seen.add(name)
        yield ImportedTier(
            name=name,
            price=read_price(match["price"]),
            quantity=read_quantity(match["quantity"]) or quantity,
        )
