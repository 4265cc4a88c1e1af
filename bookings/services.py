"""Holding tickets: take, extend, give back, expire. The same functions serve pages, API and admin.

The order of locks is the same everywhere, so that nobody can deadlock: first a booking's row, then
its payment's, then the buyer's advisory lock, then tickets by their ids. A new hold has no row
that anyone could wait for, so it begins with the advisory lock.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from bookings.buyers import Buyer, check_limit
from bookings.exceptions import (
    AlreadyBooked,
    BookingClosed,
    ExtensionLimit,
    HoldExpired,
    InvalidTickets,
    LimitExceeded,
    NotOnSale,
    TicketsUnavailable,
)
from bookings.models import (
    IDEMPOTENCY_LIFETIME,
    Booking,
    BookingItem,
    IdempotencyKey,
    hash_secret,
    make_access_token,
)
from bookings.neighbours import (
    ROWS_NEAR,
    ROWS_STILL_NEAR,
    Choice,
    best_neighbours,
    choose_neighbours,
    choose_scattered,
)
from bookings.outbox.models import Mail
from bookings.outbox.services import queue_mail, queue_mails
from bookings.reserving import (
    WAY_BACK_AFTER,
    HeldTicket,
    Reserved,
    check_on_sale,
    reserve_any,
    reserve_tickets,
)
from events import locks
from events.layouts import Place, Run
from events.models import Event, PriceTier, Ticket
from events.pictures import Picture, picture_of, recent_picture_of
from events.querysets import IS_AVAILABLE, current_status
from events.statements import array_of, columns_of, execute

logger = logging.getLogger(__name__)

HOLD = timedelta(seconds=settings.HOLD_SECONDS)
SWEEP_BATCH = 500
TIER_FIELDS = columns_of(PriceTier, "id", "event_id", "is_seated")
FIND_TIER = f"""
    SELECT {", ".join(TIER_FIELDS)} FROM events_pricetier
    WHERE id = %(tier)s::bigint AND event_id = %(event)s::bigint
"""  # noqa: S608  # Names of columns.
FIND_FREE = f"""
    SELECT id FROM events_ticket AS ticket
    WHERE id = ANY(%(tickets)s::bigint[]) AND price_tier_id = %(tier)s::bigint AND {IS_AVAILABLE}
"""  # noqa: S608  # Constants.
# How many of the best choices of seats are tried at once, and how often the next ones when others took all.
CHOICES_AT_ONCE = 8
CHOICE_ATTEMPTS = 16
# How often any tickets without seats are looked for while enough are free, but just being taken.
ADMISSION_ATTEMPTS = 6


@dataclass(frozen=True)
class HeldBooking:
    """A new hold, and the secret that proves it is the buyer's; told once, as only its hash is kept."""

    booking: Booking
    access_token: str
    # In the order of the hall.
    tickets: list[HeldTicket]
    # The database's time when it was made.
    now: datetime


# Where each tier without seats was last sold from, by this process: rows before that are most
# likely gone, and an index full of what is gone is slow to read. A hint, never a claim.
_sold_lately: dict[int, int] = {}


# --- Taking -----------------------------------------------------------------------------


def hold_tickets(*, event: Event, ticket_ids: Sequence[int], buyer: Buyer) -> HeldBooking:
    """Reserve exactly these tickets for ten minutes, or none of them.

    Raises `TicketsUnavailable` naming the ones that are gone, `NotOnSale`, `LimitExceeded`, or
    `InvalidTickets` for ids that are not this event's.
    """
    wanted = sorted(set(ticket_ids))
    if not wanted or len(wanted) != len(ticket_ids):
        raise InvalidTickets("tickets", "Name at least one ticket, and none twice.")
    if len(wanted) > event.max_tickets_per_booking:
        raise LimitExceeded(limit=event.max_tickets_per_booking)
    booking_id = uuid4()
    lock = locks.take(event.pk, wanted, booking_id)
    if lock is locks.LockResult.TAKEN:
        raise _gone(event, wanted, locks.locked_among(event.pk, wanted))
    # Without locks many are refused by the rows: what is free of those is given back at once.
    scope = _one_transaction() if lock is locks.LockResult.GOT else transaction.atomic()
    try:
        return _hold_locked(event, booking_id, buyer, wanted, scope)
    except TicketsUnavailable:
        raise _gone(event, wanted, _taken_among(event, wanted)) from None


