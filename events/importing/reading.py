"""Telling the kinds of file apart by their content."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from events.importing.conferences import read_conference
from events.importing.jsonld import find_events
from events.importing.records import Entry, ImportedEvent, RawRecord, Refused, UnreadableFile
from events.importing.spreadsheet import read_csv


def read_entries(path: Path) -> list[Entry]:
    """The records of a file, not yet looked at one by one. Raises `UnreadableFile`."""
    try:
        content = decode(path.read_bytes())
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror}") from error
    if not content.strip():
        raise UnreadableFile(f"{path} is empty.")
    entries = read_json(content) if content.lstrip()[0] in "[{" else list(read_csv(content))
    if not entries:
        raise UnreadableFile(f"{path} names no events.")
    return entries


def decode(content: bytes) -> str:
    """Text in UTF-8 or UTF-16, with or without a byte order mark, else as Windows writes it."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def read_json(content: str) -> list[Entry]:
    """JSON-LD where anything says so by an `@type` or `@graph`, else a list of conferences."""
    try:
        document = json.loads(content)
    except json.JSONDecodeError as error:
        raise UnreadableFile(f"line {error.lineno}: this is not JSON: {error.msg}") from error
    except RecursionError as error:
        raise UnreadableFile("It is nested too deeply to be a list of events.") from error
    records = document if isinstance(document, list) else [document]
    if any(isinstance(record, dict) and {"@type", "@graph", "@context"} & set(record) for record in records):
        return find_events(document)
    return [read_plain(f"record {number}", raw) for number, raw in enumerate(records, start=1)]


def read_plain(place: str, raw: object) -> Entry:
    if isinstance(raw, dict):
        return Entry(place, raw, read_conference)
    return Entry(place, {}, partial(refuse, f"it is not an object with a name: {str(raw)[:40]}"))


def refuse(reason: str, raw: RawRecord) -> ImportedEvent:
    raise Refused(reason)
