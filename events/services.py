"""Changes that an organiser makes to an event. Each refuses with an `OrganiserError`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.db.models.fields.reverse_related import ForeignObjectRel
from django.utils.translation import gettext as _

from events.exceptions import ImpossibleTimes, QuantityTooLow, TicketsTaken, WrongStatus
from events.models import Event, PriceTier, Ticket
from events.querysets import is_available
from events.sale_plan import SalePlan, plan_sale
from events.signals import event_moved

Progress = Callable[[int, int], None]
# Small enough for the role's statement timeout, large enough to be quick.
BATCH = 10_000

IS_FREE = is_available() | Q(status=Ticket.Status.BLOCKED)

MAKE_SEAT_TICKETS = """
INSERT INTO events_ticket (event_id, price_tier_id, seat_id, position, status)
SELECT %(event)s, tier, seat,
       %(position)s + row_number() OVER (ORDER BY tier_order, section, row_index, place) - 1, 'available'
FROM (
    SELECT seat.id AS seat, sold.tier, sold.tier_order, seat.section, seat.row_index, seat.place
    FROM events_seat AS seat
    JOIN unnest(%(sections)s::text[], %(categories)s::text[], %(tiers)s::bigint[], %(orders)s::int[])
        AS sold (section, category, tier, tier_order)
        ON sold.section = seat.section AND sold.category = seat.category
    WHERE seat.venue_id = %(venue)s
        AND NOT EXISTS (SELECT FROM events_ticket WHERE event_id = %(event)s AND seat_id = seat.id)
    ORDER BY sold.tier_order, seat.section, seat.row_index, seat.place
    LIMIT %(limit)s
) AS missing
"""

MAKE_GENERAL_ADMISSION = """
INSERT INTO events_ticket (event_id, price_tier_id, position, status)
SELECT %(event)s, %(tier)s, position, 'available'
FROM generate_series(%(position)s::int, %(position)s::int + %(count)s::int - 1) AS position
"""


# --- Publishing -----------------------------------------------------------------------


def publish_event(event: Event, *, progress: Progress | None = None) -> int:
    """Put the event on sale: make its tickets, and say how many are new.

    Works in steps that commit one by one (unless the caller has a transaction open), so that
    progress can be told as `progress(done, total)`. The status changes in the last step; a run
    that breaks off is finished by the next one. Publishing again after a change adds what is new,
    drops what is no longer sold, and leaves the positions of all other tickets alone.

    Raises before anything is changed: `TicketsTaken` where a reserved or booked ticket would be
    dropped, `NothingForSale` and `UnclearPrice` where the price tiers make no sense, and
    `WrongStatus` for a cancelled or postponed event. Locks the event and its venue.
    """
    with _step():
        plan = _lock_and_plan(event)
        if event.tickets.exists():
            _drop_uncovered(event, plan)
            _shrink_general_admission(event, plan)
            _move_between_tiers(event, plan)
    made, before = 0, event.tickets.count()
    while True:
        with _step():
            plan = _lock_and_plan(event)
            count = _make_seat_tickets(event, plan) or _make_general_admission(event, plan)
            if not count:
                _set_status(event, Event.Status.PUBLISHED)
                return made
        made += count
        if progress is not None:
            progress(min(before + made, plan.total), plan.total)


@contextmanager
def _step() -> Iterator[None]:
    """A transaction whose statements join whole sets.

    Just after many tickets were made or dropped, the planner's statistics still say that there
    are few, and a nested loop over them takes minutes in place of half a second.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_nestloop = off")
        yield
        cursor.execute("SET LOCAL enable_nestloop = on")


def _lock_and_plan(event: Event) -> SalePlan:
    """Lock the event and its venue's seats against other organisers, and plan from what is there now."""
    locked = _lock(event)
    if locked.status == Event.Status.CANCELLED:
        raise WrongStatus(_("A cancelled event cannot go on sale again. Clone it instead."))
    if locked.status == Event.Status.POSTPONED:
        raise WrongStatus(_("A postponed event goes on sale again once its new date is set."))
    return plan_sale(locked)


