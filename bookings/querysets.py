"""The vocabulary of bookings and payments."""

from __future__ import annotations

import typing
from datetime import timedelta
from typing import Self

from django.db.models import Case, CharField, Count, F, Prefetch, Q, QuerySet, Value, When
from django.db.models.functions import Now

if typing.TYPE_CHECKING:
    from bookings.models import Booking, Payment, PaymentNotice, Refund, User


class BookingQuerySet(QuerySet["Booking"]):
    """Bookings by their life and by whose they are."""

    def open_holds(self) -> Self:
        """Holds that have not run out, by the database's clock."""
        return self.filter(status="reserved", expires_at__gt=Now())

    def lapsed_holds(self) -> Self:
        """Holds that have run out and that nothing has closed yet."""
        return self.filter(status="reserved", expires_at__lte=Now())

    def counting_towards_limit(self) -> Self:
        # As `bookings.buyers` counts. The states first: that is the condition of the indexes for it.
        return self.filter(Q(status="booked") | Q(expires_at__gt=Now()), status__in=["reserved", "booked"])

    def of_account(self, account: User) -> Self:
        return self.filter(account=account)

    def with_current_status(self) -> Self:
        """Annotate `current_status`, which buyers are told: a hold past its time is `expired`, swept or not.

        By the database's clock, as everything that decides over a hold.
        """
        lapsed = When(status="reserved", expires_at__lte=Now(), then=Value("expired"))
        return self.annotate(current_status=Case(lapsed, default=F("status"), output_field=CharField()))

    def for_listing(self) -> Self:
        """What a buyer's list shows: no holds that ended without a purchase."""
        return (
            self.exclude(status__in=["expired", "released"])
            .exclude(status="reserved", expires_at__lte=Now())
            .select_related("event__venue", "event__category")
            .annotate(ticket_count=Count("items"), returned_count=Count("items__refund"))
            .order_by("-created_at", "-id")
        )

    def with_details(self) -> Self:
        """A booking with everything a page or the API shows of it, in three queries."""
        # Here and not above: models import this module.
        from bookings.models import BookingItem, Payment

        return (
            self.select_related("event__venue", "event__category")
            .with_current_status()
            .annotate(database_now=Now())
            .prefetch_related(
                Prefetch(
                    "items",
                    BookingItem.objects.select_related("price_tier", "ticket__seat").order_by(
                        "ticket__position"
                    ),
                ),
                Prefetch("payments", Payment.objects.order_by("-created_at", "-id")),
            )
        )


class PaymentQuerySet(QuerySet["Payment"]):
    """Payments by what is still to be done about them."""

    def undecided(self) -> Self:
        """Sent to the gateway, and not known to have ended."""
        return self.filter(status="pending")

    def decided_but_unfinished(self) -> Self:
        """Authorised money that is to be taken or given back, and has not been."""
        return self.filter(Q(status="authorised") & ~Q(decision=""))

    def due(self) -> Self:
        return self.filter(next_attempt_at__lte=Now())

    def open_longer_than(self, age: timedelta) -> Self:
        return self.filter(created_at__lte=Now() - age)


class RefundQuerySet(QuerySet["Refund"]):
    """Refunds by what is still to be done about them."""

    def to_do(self) -> Self:
        """Money that was promised back and has not gone yet, and whose next try is due."""
        return self.filter(status="requested", next_attempt_at__lte=Now())

    def with_tickets(self) -> Self:
        """Refunds with the items that came back, in one query more."""
        # Here and not above: models import this module.
        from bookings.models import BookingItem

        return self.prefetch_related(Prefetch("items", BookingItem.objects.order_by("ticket_id")))


class NoticeQuerySet(QuerySet["PaymentNotice"]):
    """Notices by what is still to be done about them."""

    def to_apply(self) -> Self:
        return self.filter(status="waiting", next_attempt_at__lte=Now())
