"""Telling the kinds of file apart by their content."""

from __future__ import annotations

import json
from pathlib import Path

from events.importing.conferences import read_conference
from events.importing.records import Entry, UnreadableFile


def read_entries(path: Path) -> list[Entry]:
    """The records of a file, not yet looked at one by one. Raises `UnreadableFile`."""
    try:
        content = decode(path.read_bytes())
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror}") from error
    return read_json(content)


def decode(content: bytes) -> str:
    """Text in UTF-8 or UTF-16, with or without a byte order mark, else as Windows writes it."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def read_json(content: str) -> list[Entry]:
    try:
        document = json.loads(content)
    except json.JSONDecodeError as error:
        raise UnreadableFile(f"line {error.lineno}: {error.msg}") from error
    records = document if isinstance(document, list) else [document]
    return [Entry(f"record {number}", raw, read_conference) for number, raw in enumerate(records, start=1)]
