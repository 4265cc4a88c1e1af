"""The vocabulary of events and tickets: what is public, what is on sale, what is free."""

from __future__ import annotations

import typing
from typing import Any, Self

from django.db import models
from django.db.models import Exists, ExpressionWrapper, Max, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now

if typing.TYPE_CHECKING:
    from events.models import Event, Ticket

PUBLIC_STATUSES = ("published", "postponed", "cancelled")


def is_available() -> Q:
    """The one predicate for "can be taken now", by the database's clock (I4).

    A reservation past its time counts as available, whether anything swept it or not.
    """
    return Q(status="available") | Q(status="reserved", reserved_until__lte=Now())


# The same as SQL, for the statements that are written out, in which the table is called `ticket`.
IS_AVAILABLE = """(
    ticket.status = 'available'
    OR ticket.status = 'reserved' AND ticket.reserved_until <= statement_timestamp()
)"""


def current_status() -> models.Case:
    """The status that counts now: the row's own, but `available` for a lapsed reservation."""
    return models.Case(
        models.When(is_available(), then=models.Value("available")),
        default=models.F("status"),
        output_field=models.CharField(),
    )


def has_available_tickets() -> Q:
    """Whether an event, the outer query's row, has a ticket that can be taken now.

    Says what `is_available()` says, in halves and by way of the price tiers: each half has an
    index of its own tickets alone, so that a sold-out arena is not read seat by seat.
    """
    # Here and not above: models import this module.
    from events.models import Ticket

    tickets = Ticket.objects.filter(price_tier__event=OuterRef("pk"))
    return Q(Exists(tickets.filter(status="available"))) | Q(
        Exists(tickets.filter(status="reserved", reserved_until__lte=Now()))
    )


class EventQuerySet(QuerySet["Event"]):
    """Events as the public, a listing or a page needs them."""

    def published(self) -> Self:
        """Events that the public may see; a draft never is."""
        return self.filter(status__in=PUBLIC_STATUSES)

    def upcoming(self) -> Self:
        """Events that have not ended."""
        return self.filter(ends_at__gt=Now())

    def with_sale_facts(self) -> Self:
        """Annotate what `Event.sale_state` and a price line read."""
        # Here and not above: models import this module.
        from events.models import PriceTier, Ticket

        tickets = Ticket.objects.filter(event=OuterRef("pk"))
        prices = PriceTier.objects.filter(event=OuterRef("pk")).order_by().values("event")
        return self.annotate(
            has_tickets=Exists(tickets),
            has_available=ExpressionWrapper(has_available_tickets(), output_field=models.BooleanField()),
            price_min=Subquery(prices.annotate(least=Min("price")).values("least")),
            price_max=Subquery(prices.annotate(most=Max("price")).values("most")),
        )

    def with_surroundings(self) -> Self:
        """With venue, category and performers, in a fixed number of queries."""
        return self.select_related("venue", "category").prefetch_related("performers")

    def for_listing(self) -> Self:
        """Everything a row of a list shows, in a fixed number of queries."""
        return self.with_surroundings().with_sale_facts()


class TicketQuerySet(QuerySet["Ticket"]):
    """Tickets by what can be done with them."""

    def available(self) -> Self:
        return self.filter(is_available())

    def of_booking(self, booking_id: Any) -> Self:
        return self.filter(booking_id=booking_id)

    def with_current_status(self) -> Self:
        """Annotate `current_status`, as the function of that name has it."""
        return self.annotate(current_status=current_status())

    def lock_in_order(self) -> Self:
        """Lock the rows in the order of their ids, so that no two buyers can deadlock.

        Lazy like any queryset: it locks nothing until it is evaluated. `NO KEY` leaves
        inserts that refer to a ticket unhindered.
        """
        return self.order_by("id").select_for_update(no_key=True, of=("self",))
