"""Counts what a network address let lapse too; without holding up a sale that goes on meanwhile."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("bookings", "0008_notice_parked")]

    operations = [
        AddIndexConcurrently(
            "booking",
            models.Index(
                fields=["event", "client_address", "expires_at"],
                condition=Q(status__in=["reserved", "expired"], client_address__isnull=False),
                name="booking_limit_by_network",
            ),
        ),
        RemoveIndexConcurrently("booking", "booking_limit_by_address"),
    ]
