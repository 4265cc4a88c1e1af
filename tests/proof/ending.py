"""How a sale ends: everything that was begun is finished, and every cent is where it belongs."""

from __future__ import annotations

import contextlib
import time
from collections import Counter

from django.db import OperationalError

from bookings.models import Booking, Payment, PaymentNotice, Refund
from tests.proof.processes import Site
from tests.proof.world import let_pass


def unfinished() -> dict[str, int]:
    found = {
        "payments": Payment.objects.filter(status__in=["pending", "authorised"]).count(),
        "refunds": Refund.objects.exclude(status="done").count(),
        "notices": PaymentNotice.objects.filter(status="waiting").count(),
        "holds": Booking.objects.filter(status="reserved").count(),
    }
    return {name: number for name, number in found.items() if number}


def let_the_timetable_finish(seconds: float = 300, *, pause: float = 10) -> None:
    """Hours pass in an instant, and the worker does the rest alone."""
    deadline = time.monotonic() + seconds
    while unfinished() and time.monotonic() < deadline:
        # The worker may have a row for too long, or we and it wait for each other: later, then.
        with contextlib.suppress(OperationalError):
            # A day later a refund that was refused is asked for again.
            let_pass(26 * 3600)
        time.sleep(pause)


def money_that_is_wrong(site: Site) -> list[str]:
    """A line for each booking whose money, by the gateway's own ledger, is not its tickets and fees."""
    findings, kept = [], Counter[str]()
    for line in site.ledger():
        if line["status"] == "requires_capture" or line["refunds_pending"]:
            findings.append(f"still on its way: {line}")
        kept[line["booking"]] += line["captured"] - line["refunded"]
    for booking in Booking.objects.prefetch_related("items", "refunds"):
        is_booked = booking.status == Booking.Status.BOOKED
        prices = sum(item.price for item in booking.items.all() if is_booked and item.refund_id is None)
        fees = sum(refund.fee for refund in booking.refunds.all())
        if kept[str(booking.pk)] != 100 * (prices + fees):
            findings.append(
                f"{booking.reference} is {booking.status}: {prices} + {fees}, not {kept[str(booking.pk)]}"
            )
    return findings
