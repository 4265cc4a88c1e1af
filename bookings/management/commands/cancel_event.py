"""`manage.py cancel_event SLUG`: cancel an event and give every buyer the money back."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from bookings.cancellations import (
    CancellationPlan,
    cancel_event,
    cancellation_progress,
    plan_cancellation,
    run_cancellation,
)
from bookings.models import EventCancellation
from events.exceptions import OrganiserError
from events.models import Event
from events.progress import ProgressBar
from events.templatetags.box_office import money


class Command(BaseCommand):
    help = "Cancel an event: its sale stops for good, and every buyer is mailed and gets the money back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the event's slug, as in its address")
        parser.add_argument("--reason", default="", help="why, in words for the buyers")
        parser.add_argument("--dry-run", action="store_true", help="say what it comes to, and change nothing")
        parser.add_argument("--no-input", action="store_true", help="do not ask for the title first")

    def handle(
        self, *args: Any, slug: str, reason: str, dry_run: bool, no_input: bool, **options: Any
    ) -> None:
        event = Event.objects.filter(slug=slug).first()
        if event is None:
            raise CommandError(f"There is no event “{slug}”.")
        self._tell(event, plan_cancellation(event))
        if dry_run:
            return
        if not no_input and input("Type the event's title to cancel it: ").strip() != event.title.strip():
            raise CommandError("That is not its title. Nothing was changed.")
        try:
            cancellation = cancel_event(event, by=None, reason=reason)
        except OrganiserError as refusal:
            raise CommandError(str(refusal)) from refusal
        self._refund_all(cancellation)

    def _tell(self, event: Event, plan: CancellationPlan) -> None:
        sums = ", ".join(money(one.amount, one.currency) for one in plan.money) or "nothing"
        self.stdout.write(f"Cancelling “{event}” gives {plan.bookings:,} buyers {sums} back.")
        for label, number in plan.lines:
            self.stdout.write(f"  {label}: {number:,}")

    def _refund_all(self, cancellation: EventCancellation) -> None:
        """Do the worker's work here, with or without one, until only those that fail are left."""
        progress = cancellation_progress(cancellation)
        bar = ProgressBar(self.stdout, label="Refunding", total=progress.left)
        while run_cancellation(cancellation):
            progress = cancellation_progress(cancellation)
            bar.show(progress.done)
        bar.clear()
        progress = cancellation_progress(cancellation)
        self.stdout.write(f"{progress.done:,} bookings are refunded, and their money is on its way.")
        if progress.left:
            self.stderr.write(
                f"{progress.left:,} are left: see the cancellation in the admin. A worker tries on."
            )