def _lock(event: Event) -> Event:
    rows = Event.objects.select_related("venue").select_for_update(no_key=True, of=("self", "venue"))
    return rows.get(pk=event.pk)


def _set_status(event: Event, status: str) -> None:
    event.status = status
    event.save(update_fields=["status", "updated_at"])


def _drop_uncovered(event: Event, plan: SalePlan) -> None:
    """Take tickets that no tier sells any more off sale; raises if someone has one of them."""
    covered = plan.seats_sold_by(*plan.seated).filter(pk=OuterRef("seat_id"))
    uncovered = event.tickets.filter(
        Q(seat__isnull=True, price_tier__is_seated=True) | Q(seat__isnull=False) & ~Exists(covered)
    )
    drop_tickets(uncovered)


def drop_tickets(tickets: QuerySet[Ticket]) -> None:
    """Delete the tickets, all or none; raises `TicketsTaken` if one is reserved or booked.

    One that somebody once held is part of a booking's history: it stays, kept back.
    Needs an open transaction.
    """
    free = _lock_in_order(tickets, IS_FREE)
    _delete(free)
    _keep_back(free)
    # Whatever was not free when it was locked counts as taken, even if it lapsed since.
    _refuse_if_taken(tickets.exclude(status=Ticket.Status.BLOCKED))


def _lock_in_order(tickets: QuerySet[Ticket], condition: Q) -> list[int]:
    """Lock those of the tickets that meet the condition; returns their ids.

    By id, as buyers do, so that neither waits for the other in a circle. The condition stands on
    the outer rows, where the database asks it again of a row that it had to wait for. Only the
    rows returned may be changed: any other can lapse and be booked by a late payment at any time.
    """
    rows = Ticket.objects.filter(condition, pk__in=tickets.order_by().values("pk")).order_by("pk")
    return list(rows.select_for_update().values_list("pk", flat=True))


def _delete(ticket_ids: Sequence[int]) -> int:
    """Delete those of the locked tickets that are free and were never held; says how many."""
    # Without Django's collector, which would load every row to look for items; `was_held` excludes those.
    return sum(rows.filter(~was_held())._raw_delete(using=rows.db) for rows in _batches(ticket_ids, IS_FREE))


def _keep_back(ticket_ids: Sequence[int]) -> int:
    """Take those of the locked tickets that are free off sale; says how many."""
    kept_back = {"status": Ticket.Status.BLOCKED, "booking_id": None, "reserved_until": None}
    return sum(rows.update(**kept_back) for rows in _batches(ticket_ids, IS_FREE))


def _batches(ticket_ids: Sequence[int], condition: Q) -> Iterator[QuerySet[Ticket]]:
    """The locked tickets in statements of a bearable length, each with the condition once more."""
    for start in range(0, len(ticket_ids), BATCH):
        yield Ticket.objects.filter(condition, pk__in=ticket_ids[start : start + BATCH])


def was_held() -> Q:
    """Whether anything refers to the ticket: the items of bookings, which this app does not know."""
    referring: Q = Q(pk__in=[])
    for relation in Ticket._meta.get_fields(include_hidden=True):
        if isinstance(relation, ForeignObjectRel):
            rows = relation.related_model._default_manager
            referring |= Q(Exists(rows.filter(**{relation.field.name: OuterRef("pk")})))
    return referring


def _refuse_if_taken(tickets: QuerySet[Ticket]) -> None:
    total = tickets.count()
    if total:
        some = tickets.select_related("seat", "price_tier").order_by("position")[:5]
        raise TicketsTaken([describe(ticket) for ticket in some], total)


def describe(ticket: Ticket) -> str:
    """The ticket in words; reads its seat and price tier."""
    return str(ticket.seat) if ticket.seat else f"{ticket.price_tier} {ticket.position}"


def _shrink_general_admission(event: Event, plan: SalePlan) -> None:
    for tier in plan.general_admission:
        _shrink(tier, event.tickets.filter(price_tier=tier, seat__isnull=True))