def hold_best_available(*, event: Event, price_tier_id: int, quantity: int, buyer: Buyer) -> HeldBooking:
    """Reserve `quantity` tickets of a tier: neighbours where seats are numbered, any otherwise.

    Raises `TicketsUnavailable` with how many are left, and with a suggestion where enough
    seats are free but not side by side; otherwise as `hold_tickets`.
    """
    tier = _find_tier(event, price_tier_id)
    if tier is None:
        check_on_sale(event)
        raise InvalidTickets("price_tier", "This event has no such price tier.")
    if quantity < 1:
        raise InvalidTickets("quantity", "Ask for at least one ticket.")
    if quantity > event.max_tickets_per_booking:
        raise LimitExceeded(limit=event.max_tickets_per_booking)
    choose = _hold_neighbours if tier.is_seated else _hold_general_admission
    return choose(event, tier, quantity, buyer)


def _find_tier(event: Event, price_tier_id: int) -> PriceTier | None:
    """What a hold needs of the tier, if it is the event's."""
    row = execute(FIND_TIER, {"tier": str(price_tier_id), "event": str(event.pk)}).fetchone()
    return None if row is None else PriceTier.from_db(None, TIER_FIELDS, row)


def _hold_neighbours(event: Event, tier: PriceTier, quantity: int, buyer: Buyer) -> HeldBooking:
    """Choose from a picture of the hall and hold; when others were quicker, choose again what is left.

    No row is read to choose: in a rush all would read them all, to find most of them sold.
    """
    try:
        picture = recent_picture_of(event.slug)
        for attempt in range(CHOICE_ATTEMPTS):
            choices = _best_choices(picture, tier, quantity)
            if not choices:
                # Nobody is refused because of a hint.
                picture = picture_of(event.slug)
                picture.suggest_all_again(tier.pk)
                choices = _best_choices(picture, tier, quantity)
            if not choices:
                # What is left of a draft is nobody's business.
                check_on_sale(event)
                free = picture.free_seats_of(tier.pk)
                suggestion = choose_scattered(free, quantity) or []
                raise TicketsUnavailable(available=len(free), suggestion=suggestion)
            held = _hold_first(picture, event, tier, buyer, choices, attempt)
            if held is not None:
                return held
    except Event.DoesNotExist:
        raise NotOnSale from None
    raise TicketsUnavailable(available=tier.tickets.available().count())


def _best_choices(picture: Picture, tier: PriceTier, quantity: int) -> list[Choice]:
    """The best seats side by side that are free in the picture; nobody else is sent to the first."""
    # Where the seats are is read here, if need be, and not while others wait.
    runs = picture.runs_of(tier.pk, quantity)
    with picture.choosing:
        choices = best_neighbours(runs, quantity, CHOICES_AT_ONCE)
        picture.note_suggested(choices[0].ticket_ids if choices else ())
    return choices


def _hold_first(
    picture: Picture, event: Event, tier: PriceTier, buyer: Buyer, choices: Sequence[Choice], attempt: int
) -> HeldBooking | None:
    """Hold the first of these choices that nobody took; None, and noted in the picture, where all are."""
    booking_id = uuid4()
    lock, number = locks.take_first(event.pk, [choice.ticket_ids for choice in choices], booking_id)
    if lock is locks.LockResult.TAKEN:
        _note_locked_in(picture, [choice.run for choice in choices])
        return None
    if lock is locks.LockResult.UNKNOWN:
        # Every process has the same choices, and one is always first: spread out after a collision.
        number = random.randrange(min(len(choices), 1 + 4 * attempt))  # noqa: S311  # No secret.
    wanted = sorted(choices[number].ticket_ids)
    try:
        # Undone before the next try, so that nobody waits for rows in two orders.
        held = _hold_locked(event, booking_id, buyer, wanted, transaction.atomic(), tier)
    except TicketsUnavailable:
        # Sold since the picture was taken, and no lock told so.
        around = _seats_in(choice.run for choice in choices)
        free = execute(FIND_FREE, {"tickets": array_of(around), "tier": str(tier.pk)}).fetchall()
        picture.note_locked(set(around).difference(pk for (pk,) in free))
        return None
    picture.note_locked(wanted)
    if lock is locks.LockResult.GOT:
        _note_locked_in(picture, [choice.run for choice in choices[:number]])
    return held


def _note_locked_in(picture: Picture, runs: Iterable[Run]) -> None:
    """What is locked by now in these runs need not be found out by whoever chooses next."""
    picture.note_locked(locks.locked_among(picture.event_id, _seats_in(runs)))


def _seats_in(runs: Iterable[Run]) -> list[int]:
    """The tickets of these runs, of which one may be a part of another."""
    return list({pk for run in runs for pk in run.ticket_ids})


