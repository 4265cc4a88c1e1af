"""`make bench`: how fast Holdfast is, as shares of what its engines can do, measured in one run."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
    # All the load comes from one address: its limits are counted, and not reached.
    "API_READS_PER_MINUTE": "1000000000",
    "API_WRITES_PER_MINUTE": "1000000000",
    "TRUSTED_PROXIES": "1",
}


def main() -> None:
    with tempfile.TemporaryDirectory() as static:
        os.environ.update(SETTINGS, STATIC_ROOT=static)
        # Before Django is set up, nothing of ours can be imported.
        import django

        django.setup()
        from benchmarks.measures import House, measure_rates
        from benchmarks.memory import measure_memory
        from benchmarks.report import Report
        from benchmarks.season import measure_season
        from benchmarks.server import serving
        from benchmarks.sizes import SMALL, Sizes

        prepare()
        its = House(SMALL if os.environ.get("SMALL") else Sizes())
        report = Report()
        report.begin()
        with serving() as server:
            measure_rates(server.address, report, its)
        # What a worker's memory has grown by is told of one that has answered nothing yet.
        with serving() as server:
            measure_memory(server, report, its)
            measure_season(server.address, report, its)
        if path := os.environ.get("JSON"):
            report.write(Path(path))


def prepare() -> None:
    """An empty database with its tables, and the static files."""
    from django.core.management import call_command
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
    call_command("migrate", verbosity=0)
    call_command("collectstatic", "--noinput", verbosity=0)


if __name__ == "__main__":
    main()
