"""Letting people in, once for each ticket, however many doors there are.

`BookingItem.checked_in_at` decides: it is set by one conditional update. Bookings are locked
first, in the order of their ids, as giving tickets back locks them too: a ticket is never let in
and given back by its buyer at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef

from bookings.codes import read_code
from bookings.door.exceptions import NotAdmitted
from bookings.door.models import Scan
from bookings.exceptions import InvalidCode
from bookings.models import Booking, BookingItem, User
from bookings.services import database_time, lock_booking
from events.models import Event

Result = Scan.Result


@dataclass(frozen=True)
class Attempt:
    """A code held up at a door. `told` is what an offline device said alone; None where it asks us."""

    id: uuid.UUID
    code: str
    door: str
    device: str = ""
    scanned_at: datetime | None = None
    told: Scan.Result | None = None


@dataclass(frozen=True)
class ScanResult:
    """What came of a scan. `first` is the admission that stands, where the ticket is used already."""

    scan: Scan
    first: Scan | None = None

    @property
    def result(self) -> str:
        return self.scan.result

    @property
    def item(self) -> BookingItem | None:
        return self.scan.item

    @property
    def when(self) -> datetime | None:
        return None if self.first is None else self.first.scanned_at

    @property
    def where(self) -> str:
        return "" if self.first is None else self.first.door


# --- Letting in -------------------------------------------------------------------------


def admit(
    *,
    event: Event,
    code: str,
    door: str,
    by: User,
    scan_id: uuid.UUID | None = None,
    scanned_at: datetime | None = None,
    device: str = "",
) -> ScanResult:
    """Let the holder of `code` in, or say why not. The same scan again has the same answer."""
    attempt = Attempt(scan_id or uuid.uuid4(), code, door, device, scanned_at)
    return sync(event=event, attempts=[attempt], by=by)[0]


def sync(*, event: Event, attempts: Sequence[Attempt], by: User) -> list[ScanResult]:
    """Take over scans, each once, in the order of their times; answers in the order they came in.

    All in one transaction. A second admission is not one: its result says `already_used`, and
    `Scan.is_double_entry` that the offline device let the person in all the same.
    """
    try:
        scans = _take_over(event, attempts, by)
    except IntegrityError:
        # The same scan was being sent twice at once; the other was first, and is known now.
        scans = _take_over(event, attempts, by)
    return describe([scans[attempt.id] for attempt in attempts])


@transaction.atomic
def _take_over(event: Event, attempts: Sequence[Attempt], by: User) -> dict[uuid.UUID, Scan]:
    scans = {scan.pk: scan for scan in Scan.objects.filter(pk__in=[attempt.id for attempt in attempts])}
    fresh = {attempt.id: attempt for attempt in attempts if attempt.id not in scans}
    items = _lock_items(_short_code(attempt.code) for attempt in fresh.values())
    now = database_time()
    # A clock that is ahead would let people in tomorrow.
    times = {pk: min(attempt.scanned_at or now, now) for pk, attempt in fresh.items()}
    for pk in sorted(fresh, key=lambda pk: times[pk]):
        attempt = fresh[pk]
        item = items.get(_short_code(attempt.code))
        result = _decide(attempt, item, event, times[pk])
        scans[pk] = _append(attempt, item, event, by, scanned_at=times[pk], result=result)
    return scans


def _short_code(text: str) -> str:
    """The ticket's short code; empty for what is not a code of ours."""
    try:
        return read_code(text).code
    except InvalidCode:
        return ""


def _lock_items(codes: Iterable[str]) -> dict[str, BookingItem]:
    """The tickets by their codes, the rows of their bookings locked until the transaction ends."""
    named = BookingItem.objects.filter(code__in=[code for code in codes if code])
    bookings = Booking.objects.filter(pk__in=named.values("booking"))
    list(bookings.order_by("pk").select_for_update(no_key=True).values_list("pk"))
    # Read only now: what they were before we waited for the lock is of no use.
    return {item.code or "": item for item in named.select_related("booking")}


def _decide(attempt: Attempt, item: BookingItem | None, event: Event, at: datetime) -> Scan.Result:
    """What the scan means, and the ticket is used from now on where it means `admitted`."""
    if item is None:
        return Result.UNKNOWN
    if item.booking.event_id != event.pk:
        return Result.WRONG_EVENT
    if attempt.told not in {None, Result.ADMITTED}:
        # An offline door turned the person away: whatever the ticket is, nobody went in.
        return Result(attempt.told)
    if _check_in(item, at):
        return Result.ADMITTED
    is_given_back = item.refund_id is not None or item.booking.status != Booking.Status.BOOKED
    return Result.REFUNDED if is_given_back else Result.ALREADY_USED


def _check_in(item: BookingItem, at: datetime) -> bool:
    """The one statement that lets a ticket in. Its conditions are the whole rule."""
    is_booked = Exists(Booking.objects.filter(pk=OuterRef("booking_id"), status=Booking.Status.BOOKED))
    wanted = BookingItem.objects.filter(is_booked, pk=item.pk, checked_in_at=None, refund=None)
    return wanted.update(checked_in_at=at) == 1


def _append(
    attempt: Attempt,
    item: BookingItem | None,
    event: Event,
    by: User,
    *,
    scanned_at: datetime,
    result: Scan.Result,
) -> Scan:
    is_offline = attempt.told is not None
    return Scan.objects.create(
        id=attempt.id,
        event=event,
        item=item,
        # The signature of a good one is not worth keeping; of a bad one, what was read is.
        code=(item.code if item else None) or attempt.code[:200],
        door=attempt.door,
        device=attempt.device,
        scanned_by=by,
        scanned_at=scanned_at,
        result=result,
        is_offline=is_offline,
        let_in=(attempt.told if is_offline else result) == Result.ADMITTED,
    )


# --- Undoing ----------------------------------------------------------------------------


@transaction.atomic
def undo(*, scan_id: uuid.UUID, by: User) -> ScanResult:
    """Take an admission back, so that the ticket lets in again. Again changes nothing.

    Raises `Scan.DoesNotExist`, and `NotAdmitted` where the scan let nobody in.
    """
    scan = Scan.objects.select_related("item").get(pk=scan_id)
    if scan.item is None or scan.result != Result.ADMITTED:
        raise NotAdmitted(scan.result)
    lock_booking(scan.item.booking_id)
    undone = Scan.objects.filter(undoes=scan).first()
    if undone is None:
        BookingItem.objects.filter(pk=scan.item.pk).update(checked_in_at=None)
        undone = Scan.objects.create(
            event_id=scan.event_id,
            item=scan.item,
            code=scan.code,
            door=scan.door,
            device=scan.device,
            scanned_by=by,
            scanned_at=database_time(),
            result=Result.UNDONE,
            undoes=scan,
        )
    return describe([undone])[0]


# --- Telling ----------------------------------------------------------------------------


def describe(scans: Sequence[Scan]) -> list[ScanResult]:
    """The scans with all that a page or the API says of them, in two queries."""
    found = Scan.objects.with_details().in_bulk([scan.pk for scan in scans])
    used = [scan.item for scan in found.values() if scan.item and scan.result == Result.ALREADY_USED]
    standing = Scan.objects.standing_admissions().of_items(used)
    firsts = {first.item_id: first for first in standing}
    return [
        ScanResult(found[scan.pk], firsts.get(scan.item_id) if scan.result == Result.ALREADY_USED else None)
        for scan in scans
    ]
