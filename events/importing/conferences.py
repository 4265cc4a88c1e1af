"""The conference JSON: name, url, startDate, endDate, city, country, online, topics."""

from __future__ import annotations

from events.importing import places
from events.importing.records import ImportedEvent, ImportedVenue, RawRecord, Refused
from events.importing.text import clean_line, clean_url, make_key, read_times, require, shorten

CATEGORY = "Conferences"
# Topics as they are written in a sentence; others are written as they come.
TOPICS = {
    "accessibility": "accessibility",
    "android": "Android",
    "api": "APIs",
    "cfml": "CFML",
    "clojure": "Clojure",
    "cpp": "C++",
    "css": "CSS",
    "data": "data science and engineering",
    "devops": "DevOps",
    "dotnet": ".NET",
    "elixir": "Elixir",
    "elm": "Elm",
    "general": "software and technology",
    "golang": "Go",
    "graphql": "GraphQL",
    "groovy": "Groovy",
    "haskell": "Haskell",
    "identity": "digital identity",
    "ios": "iOS",
    "iot": "the Internet of Things",
    "java": "Java",
    "javascript": "JavaScript",
    "kotlin": "Kotlin",
    "networking": "networking",
    "opensource": "open source",
    "php": "PHP",
    "product": "product management",
    "python": "Python",
    "ruby": "Ruby",
    "rust": "Rust",
    "scala": "Scala",
    "security": "security",
    "sre": "site reliability engineering",
    "tech-comm": "technical communication",
    "typescript": "TypeScript",
    "ux": "user experience and design",
}


def read_conference(raw: RawRecord) -> ImportedEvent:
    """One record of the conference list. Raises `Refused`."""
    title = require(clean_line(raw.get("name")), "name", longest=200)
    venue = read_venue(raw)
    starts_at, ends_at = read_times(raw.get("startDate"), raw.get("endDate"), places.zone(venue.timezone))
    website = clean_url(raw.get("url"))
    where = ", ".join(filter(None, [venue.city, places.country_name(venue.country)]))
    subject = read_subject(raw)
    also_online = bool(where) and raw.get("online") is True
    return ImportedEvent(
        source_key=make_key("conference", title, clean_line(raw.get("startDate")), venue.slug),
        title=title,
        summary=shorten(write_summary(subject, where, also_online=also_online), longest=300),
        description=write_description(title, subject, where, website, also_online=also_online),
        category=CATEGORY,
        venue=venue,
        starts_at=starts_at,
        ends_at=ends_at,
        website=website,
        currency=places.currency_of(venue.country),
    )


def read_venue(raw: RawRecord) -> ImportedVenue:
    city = clean_line(raw.get("city"))
    country = places.find_country(clean_line(raw.get("country")))
    if city or country:
        return places.venue_in(places.find_city(city, country))
    if raw.get("online") is True:
        return places.online_venue()
    raise Refused("it names no city and is not online")


def read_subject(raw: RawRecord) -> str:
    """The topics as part of a sentence: "PHP, Ruby and Rust"."""
    topics = raw.get("topics")
    names = [clean_line(topic) for topic in topics] if isinstance(topics, list) else []
    words = [TOPICS.get(name, name) for name in dict.fromkeys(names) if name] or [TOPICS["general"]]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def write_summary(subject: str, where: str, *, also_online: bool) -> str:
    if not where:
        return f"An online conference about {subject}."
    return f"A conference about {subject} in {where}{', and online' if also_online else ''}."


def write_description(title: str, subject: str, where: str, website: str, *, also_online: bool) -> str:
    place = f"takes place in {where}" if where else "takes place online"
    hybrid = " It can be attended online as well." if also_online else ""
    link = f"\n\nProgramme and registration: <{website}>" if website else ""
    return f"{escape_markdown(title)} is a conference about {subject}. It {place}.{hybrid}{link}"


def escape_markdown(text: str) -> str:
    """Keep "c't <webdev>" and "C# *live*" from being read as HTML or emphasis."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|" else c for c in text)
