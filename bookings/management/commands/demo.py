"""`manage.py demo`: fills an empty box office with a believable season and two logins."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from bookings.demo.accounts import ensure_logins, ensure_purchases
from bookings.demo.building import build_season
from bookings.demo.season import plan_season
from events.progress import ProgressBar

# More would not find free evenings in the demonstration's houses.
MOST_EVENTS = 2_000


class Command(BaseCommand):
    help = "Makes a season of events to try things out with. Running it again adds only what is missing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--events", type=int, default=300, metavar="N", help="how many events (300)")
        parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many at a time (2)")

    def handle(self, *, events: int, jobs: int, **options: Any) -> None:
        if "sandbox" not in settings.PAYMENT_GATEWAYS:
            raise CommandError(
                "The demonstration's tickets are paid for in the sandbox: set SANDBOX_GATEWAY=1."
            )
        if not 1 <= events <= MOST_EVENTS:
            raise CommandError(f"A season has from 1 to {MOST_EVENTS:,} events.")
        # First, so that somebody can sign in while the season is being made.
        for login in ensure_logins():
            if login.password:
                self.stdout.write(f"{login.email}, password {login.password}")
        season = plan_season(timezone.now().date(), events)
        bar = ProgressBar(self.stderr, label="Season", total=len(season))
        made = build_season(season, bar.show, jobs=max(1, jobs))
        bar.clear()
        ensure_purchases()
        self.stdout.write(
            f"{made} events were made." if made else f"The season is there: {len(season)} events."
        )
