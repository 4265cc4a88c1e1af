"""schema.org events in JSON-LD, as websites publish them (https://schema.org/Event)."""

from __future__ import annotations

import html
from collections.abc import Iterator
from datetime import tzinfo
from decimal import Decimal
from functools import partial
from typing import Any

import nh3
from django.utils.text import slugify

from events.importing import places
from events.importing.records import Entry, ImportedEvent, ImportedTier, ImportedVenue, RawRecord, Refused
from events.importing.spreadsheet import DEFAULT_QUANTITY, read_currency
from events.importing.text import (
    clean_line,
    clean_text,
    clean_url,
    limit,
    make_key,
    read_clock,
    read_moment,
    read_price,
    read_quantity,
    read_times,
    require,
    shorten,
)

PREFIXES = ("https://schema.org/", "http://schema.org/", "schema:")
# Kinds of event that do not end in "Event".
OTHER_KINDS = {"Festival", "Hackathon", "CourseInstance", "EventSeries"}
CATEGORIES = {
    "BusinessEvent": "Conferences",
    "ChildrensEvent": "Family",
    "ComedyEvent": "Comedy",
    "ConferenceEvent": "Conferences",
    "DanceEvent": "Dance",
    "EducationEvent": "Talks",
    "ExhibitionEvent": "Exhibitions",
    "Festival": "Festivals",
    "FoodEvent": "Food",
    "Hackathon": "Conferences",
    "LiteraryEvent": "Talks",
    "MusicEvent": "Concerts",
    "ScreeningEvent": "Film",
    "SportsEvent": "Sport",
    "TheaterEvent": "Theatre",
    "VisualArtsEvent": "Exhibitions",
}
STATUSES = {"EventCancelled": "cancelled", "EventPostponed": "postponed"}
Node = dict[str, Any]


def find_events(document: object) -> list[Entry]:
    """Every event of a document: alone, in a list, an @graph or an ItemList, or part of a series."""
    nodes = [(place, plain(node)) for place, node in walk(document, "")]
    known = {node["@id"]: node for _, node in nodes if isinstance(node.get("@id"), str) and len(node) > 1}
    return [
        Entry(f"{place or 'record 1'}", node, partial(read_event, known=known))
        for place, node in nodes
        if is_event(node)
    ]


def walk(value: object, place: str) -> Iterator[tuple[str, Node]]:
    """The nodes of a document with their places, from the outside in."""
    if isinstance(value, list):
        for number, item in enumerate(value, start=1):
            yield from walk(item, f"record {number}" if not place else f"{place}, item {number}")
    elif isinstance(value, dict):
        yield place, value
        for name in ("@graph", "itemListElement", "item", "subEvent", "mainEntity"):
            if name in value:
                inside = "" if name == "@graph" else f"{place}, {name}".removeprefix(", ")
                yield from walk(value[name], inside)


def plain(node: Node) -> Node:
    """The node with `schema:name` and `http://schema.org/name` written as `name`."""
    return {strip_prefix(name): value for name, value in node.items()}


def strip_prefix(name: str) -> str:
    for prefix in PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def kinds(node: Node) -> list[str]:
    return [strip_prefix(kind) for kind in as_list(node.get("@type")) if isinstance(kind, str)]


def is_event(node: Node) -> bool:
    """An event, and not a series that is only the sum of its parts."""
    is_sum = bool(node.get("subEvent")) and "startDate" not in node
    return not is_sum and any(kind.endswith("Event") or kind in OTHER_KINDS for kind in kinds(node))


def as_list(value: object) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def line(value: object) -> str:
    """A value as one line of text: the first of a list, the `@value` or the `name` of a node."""
    for item in as_list(value):
        if isinstance(item, dict):
            item = plain(item)
            return line(item.get("@value", item.get("name", item.get("@id"))))
        return clean_line(html.unescape(item) if isinstance(item, str) else item)
    return ""


def resolve(value: object, known: dict[str, Node]) -> list[Node]:
    """Nodes, those given by reference looked up, and bare names as nodes with a name."""
    nodes = []
    for item in as_list(value):
        if isinstance(item, dict):
            node = plain(item)
            nodes.append(known.get(node.get("@id", ""), node) if len(node) == 1 else node)
        elif isinstance(item, str):
            nodes.append(known.get(item, {"name": item}))
    return nodes


def read_event(raw: RawRecord, *, known: dict[str, Node]) -> ImportedEvent:
    """One event node. Raises `Refused`."""
    node = dict(raw)
    title = require(line(node.get("name")), "name", longest=200)
    venue = read_venue(node, known)
    zone = places.zone(venue.timezone)
    start = line(node.get("startDate"))
    starts_at, ends_at = read_times(start, line(node.get("endDate")), zone)
    identity = line(node.get("@id")) or line(node.get("identifier"))
    offers = resolve(node.get("offers"), known)
    description = read_description(node.get("description"))
    on_sale_at, off_sale_at = read_sale(offers, zone)
    return ImportedEvent(
        source_key=make_key("jsonld", *([identity] if identity else [title, start, venue.slug])),
        title=title,
        summary=shorten(" ".join(description.partition("\n\n")[0].split()), longest=300),
        description=description,
        category=next((CATEGORIES[kind] for kind in kinds(node) if kind in CATEGORIES), ""),
        performers=read_performers(node, known),
        venue=venue,
        starts_at=starts_at,
        ends_at=ends_at,
        doors_at=read_clock(line(node.get("doorTime")), starts_at, zone),
        on_sale_at=on_sale_at,
        off_sale_at=off_sale_at,
        status=read_status(node),
        currency=read_offers_currency(offers, venue),
        website=clean_url(line(node.get("url"))),
        tiers=tuple(read_tiers(offers, node, known)),
    )