def _hold_general_admission(event: Event, tier: PriceTier, quantity: int, buyer: Buyer) -> HeldBooking:
    """Take any free rows, passing over those that another buyer is just taking."""
    for attempt in range(ADMISSION_ATTEMPTS):
        # Behind what this process sold last; from the beginning once that found too few.
        after = _sold_lately.get(tier.pk, 0) if attempt == 0 else 0
        try:
            with transaction.atomic():
                held = _reserve(
                    event,
                    uuid4(),
                    buyer,
                    lambda booking: reserve_any(booking, event, buyer, tier, quantity, after=after),  # noqa: B023
                )
        except TicketsUnavailable:
            left = tier.tickets.available().count()
        else:
            _sold_lately[tier.pk] = max(ticket.ticket_id for ticket in held.tickets)
            return held
        if left < quantity:
            break
        # Enough are free, but locked by buyers who may yet roll back: look again.
        time.sleep(random.uniform(0.005, 0.02) * attempt)  # noqa: S311  # Jitter, not a secret.
    raise TicketsUnavailable(available=left)


def _hold_locked(
    event: Event,
    booking_id: UUID,
    buyer: Buyer,
    wanted: Sequence[int],
    scope: AbstractContextManager[None],
    tier: PriceTier | None = None,
) -> HeldBooking:
    """Reserve the rows of tickets whose locks were taken, in the transaction that `scope` is.

    Gives the locks back where that fails, once the rows are given back.
    """
    try:
        with scope:
            return _reserve(
                event, booking_id, buyer, lambda booking: reserve_tickets(booking, event, buyer, wanted, tier)
            )
    except BaseException:
        locks.release(event.pk, wanted, booking_id)
        raise


def _one_transaction() -> AbstractContextManager[None]:
    """The caller's transaction, or one where there is none.

    What is refused in it has written nothing, and keeps its row locks until the caller's ends.
    """
    return nullcontext() if connection.in_atomic_block else transaction.atomic()


def _reserve(
    event: Event, booking_id: UUID, buyer: Buyer, take: Callable[[Booking], Reserved]
) -> HeldBooking:
    """Make the booking and move tickets to it; runs inside a transaction of the caller."""
    started = time.monotonic()
    token = make_access_token(booking_id)
    booking = Booking(
        id=booking_id,
        event=event,
        account=buyer.account,
        email=buyer.email,
        access_token_hash=hash_secret(token),
        client_address=None if buyer.account else buyer.address,
    )
    reserved = take(booking)
    ticket_ids = [ticket.ticket_id for ticket in reserved.tickets]
    _keep_locks_after_commit(booking, ticket_ids, ends=started + HOLD.total_seconds())
    return HeldBooking(booking, token, reserved.tickets, reserved.now)


def _taken_among(event: Event, wanted: Sequence[int]) -> list[int]:
    """Those of the tickets that cannot be held now. Raises `InvalidTickets` for ids not of this event."""
    statuses = dict(event.tickets.filter(pk__in=wanted).values_list("pk", current_status()))
    if len(statuses) != len(wanted):
        raise InvalidTickets("tickets", "Some of these are not tickets of this event.")
    return [pk for pk, status in statuses.items() if status != Ticket.Status.AVAILABLE]


def _gone(event: Event, wanted: Sequence[int], taken: Iterable[int]) -> TicketsUnavailable:
    """The refusal that names which of the wanted tickets are gone, and what is near them.

    One that was given back just now counts as gone too: the hold was refused because of it.
    """
    lost = sorted(set(wanted).intersection(taken)) or list(wanted)
    return TicketsUnavailable(unavailable=lost, suggestion=suggest_instead(event, wanted, lost))


def suggest_instead(event: Event, wanted: Sequence[int], lost: Sequence[int]) -> list[int]:
    """As many free tickets as are wanted, near the lost ones and of the same tier; empty if none.

    Seats side by side in the lost seat's section where there are any.
    """
    try:
        picture = recent_picture_of(event.slug)
    except Event.DoesNotExist:
        return []
    if seat := picture.seat_of(lost[0]):
        return suggest_near(picture, seat, len(wanted), lost)
    tier = PriceTier.objects.filter(event=event, tickets=lost[0]).first()
    if tier is None:
        return []
    free = tier.tickets.available().exclude(pk__in=lost)
    return list(free.order_by("id").values_list("id", flat=True)[: len(wanted)])