def _shrink(tier: PriceTier, tickets: QuerySet[Ticket]) -> None:
    """Take what is beyond the tier's quantity off sale, the newest first."""
    quantity = tier.quantity or 0
    if tickets.count() <= quantity:
        return
    free = set(_lock_in_order(tickets, IS_FREE))
    taken = tickets.count() - len(free)
    if taken > quantity:
        raise QuantityTooLow(tier, taken)
    # Those that an earlier run had to keep back, because they were held once, are off sale already.
    kept_back = tickets.filter(was_held(), status=Ticket.Status.BLOCKED).count()
    surplus = tickets.count() - quantity - kept_back
    if surplus > 0:
        surplus -= _delete(_newest(tickets.filter(~was_held()), free, surplus))
        _keep_back(_newest(tickets.filter(is_available()), free, surplus))


def _newest(tickets: QuerySet[Ticket], among: set[int], count: int) -> list[int]:
    """The ids of up to `count` of the tickets that are among the locked ones, the newest first."""
    ids = tickets.order_by("-position").values_list("pk", flat=True)
    return list(itertools.islice((pk for pk in ids if pk in among), count))


def _move_between_tiers(event: Event, plan: SalePlan) -> None:
    """Give tickets that nobody has the tier that sells their seat now."""
    for tier in plan.seated:
        misplaced = event.tickets.filter(seat__in=plan.seats_sold_by(tier)).exclude(price_tier=tier)
        for rows in _batches(_lock_in_order(misplaced, IS_FREE), IS_FREE):
            rows.update(price_tier=tier)


def _make_seat_tickets(event: Event, plan: SalePlan) -> int:
    """Make the next batch of tickets for seats that are sold and have none; 0 when all have theirs."""
    rows = [
        (group.section, group.category, tier.pk, order)
        for order, tier in enumerate(plan.tiers)
        for group in plan.groups_of(tier)
    ]
    if not rows:
        return 0
    sections, categories, tiers, orders = (list(column) for column in zip(*rows, strict=True))
    return _execute(
        MAKE_SEAT_TICKETS,
        event=event.pk,
        venue=plan.venue_id,
        position=_next_position(event),
        sections=sections,
        categories=categories,
        tiers=tiers,
        orders=orders,
        limit=BATCH,
    )


def _make_general_admission(event: Event, plan: SalePlan) -> int:
    """Make the next batch of the first tier that has fewer tickets than its quantity."""
    for tier in plan.general_admission:
        missing = (tier.quantity or 0) - event.tickets.filter(price_tier=tier, seat__isnull=True).count()
        if missing > 0:
            return _execute(
                MAKE_GENERAL_ADMISSION,
                event=event.pk,
                tier=tier.pk,
                position=_next_position(event),
                count=min(missing, BATCH),
            )
    return 0


