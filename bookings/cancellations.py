"""Cancelling an event: what it would cost, the step itself, and the job that gives all the money back.

The job knows only what the rows say. It takes each booking in a transaction of its own, so it can
be killed anywhere, started again, and run twice at once: no booking is refunded twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from bookings.models import (
    Booking,
    BookingItem,
    CancellationProblem,
    EventCancellation,
    Payment,
    Refund,
    User,
)
from bookings.refunds import request_refund
from bookings.retrying import BATCH, back_off, work_through
from bookings.services import release_hold
from events import services as event_services
from events.exceptions import WrongStatus
from events.models import Event
from events.wake_up import wake_up

# As many problems as a page can show.
SHOWN_AT_MOST = 50


@dataclass(frozen=True)
class Money:
    """An amount in one currency."""

    amount: Decimal
    currency: str


# --- Looking before it is done ----------------------------------------------------------


@dataclass(frozen=True)
class CancellationPlan:
    """What cancelling an event would do, by what is booked now."""

    bookings: int
    tickets: int
    money: list[Money]
    # Of the bookings, those that cost nothing, and those whose buyer left no address to write to.
    free_bookings: int
    without_address: int
    # Holds that end, and payments that are just being made and will not be taken.
    holds: int
    open_payments: int

    @property
    def lines(self) -> list[tuple[str, int]]:
        """The counts, each with its name for people to read."""
        return [
            (_("Bookings"), self.bookings),
            (_("Tickets"), self.tickets),
            (_("Bookings that cost nothing"), self.free_bookings),
            (
                _("Bookings without an e-mail address, whose buyers you must tell yourself"),
                self.without_address,
            ),
            (_("Holds that end"), self.holds),
            (_("Payments just being made, which will not be taken"), self.open_payments),
        ]


def plan_cancellation(event: Event) -> CancellationPlan:
    """What `cancel_event` would do. Changes nothing; three queries."""
    is_booked = Q(status=Booking.Status.BOOKED)
    costs = Exists(BookingItem.objects.filter(booking=OuterRef("pk"), refund=None, price__gt=0))
    counts = event.bookings.aggregate(
        bookings=Count("pk", filter=is_booked),
        free_bookings=Count("pk", filter=is_booked & ~Q(costs)),
        without_address=Count("pk", filter=is_booked & Q(email="")),
        holds=Count("pk", filter=Q(status=Booking.Status.RESERVED, expires_at__gt=Now())),
    )
    left = _tickets_left(event)
    return CancellationPlan(
        **counts,
        tickets=sum(tickets for tickets, _money in left),
        money=[money for _tickets, money in left if money.amount],
        open_payments=_open_payments(event).count(),
    )


def _tickets_left(event: Event) -> list[tuple[int, Money]]:
    """In each currency, how many tickets are booked that nobody has given back, and their price."""
    items = BookingItem.objects.filter(booking__event=event, booking__status=Booking.Status.BOOKED)
    by_currency = items.filter(refund=None).order_by("booking__currency").values("booking__currency")
    sums = by_currency.annotate(tickets=Count("pk"), amount=Sum("price"))
    rows = sums.values_list("tickets", "amount", "booking__currency")
    return [(tickets, Money(amount, currency)) for tickets, amount, currency in rows]


def _open_payments(event: Event) -> QuerySet[Payment]:
    return Payment.objects.filter(booking__event=event, status=Payment.Status.PENDING)


def can_be_cancelled(event: Event) -> bool:
    """Whether `cancel_event` has something to do: it stops the sale, or money was left with us."""
    if event.status == Event.Status.CANCELLED:
        was_paid = event.bookings.filter(status=Booking.Status.BOOKED).exists()
        return was_paid and not EventCancellation.objects.filter(event=event).exists()
    return event.status != Event.Status.DRAFT


# --- Doing it ---------------------------------------------------------------------------


def cancel_event(event: Event, *, by: User | None, reason: str = "") -> EventCancellation:
    """End the event's sale for good, and write down that every buyer is to have the money back.

    One short transaction; `run_cancellations` does the rest. An event that was cancelled before
    without its buyers getting anything back can be given to this as well. Raises `WrongStatus` for
    a draft, or where the money is on its way already. Locks the event.
    """
    # Here and not above: the task calls this module.
    from bookings import tasks

    with transaction.atomic():
        locked = Event.objects.select_for_update(no_key=True).get(pk=event.pk)
        if EventCancellation.objects.filter(event=locked).exists():
            raise WrongStatus(_("The event is cancelled already."))
        if locked.status != Event.Status.CANCELLED:
            locked = event_services.cancel_event(locked)
        cancellation = EventCancellation.objects.create(
            event=locked,
            reason=" ".join(reason.split())[:200],
            requested_by=by,
            bookings_total=locked.bookings.filter(status=Booking.Status.BOOKED).count(),
        )
        # Haste only: the timetable finds the job too.
        transaction.on_commit(lambda: wake_up(tasks.run_cancellations), robust=True)
    return cancellation


def run_cancellations() -> int:
    """Go on with every cancellation that is not done; returns how many bookings it tried."""
    running = EventCancellation.objects.filter(status=EventCancellation.Status.RUNNING)
    running = running.select_related("event", "requested_by")
    return sum(run_cancellation(cancellation) for cancellation in running.order_by("created_at"))


def run_cancellation(cancellation: EventCancellation) -> int:
    """End what is held, refund what is booked, a batch of each; returns how many bookings it tried.

    One that fails is put off and shown to a person, and the others get their turn.
    """
    put_off = partial(_put_off, cancellation)
    tried = work_through(_holds_to_end(cancellation), _end_hold, put_off)
    tried += work_through(_bookings_to_refund(cancellation), partial(_give_back, cancellation), put_off)
    _finish_if_done(cancellation)
    return tried


def _due(cancellation: EventCancellation) -> QuerySet[Booking]:
    """The event's bookings, but for those that failed just now."""
    failed = CancellationProblem.objects.filter(booking=OuterRef("pk"), next_attempt_at__gt=Now())
    return Booking.objects.filter(~Exists(failed), event=cancellation.event_id).order_by("pk")


