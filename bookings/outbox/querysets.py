"""The vocabulary of mails."""

from __future__ import annotations

import typing
from typing import Self

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

if typing.TYPE_CHECKING:
    from bookings.outbox.models import Mail


class MailQuerySet(QuerySet["Mail"]):
    """Mails by what is still to be done about them."""

    def due(self) -> Self:
        """Waiting, their time has come, and nobody is just sending them. What one buyer did goes first.

        With the database's time as `database_now`.
        """
        is_unclaimed = Q(claimed_until=None) | Q(claimed_until__lte=Now())
        due = self.filter(is_unclaimed, state="waiting", next_attempt_at__lte=Now())
        return due.annotate(database_now=Now()).order_by("is_bulk", "next_attempt_at")
