"""`manage.py publish_event SLUG`: puts an event on sale at once."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from events.exceptions import OrganiserError
from events.models import Event
from events.progress import ProgressBar
from events.sale_plan import plan_sale
from events.services import publish_event


class Command(BaseCommand):
    help = "Make an event's tickets and put it on sale."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the event's slug, as in its address")

    def handle(self, *args: Any, slug: str, **options: Any) -> None:
        try:
            event = Event.objects.get(slug=slug)
        except Event.DoesNotExist:
            raise CommandError(f"There is no event “{slug}”.") from None
        try:
            plan = plan_sale(event)
            bar = ProgressBar(self.stderr, label="Tickets", total=plan.total)
            made = publish_event(event, progress=lambda done, _total: bar.show(done))
        except OrganiserError as refusal:
            raise CommandError(str(refusal)) from None
        bar.clear()
        self.stdout.write(f"{event} is published: {made:,} new tickets, {event.tickets.count():,} in all.")
        if plan.unsold_seats:
            sections = ", ".join(sorted({group.section for group in plan.unsold_groups}))
            self.stdout.write(f"No price tier sells {plan.unsold_seats:,} of the venue's seats ({sections}).")
