"""`manage.py audit`: check the invariants over the whole database."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from bookings.audit import find_violations


class Command(BaseCommand):
    help = "Check that nothing is sold twice and that no money is lost; exit with 1 if anything is wrong."

    def handle(self, *args: Any, **options: Any) -> None:
        violations = find_violations()
        for line in violations:
            self.stdout.write(line)
        if violations:
            sys.exit(1)