def _execute(statement: str, **values: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


def _next_position(event: Event) -> int:
    last = event.tickets.aggregate(last=Max("position"))["last"]
    return 0 if last is None else last + 1


# --- Keeping tickets back -------------------------------------------------------------


def block_tickets(tickets: QuerySet[Ticket]) -> int:
    """Keep available tickets back from sale; says how many. Reserved and booked ones are left alone."""
    return _change_status(tickets, Ticket.Status.AVAILABLE, Ticket.Status.BLOCKED)


def unblock_tickets(tickets: QuerySet[Ticket]) -> int:
    """Put tickets that were kept back on sale again; says how many."""
    return _change_status(tickets, Ticket.Status.BLOCKED, Ticket.Status.AVAILABLE)


def _change_status(tickets: QuerySet[Ticket], before: str, after: str) -> int:
    with transaction.atomic():
        is_before = Q(status=before)
        ids = _lock_in_order(tickets, is_before)
        return sum(rows.update(status=after) for rows in _batches(ids, is_before))


# --- The event itself -----------------------------------------------------------------


@dataclass(frozen=True)
class NewDate:
    """When a postponed event takes place instead."""

    starts_at: datetime
    ends_at: datetime
    doors_at: datetime | None = None


def save_event(event: Event) -> bool:
    """Save an event as somebody filled it in; its status alone stays what it is by now.

    Where it has another time or place than before, sends `event_moved` and returns true. Locks the event.
    """
    with transaction.atomic():
        rows = Event.objects.select_related("venue").select_for_update(no_key=True, of=("self",))
        before = rows.filter(pk=event.pk).first()
        if before is not None:
            # The form was read before the lock: the event may have been cancelled in between.
            event.status = before.status
        event.save()
        has_moved = before is not None and _time_and_place(before) != _time_and_place(event)
        if has_moved:
            event_moved.send(Event, event=event, before=before)
    return has_moved


def _time_and_place(event: Event) -> tuple[datetime, datetime, datetime | None, int]:
    return event.starts_at, event.ends_at, event.doors_at, event.venue_id


def postpone_event(event: Event, *, free_refunds_until: datetime | None = None) -> Event:
    """Stop the sale until there is a new date. Bookings keep their tickets; nobody is told by this.

    Returns the event as it is now. Raises `WrongStatus` unless it is published.
    """
    with _changing(event, {Event.Status.PUBLISHED}) as locked:
        locked.status = Event.Status.POSTPONED
        if free_refunds_until is not None:
            locked.free_refunds_until = free_refunds_until
        locked.save(update_fields=["status", "free_refunds_until", "updated_at"])
    return locked


def set_new_date(event: Event, date: NewDate, *, free_refunds_until: datetime | None = None) -> Event:
    """Move the event to another date, and put it on sale if it was postponed. Nobody is told by this.

    The end of its sale, and of the time to return tickets, move along; the latter never to an earlier
    day than buyers were promised. Returns the event as it is now. Raises `ImpossibleTimes`, and
    `WrongStatus` for a draft or a cancelled event.
    """
    with _changing(event, {Event.Status.PUBLISHED, Event.Status.POSTPONED}) as locked:
        shift = date.starts_at - locked.starts_at
        locked.starts_at, locked.ends_at, locked.doors_at = date.starts_at, date.ends_at, date.doors_at
        if locked.off_sale_at is not None:
            locked.off_sale_at += shift
        if locked.refunds_until is not None:
            locked.refunds_until = max(locked.refunds_until, locked.refunds_until + shift)
        if free_refunds_until is not None:
            locked.free_refunds_until = free_refunds_until
        locked.status = Event.Status.PUBLISHED
        try:
            locked.validate_constraints()
        except ValidationError as error:
            raise ImpossibleTimes from error
        locked.save()
    return locked


def cancel_event(event: Event) -> Event:
    """Stop the sale for good. Nobody's money is given back, and nobody is told, by this.

    Returns the event as it is now. Raises `WrongStatus` for a draft, or where it is cancelled.
    """
    with _changing(event, {Event.Status.PUBLISHED, Event.Status.POSTPONED}) as locked:
        _set_status(locked, Event.Status.CANCELLED)
    return locked


@contextmanager
def _changing(event: Event, allowed: set[Event.Status]) -> Iterator[Event]:
    """A transaction with the event locked; raises `WrongStatus` unless its status is one of these."""
    with transaction.atomic():
        locked = _lock(event)
        if locked.status not in allowed:
            raise WrongStatus(
                _("The event is %(status)s, so this cannot be done.")
                % {"status": locked.get_status_display()}
            )
        yield locked


def clone_event(event: Event) -> Event:
    """Make a draft like this event, with its price tiers and performers, and without tickets."""
    with transaction.atomic():
        clone = Event.objects.get(pk=event.pk)
        clone.pk = None
        clone._state.adding = True
        clone.slug = _free_slug(event.slug)
        clone.source_key = None
        clone.status = Event.Status.DRAFT
        clone.save()
        clone.performers.set(event.performers.all())
        PriceTier.objects.bulk_create(_copy_tier(tier, clone) for tier in event.price_tiers.all())
    return clone


def _free_slug(slug: str) -> str:
    """The slug with the first number that no event has. Two clones at once: the constraint refuses one."""
    stem = slug[:150]
    taken = set(Event.objects.filter(slug__startswith=stem).values_list("slug", flat=True))
    return next(name for number in itertools.count(2) if (name := f"{stem}-{number}") not in taken)


def _copy_tier(tier: PriceTier, event: Event) -> PriceTier:
    return PriceTier(
        event=event,
        name=tier.name,
        price=tier.price,
        position=tier.position,
        is_seated=tier.is_seated,
        sections=tier.sections,
        quantity=tier.quantity,
    )
