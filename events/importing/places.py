"""Where a city is, which country a name means, and what time it is there."""

from __future__ import annotations

import csv
import re
import zoneinfo
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale
from babel.core import get_global
from babel.numbers import get_territory_currencies
from django.utils.text import slugify

from events.importing.records import ImportedVenue, Refused
from events.importing.text import clean_line, fold, limit, make_key

TO_BE_ANNOUNCED = "Venue to be announced"
ONLINE = "Online"

# Names that people use and the CLDR, which babel carries, does not list.
COUNTRY_ALIASES = {
    "usa": "US",
    "america": "US",
    "unitedstatesofamerica": "US",
    "uk": "GB",
    "greatbritain": "GB",
    "england": "GB",
    "scotland": "GB",
    "wales": "GB",
    "northernireland": "GB",
    "czechrepublic": "CZ",
    "turkey": "TR",
    "korea": "KR",
    "republicofkorea": "KR",
    "hongkong": "HK",
    "macau": "MO",
    "macao": "MO",
    "macedonia": "MK",
    "bosniaandherzegovina": "BA",
    "bosnia": "BA",
    "holland": "NL",
    "thenetherlands": "NL",
    "uae": "AE",
    "palestine": "PS",
    "ivorycoast": "CI",
    "burma": "MM",
    "swaziland": "SZ",
    "capeverde": "CV",
    "vatican": "VA",
    "congo": "CG",
    "russianfederation": "RU",
    "deutschland": "DE",
    "osterreich": "AT",
    "schweiz": "CH",
    "espana": "ES",
}
# Where a country has several time zones: the one most of its people live in.
MAIN_ZONES = {
    "AR": "America/Argentina/Buenos_Aires",
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "CD": "Africa/Kinshasa",
    "CL": "America/Santiago",
    "CN": "Asia/Shanghai",
    "CY": "Asia/Nicosia",
    "DE": "Europe/Berlin",
    "EC": "America/Guayaquil",
    "ES": "Europe/Madrid",
    "FM": "Pacific/Pohnpei",
    "GL": "America/Nuuk",
    "ID": "Asia/Jakarta",
    "KI": "Pacific/Tarawa",
    "KZ": "Asia/Almaty",
    "MH": "Pacific/Majuro",
    "MN": "Asia/Ulaanbaatar",
    "MX": "America/Mexico_City",
    "MY": "Asia/Kuala_Lumpur",
    "NZ": "Pacific/Auckland",
    "PF": "Pacific/Tahiti",
    "PG": "Pacific/Port_Moresby",
    "PS": "Asia/Hebron",
    "PT": "Europe/Lisbon",
    "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv",
    "US": "America/New_York",
    "UZ": "Asia/Tashkent",
    "XK": "Europe/Belgrade",
}
# The zone of most of each state; cities that differ say so in cities.csv.
STATES_BY_ZONE = {
    "America/New_York": "CT DC DE FL GA KY MA MD ME NC NH NJ NY OH PA RI SC VA VT WV",
    "America/Chicago": "AL AR IA IL KS LA MN MO MS ND NE OK SD TN TX WI",
    "America/Denver": "CO MT NM UT WY",
    "America/Los_Angeles": "CA NV OR WA",
    "America/Anchorage": "AK",
    "America/Phoenix": "AZ",
    "Pacific/Honolulu": "HI",
    "America/Boise": "ID",
    "America/Indiana/Indianapolis": "IN",
    "America/Detroit": "MI",
}
STATE_ZONES = {state: name for name, states in STATES_BY_ZONE.items() for state in states.split()}


@dataclass(frozen=True, kw_only=True)
class City:
    """A city as this module knows it; what it does not know is empty."""

    name: str
    region: str = ""
    country: str = ""
    latitude: float | None = None
    longitude: float | None = None
    timezone: str = "UTC"


def find_country(name: str) -> str:
    """The ISO 3166 code of a country's name or code; empty for an empty name. Raises `Refused`."""
    if not name:
        return ""
    code = country_names().get(fold(name))
    if code is None:
        raise Refused(f"“{name[:60]}” is not a country that we know")
    return code


@cache
def country_names() -> dict[str, str]:
    """Folded names and codes of every territory of the CLDR, and the aliases."""
    territories = {
        code: name for code, name in Locale("en").territories.items() if re.fullmatch("[A-Z]{2}", code)
    }
    named = {fold(name): code for code, name in territories.items()}
    coded = {code.casefold(): code for code in territories}
    return coded | named | COUNTRY_ALIASES


