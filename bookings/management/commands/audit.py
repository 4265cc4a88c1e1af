"""`manage.py audit`: check the invariants over the whole database."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from bookings.audit import compare_with_gateways, find_violations
from bookings.gateways import GatewayError


class Command(BaseCommand):
    help = "Check that nothing is sold twice and that no money is lost; exit with 1 if anything is wrong."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--gateway", action="store_true", help="compare with the payment gateways' own records too"
        )

    def handle(self, *args: Any, gateway: bool, **options: Any) -> None:
        violations = find_violations()
        if gateway:
            try:
                violations += compare_with_gateways()
            except GatewayError as error:
                raise CommandError(f"The gateway's records cannot be read: {error}.") from error
        for line in violations:
            self.stdout.write(line)
        if violations:
            sys.exit(1)
