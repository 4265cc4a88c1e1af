"""Import events from a file: CSV, schema.org JSON-LD, or the conference JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from events.importing.reading import read_entries
from events.importing.records import UnreadableFile
from events.importing.running import import_entries
from events.models import Event
from events.progress import ProgressBar


class Command(BaseCommand):
    """Exits 0 if every record is in, 1 if any was refused (the rest is in), 2 if nothing could be read."""

    help = "Imports events from CSV, schema.org JSON-LD or conference JSON. Running it again changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="the file; what it contains says how it is read")
        parser.add_argument("--dry-run", action="store_true", help="say what would happen; change nothing")
        parser.add_argument("--draft", action="store_true", help="make new events drafts")

    def handle(self, *, file: Path, dry_run: bool, draft: bool, **options: Any) -> None:
        try:
            entries = read_entries(file)
        except UnreadableFile as error:
            raise CommandError(f"Nothing was imported. {error}", returncode=2) from error
        bar = ProgressBar(self.stderr, label=file.name, total=len(entries))

        def refuse(place: str, reason: str) -> None:
            bar.clear()
            self.stderr.write(f"{place}: {reason}")

        report = import_entries(
            entries,
            refuse=refuse,
            progress=bar.show,
            status=Event.Status.DRAFT if draft else Event.Status.PUBLISHED,
            is_dry_run=dry_run,
        )
        bar.clear()
        counts = (
            f"{report.created:,} created, {report.updated:,} updated, "
            f"{report.unchanged:,} unchanged, {report.refused:,} refused."
        )
        self.stdout.write(f"Dry run, nothing was written: {counts}" if dry_run else counts)
        if report.refused:
            sys.exit(1)