def country_name(code: str) -> str:
    """The English name of a country's code, as it is said in a sentence."""
    return str(Locale("en").territories.get(code, "")).replace(" SAR China", "").replace(" & ", " and ")


def currency_of(country: str) -> str:
    """The currency of a country, EUR where it is not known."""
    return next(iter(get_territory_currencies(country)), "EUR") if country else "EUR"


def find_city(name: str, country: str, region: str = "") -> City:
    """The city, spelt as we spell it, with what is known about it.

    An American name may end with its state: "Dallas, TX".
    """
    if country == "US" and (match := re.fullmatch(r"(.+), ([A-Z]{2})", name)):
        name, region = match.groups()
    known = known_cities().get((country, region if country == "US" else "", fold(name)))
    if known is not None:
        return known
    return City(name=name, region=region, country=country, timezone=zone_of(country, region))


@cache
def known_cities() -> dict[tuple[str, str, str], City]:
    """The cities of cities.csv by country, region and folded name."""
    cities: dict[tuple[str, str, str], City] = {}
    with (Path(__file__).parent / "cities.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            city = City(
                name=row["city"],
                region=row["region"],
                country=row["country"],
                latitude=float(row["latitude"]) if row["latitude"] else None,
                longitude=float(row["longitude"]) if row["longitude"] else None,
                timezone=row["timezone"] or zone_of(row["country"], row["region"]),
            )
            for spelling in [row["city"], *row["also"].split("|")]:
                cities.setdefault((city.country, city.region, fold(spelling)), city)
    return cities


def zone_of(country: str, region: str = "") -> str:
    """The time zone of a country, or of an American state; UTC where there is no country."""
    if country == "US" and region in STATE_ZONES:
        return STATE_ZONES[region]
    return MAIN_ZONES.get(country) or single_zones().get(country, "UTC")


@cache
def single_zones() -> dict[str, str]:
    """The time zone of each country that has only one."""
    zones: dict[str, list[str]] = {}
    for zone, country in get_global("zone_territories").items():
        zones.setdefault(country, []).append(zone)
    valid = zone_names()
    return {country: names[0] for country, names in zones.items() if len(names) == 1 and names[0] in valid}


def venue_in(city: City) -> ImportedVenue:
    """The stand-in for a venue that the file does not name, one for each city."""
    place = limit(", ".join(filter(None, [city.name, city.region])), "city", longest=100)
    return ImportedVenue(
        slug=slugify(f"{TO_BE_ANNOUNCED} {place} {city.country}")[:120],
        name=TO_BE_ANNOUNCED,
        address=place if city.region else "",
        city=city.name,
        country=city.country,
        latitude=city.latitude,
        longitude=city.longitude,
        timezone=city.timezone,
        is_named=False,
    )


def named_venue(
    name: str,
    city: City,
    *,
    address: str = "",
    latitude: object = None,
    longitude: object = None,
    timezone: str = "",
) -> ImportedVenue:
    """A venue with a name; its city's time zone where it has none of its own."""
    own = read_coordinates(latitude, longitude)
    if timezone:
        zone(timezone)
    return ImportedVenue(
        slug=slugify(f"{name} {city.name} {city.region} {city.country}")[:120] or make_key("venue", name),
        name=name,
        address=address,
        city=city.name,
        country=city.country,
        latitude=own[0] if own else None,
        longitude=own[1] if own else None,
        timezone=timezone or city.timezone,
    )


def read_coordinates(latitude: object, longitude: object) -> tuple[float, float] | None:
    """Both coordinates as numbers, or None. Raises `Refused` where they are nowhere on Earth."""
    texts = [clean_line(latitude), clean_line(longitude)]
    if not any(texts):
        return None
    try:
        north, east = float(texts[0]), float(texts[1])
    except ValueError as error:
        raise Refused(f"“{texts[0][:20]}, {texts[1][:20]}” are no coordinates") from error
    if not (-90 <= north <= 90 and -180 <= east <= 180):
        raise Refused(f"“{north}, {east}” are no coordinates of a place on Earth")
    return north, east


def online_venue() -> ImportedVenue:
    """The place of everything that happens online only."""
    return ImportedVenue(slug="online", name=ONLINE, timezone="UTC", is_named=False)


@cache
def zone_names() -> set[str]:
    """The names of all time zones, remembered: asking reads hundreds of files."""
    return zoneinfo.available_timezones()


def zone(name: str) -> ZoneInfo:
    """The time zone of that name. Raises `Refused`."""
    if name not in zone_names():
        raise Refused(f"“{name[:60]}” is not a time zone of the IANA database")
    return ZoneInfo(name)