def read_status(node: Node) -> str:
    """The worst of the event's states: a cancelled event may also have been moved before."""
    states = {STATUSES.get(strip_prefix(str(state)), "") for state in as_list(node.get("eventStatus"))}
    return "cancelled" if "cancelled" in states else "postponed" if "postponed" in states else ""


def read_description(value: object) -> str:
    """Text without HTML; paragraphs stay apart."""
    text = str(next(iter(as_list(value)), ""))
    apart = text.replace("</p>", "\n\n").replace("<br>", "\n").replace("<br/>", "\n").replace("<br />", "\n")
    return clean_text(html.unescape(nh3.clean(apart, tags=set())))


def read_venue(node: Node, known: dict[str, Node]) -> ImportedVenue:
    """The first real place; online where there is none, or only a virtual one."""
    locations = resolve(node.get("location"), known)
    real = [place for place in locations if "VirtualLocation" not in kinds(place)]
    if real:
        return read_place(real[0], known)
    modes = {strip_prefix(line(mode)) for mode in as_list(node.get("eventAttendanceMode"))}
    if locations or "OnlineEventAttendanceMode" in modes:
        return places.online_venue()
    raise Refused("it has no location")


def read_place(place: Node, known: dict[str, Node]) -> ImportedVenue:
    name = limit(line(place.get("name")), "venue", longest=160)
    address = next(iter(resolve(place.get("address"), known)), {})
    geo = next(iter(resolve(place.get("geo"), known)), {})
    country = places.find_country(line(address.get("addressCountry")))
    city_name = limit(line(address.get("addressLocality")), "city", longest=120)
    city = places.find_city(city_name, country, line(address.get("addressRegion")))
    if not name and not city.name:
        raise Refused("its location has neither a name nor a city")
    if not name:
        return places.venue_in(city)
    written = [line(address.get(part)) for part in ("streetAddress", "postalCode")]
    # An address that is a mere text has been made a node with a name.
    written = [line(address.get("name"))] if "name" in address and not any(written) else written
    return places.named_venue(
        name,
        city,
        address=limit(", ".join(filter(None, written)), "address", longest=240),
        latitude=geo.get("latitude"),
        longitude=geo.get("longitude"),
    )


def read_performers(node: Node, known: dict[str, Node]) -> tuple[str, ...]:
    """The performers; where there are none, the organiser is who one looks for."""
    for role in ("performer", "performers", "actor", "organizer"):
        names = [
            limit(line(person.get("name")), role, longest=160) for person in resolve(node.get(role), known)
        ]
        found = tuple(dict.fromkeys(name for name in names if slugify(name, allow_unicode=True)))
        if found:
            return found
    return ()


def read_offers_currency(offers: list[Node], venue: ImportedVenue) -> str:
    currencies = {line(offer.get("priceCurrency")).upper() for offer in offers} - {""}
    if len(currencies) > 1:
        raise Refused(f"its prices are in several currencies: {', '.join(sorted(currencies))}")
    return read_currency(next(iter(currencies), ""), venue.country)


def read_sale(offers: list[Node], zone: tzinfo) -> tuple[Any, Any]:
    """When the sale begins and ends: the first beginning and the last end of all offers."""
    begins = [
        read_moment(line(offer.get("validFrom") or offer.get("availabilityStarts")), zone) for offer in offers
    ]
    ends = [
        read_moment(line(offer.get("validThrough") or offer.get("availabilityEnds")), zone, is_end=True)
        for offer in offers
    ]
    on_sale_at = min((moment for moment in begins if moment), default=None)
    off_sale_at = max((moment for moment in ends if moment), default=None)
    return on_sale_at, off_sale_at


def read_tiers(offers: list[Node], node: Node, known: dict[str, Node]) -> Iterator[ImportedTier]:
    """A price tier for each offer that names a price; a range becomes its two ends."""
    room = read_quantity(line(node.get("maximumAttendeeCapacity"))) or DEFAULT_QUANTITY
    used: set[str] = set()
    for name, price, quantity in list_prices(offers, known):
        unique = name
        while unique in used:
            unique = f"{name} {len(used) + 1}"
        used.add(unique)
        yield ImportedTier(
            name=limit(unique, "price's name", longest=80), price=price, quantity=quantity or room
        )


def list_prices(offers: list[Node], known: dict[str, Node]) -> Iterator[tuple[str, Decimal, int | None]]:
    for offer in offers:
        inner = resolve(offer.get("offers"), known)
        if inner:
            yield from list_prices(inner, known)
        elif offer.get("price") is not None:
            name = line(offer.get("name")) or line(offer.get("category")) or "Admission"
            yield name, read_price(line(offer.get("price"))), read_stock(offer)
        elif offer.get("lowPrice") is not None:
            low, high = line(offer.get("lowPrice")), line(offer.get("highPrice"))
            yield "Lowest price", read_price(low), None
            if high and read_price(high) != read_price(low):
                yield "Highest price", read_price(high), None


def read_stock(offer: Node) -> int | None:
    level = offer.get("inventoryLevel")
    return read_quantity(plain(level).get("value") if isinstance(level, dict) else level)