def suggest_near(picture: Picture, seat: Place, quantity: int, lost: Iterable[int]) -> list[int]:
    """So many seats side by side near a seat, free in the picture, not `lost`, and not locked now.

    Others than were suggested lately, while there are others: of hundreds who are refused in the same
    moment, all that are sent to one seat but one are refused again. Empty where there are none. Asks the
    database for nothing.
    """
    picture.note_locked(lost)
    # Mostly there is something in the next rows, which are quickly looked through.
    for rows in (ROWS_NEAR, ROWS_STILL_NEAR):
        if chosen := _choose_near(picture, seat, quantity, rows):
            return chosen
    picture.suggest_again(seat, rows=ROWS_STILL_NEAR)
    return _choose_near(picture, seat, quantity, ROWS_STILL_NEAR)


def _choose_near(picture: Picture, seat: Place, quantity: int, rows: int) -> list[int]:
    """The seats of `suggest_near` in so many rows; empty where there are none."""
    runs = picture.runs_near(seat, quantity, rows=rows)
    if not runs:
        return []
    _note_locked_in(picture, runs)
    with picture.choosing:
        # Anew: meanwhile others were sent to some of these.
        runs = picture.runs_near(seat, quantity, rows=rows)
        chosen = choose_neighbours(runs, quantity, near=(seat.row_index, seat.place)) or []
        picture.note_suggested(chosen)
    return chosen


def _keep_locks_after_commit(booking: Booking, ticket_ids: Sequence[int], *, ends: float) -> None:
    """Once the rows are ours for certain, let the locks live until `ends`, as the rows say.

    `ends` is by this process's monotonic clock, counted from before the database's clock was read:
    however long something waits, no lock outlives its row.
    """

    def keep() -> None:
        milliseconds = int((ends - time.monotonic()) * 1000)
        locks.keep(booking.event_id, ticket_ids, booking.pk, milliseconds=milliseconds)

    transaction.on_commit(keep, robust=True)


# --- Changing ---------------------------------------------------------------------------


def extend_hold(*, booking_id: UUID) -> Booking:
    """Give a live hold ten more minutes.

    Raises `ExtensionLimit`, `HoldExpired`, `AlreadyBooked` or `BookingClosed`.
    """
    with transaction.atomic():
        booking = lock_live_hold(booking_id)
        if booking.extensions_used >= booking.event.max_extensions:
            raise ExtensionLimit
        ids = [ticket.pk for ticket in Ticket.objects.of_booking(booking.pk).lock_in_order()]
        started = time.monotonic()
        left = booking.expires_at - database_time()
        # While this waited for its tickets the hold may have run out, and someone else taken one.
        if left <= timedelta(0) or len(ids) != booking.items.count():
            raise HoldExpired
        booking.expires_at += HOLD
        booking.extensions_used += 1
        booking.save(update_fields=["expires_at", "extensions_used"])
        Ticket.objects.filter(pk__in=ids).update(reserved_until=booking.expires_at)
        _keep_locks_after_commit(booking, ids, ends=started + (left + HOLD).total_seconds())
    return booking


def release_hold(*, booking_id: UUID) -> None:
    """Give a hold's tickets back at once. Asking again changes nothing.

    Raises `AlreadyBooked`, or `BookingClosed` for one that was cancelled or refunded.
    """
    with transaction.atomic():
        booking = lock_booking(booking_id)
        if booking.status == Booking.Status.BOOKED:
            raise AlreadyBooked
        if booking.status in {Booking.Status.CANCELLED, Booking.Status.REFUNDED}:
            raise BookingClosed(booking.status)
        if booking.status == Booking.Status.RESERVED:
            close_hold(booking, Booking.Status.RELEASED)


def close_hold(booking: Booking, status: Booking.Status) -> None:
    """End a locked, reserved booking: free the tickets that are still its own, then its locks."""
    ids = [ticket.pk for ticket in Ticket.objects.of_booking(booking.pk).lock_in_order()]
    free_tickets(ids)
    booking.status = status
    booking.save(update_fields=["status"])
    give_back_locks_after_commit(booking, ids)


def free_tickets(ticket_ids: Sequence[int]) -> int:
    """Put locked tickets back on sale."""
    return Ticket.objects.filter(pk__in=ticket_ids).update(
        status=Ticket.Status.AVAILABLE, booking_id=None, reserved_until=None
    )


def give_back_locks_after_commit(booking: Booking, ticket_ids: Sequence[int]) -> None:
    transaction.on_commit(lambda: locks.release(booking.event_id, ticket_ids, booking.pk), robust=True)


