"""What every kind of file is turned into before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

RawRecord = Mapping[str, object]


class Refused(Exception):
    """One record cannot become an event; the message says why, in words for who wrote the file."""


class UnreadableFile(Exception):
    """Nothing of the file can be read; the message says why."""


@dataclass(frozen=True, kw_only=True)
class ImportedVenue:
    """A place as a file names it. `slug` finds it again; `is_named` lets its name and city do so too."""

    slug: str
    name: str
    timezone: str
    address: str = ""
    city: str = ""
    country: str = ""
    latitude: float | None = None
    longitude: float | None = None
    is_named: bool = True


@dataclass(frozen=True, kw_only=True)
class ImportedTier:
    """A general-admission price."""

    name: str
    price: Decimal
    quantity: int


@dataclass(frozen=True, kw_only=True)
class ImportedEvent:
    """One event, cleaned and checked, known by `source_key` from one run to the next.

    `status` is empty, `cancelled` or `postponed`: a file never brings an event back.
    """

    source_key: str
    title: str
    venue: ImportedVenue
    starts_at: datetime
    ends_at: datetime
    summary: str = ""
    description: str = ""
    category: str = ""
    doors_at: datetime | None = None
    on_sale_at: datetime | None = None
    off_sale_at: datetime | None = None
    status: str = ""
    currency: str = "EUR"
    website: str = ""
    performers: tuple[str, ...] = ()
    tiers: tuple[ImportedTier, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A record as it stands in the file: where, and how it is read."""

    place: str
    raw: RawRecord
    read: Callable[[RawRecord], ImportedEvent]