def _holds_to_end(cancellation: EventCancellation) -> list[UUID]:
    # Also those that lapsed: the buyer may yet be at the gateway's page, which can be closed now.
    holds = _due(cancellation).filter(status=Booking.Status.RESERVED)
    return list(holds.values_list("pk", flat=True)[:BATCH])


def _bookings_to_refund(cancellation: EventCancellation) -> list[UUID]:
    booked = _due(cancellation).filter(status=Booking.Status.BOOKED)
    return list(booked.values_list("pk", flat=True)[:BATCH])


def _end_hold(booking_id: UUID) -> None:
    """End a hold, unless that is done or its payment is just being confirmed."""
    with transaction.atomic():
        if _lock_unless_busy(booking_id, Booking.Status.RESERVED):
            release_hold(booking_id=booking_id)


def _give_back(cancellation: EventCancellation, booking_id: UUID) -> None:
    """Refund what is left of a booking, unless that is done or somebody else is just at it."""
    with transaction.atomic():
        if _lock_unless_busy(booking_id, Booking.Status.BOOKED):
            request_refund(
                booking_id=booking_id,
                origin=Refund.Origin.CANCELLATION,
                by=cancellation.requested_by,
                reason=cancellation.reason,
            )


def _lock_unless_busy(booking_id: UUID, status: Booking.Status) -> bool:
    """Lock the booking, if it has this status still and nobody else has it locked."""
    rows = Booking.objects.filter(pk=booking_id, status=status)
    return rows.select_for_update(no_key=True, skip_locked=True).first() is not None


def _put_off(cancellation: EventCancellation, booking_id: UUID, error: Exception) -> None:
    """Write down why a booking could not be refunded; it is tried again later."""
    text = f"{type(error).__name__}: {error}".strip()[:300]
    problem, _is_new = CancellationProblem.objects.get_or_create(
        booking_id=booking_id, defaults={"cancellation": cancellation, "problem": text}
    )
    back_off(problem)
    problem.problem = text
    problem.save(update_fields=["problem", "attempts", "next_attempt_at"])


def _finish_if_done(cancellation: EventCancellation) -> None:
    """Close the job once nothing is booked, nothing held, and no payment open.

    One statement, and so one moment: a payment that is being confirmed is open until the moment
    that its booking is booked, so neither is missed.
    """
    statuses = [Booking.Status.RESERVED, Booking.Status.BOOKED]
    unfinished = Booking.objects.filter(event=cancellation.event_id, status__in=statuses)
    EventCancellation.objects.filter(
        ~Exists(unfinished),
        ~Exists(_open_payments(cancellation.event)),
        pk=cancellation.pk,
        status=EventCancellation.Status.RUNNING,
    ).update(status=EventCancellation.Status.DONE, finished_at=Now())


# --- How far it is ----------------------------------------------------------------------


@dataclass(frozen=True)
class CancellationProgress:
    """How far a cancellation is: its bookings, their money, and what needs a person."""

    done: int
    left: int
    money_back: list[Money]
    money_to_go: list[Money]
    refunds_to_go: int
    open_payments: int
    unrefunded: list[CancellationProblem]
    refunds_with_problem: list[Refund]

    @property
    def total(self) -> int:
        return self.done + self.left

    @property
    def is_moving(self) -> bool:
        """Whether money is on its way that no person has to see to."""
        return self.refunds_to_go > len(self.refunds_with_problem)

    @property
    def needs_a_person(self) -> bool:
        return bool(self.unrefunded or self.refunds_with_problem)


def cancellation_progress(cancellation: EventCancellation) -> CancellationProgress:
    """How far the cancellation is now, in seven queries."""
    event = cancellation.event
    refunds = Refund.objects.filter(booking__event=event, origin=Refund.Origin.CANCELLATION)
    to_do = refunds.filter(status=Refund.Status.REQUESTED)
    on_its_way, back = _add_up(to_do), _add_up(refunds.filter(status=Refund.Status.DONE))
    left = event.bookings.filter(status=Booking.Status.BOOKED)
    problems = cancellation.problems.filter(booking__in=left).select_related("booking")
    return CancellationProgress(
        done=sum(number for number, _money in [*on_its_way, *back]),
        left=left.count(),
        money_back=_by_currency(back),
        money_to_go=_by_currency([*on_its_way, *_tickets_left(event)]),
        refunds_to_go=sum(number for number, _money in on_its_way),
        open_payments=_open_payments(event).count(),
        unrefunded=list(problems[:SHOWN_AT_MOST]),
        refunds_with_problem=list(to_do.exclude(problem="").select_related("booking")[:SHOWN_AT_MOST]),
    )


def _add_up(refunds: QuerySet[Refund]) -> list[tuple[int, Money]]:
    """In each currency, how many refunds these are, and their amount."""
    sums = refunds.order_by("currency").values("currency").annotate(number=Count("pk"), sum=Sum("amount"))
    rows = sums.values_list("number", "sum", "currency")
    return [(number, Money(amount, currency)) for number, amount, currency in rows]


def _by_currency(counted: Iterable[tuple[int, Money]]) -> list[Money]:
    """The sum of each currency, without those that are nothing."""
    sums: dict[str, Decimal] = {}
    for _number, money in counted:
        sums[money.currency] = sums.get(money.currency, Decimal(0)) + money.amount
    return [Money(amount, currency) for currency, amount in sorted(sums.items()) if amount]