def change_details(
    *,
    booking_id: UUID,
    email: str | None = None,
    name: str | None = None,
    holder_names: Mapping[int, str] | None = None,
) -> Booking:
    """Set who buys and who will use each ticket (by ticket id), until the booking is booked.

    Raises `LimitExceeded` when the e-mail address has reached the event's limit with other
    bookings, `InvalidTickets` for a ticket of another booking, and as `lock_live_hold`.
    """
    with transaction.atomic():
        booking = lock_live_hold(booking_id)
        if email is not None:
            _change_email(booking, email.strip().lower())
            # Once for each address that a hold has had, and only if it is still a hold by then.
            queue_mail(Mail.Kind.RESERVED, booking, key=booking.email, delay=WAY_BACK_AFTER)
        if name is not None:
            booking.name = name
        booking.save(update_fields=["email", "name"])
        _change_holder_names(booking, holder_names or {})
    return booking


def _change_email(booking: Booking, email: str) -> None:
    """Set the address that the limit counts by; without one it counts by the network address again."""
    if booking.account is None and email != booking.email:
        buyer = Buyer(email=email, address=booking.client_address)
        check_limit(booking.event, buyer, adding=booking.items.count(), besides=booking.pk)
    booking.email = email


def _change_holder_names(booking: Booking, holder_names: Mapping[int, str]) -> None:
    items = {item.ticket_id: item for item in booking.items.filter(ticket_id__in=holder_names)}
    if len(items) != len(holder_names):
        raise InvalidTickets("tickets", "Some of these tickets are not in this booking.")
    for ticket_id, item in items.items():
        item.holder_name = holder_names[ticket_id]
    BookingItem.objects.bulk_update(items.values(), ["holder_name"])


def lock_booking(booking_id: UUID) -> Booking:
    """The booking with its event, its row locked until the transaction ends.

    Raises `Booking.DoesNotExist`.
    """
    rows = Booking.objects.select_related("event")
    return rows.select_for_update(no_key=True, of=("self",)).get(pk=booking_id)


def lock_live_hold(booking_id: UUID) -> Booking:
    """Lock a booking that must be a hold with time left.

    Raises `AlreadyBooked`, `HoldExpired` or `BookingClosed`.
    """
    booking = lock_booking(booking_id)
    if booking.status == Booking.Status.BOOKED:
        raise AlreadyBooked
    if booking.status == Booking.Status.EXPIRED:
        raise HoldExpired
    if not booking.is_hold:
        raise BookingClosed(booking.status)
    if booking.expires_at <= database_time():
        raise HoldExpired
    return booking


def database_time() -> datetime:
    """The database's clock at this moment, also late in a transaction or after a wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


# --- Tidying ----------------------------------------------------------------------------


def sweep_expired_holds() -> int:
    """Close holds that have run out and free their rows; returns how many bookings it closed.

    Tidiness only: everything else already treats those tickets as free. One sweeper works at a
    time, in batches, and passes over whatever a buyer is just paying for.
    """
    swept = 0
    while closed := _sweep_batch():
        swept += closed
    _release_ghost_locks()
    IdempotencyKey.objects.filter(created_at__lte=Now() - IDEMPOTENCY_LIFETIME).delete()
    return swept


def _sweep_batch() -> int:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended('sweep', 0))")
            if not cursor.fetchone()[0]:
                return 0
        rows = Booking.objects.lapsed_holds().order_by("expires_at")
        ids = [b.pk for b in rows.select_for_update(skip_locked=True, no_key=True)[:SWEEP_BATCH]]
        tickets = Ticket.objects.filter(booking_id__in=ids, status=Ticket.Status.RESERVED)
        free_tickets([ticket.pk for ticket in tickets.lock_in_order()])
        closed = Booking.objects.filter(pk__in=ids)
        queue_mails(Mail.Kind.EXPIRED, closed, key="")
        return closed.update(status=Booking.Status.EXPIRED)


def _release_ghost_locks() -> None:
    """Drop locks that outlived their hold because the cache was away when they were given back.

    A lock younger than its lease may belong to a hold that is just being written: left alone.
    """
    for event_id in locks.events_with_locks():
        owners = locks.owners(event_id)
        rows = Ticket.objects.filter(pk__in=owners, status=Ticket.Status.RESERVED)
        held = dict(rows.values_list("pk", "booking_id"))
        ghosts = [ticket_id for ticket_id, owner in owners.items() if held.get(ticket_id) != owner]
        for ticket_id in locks.kept_beyond_lease(event_id, ghosts):
            locks.release(event_id, [ticket_id], owners[ticket_id])
