"""Letting people in: once for each ticket, at however many doors, online or not."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from bookings.codes import sign_code
from bookings.door.exceptions import NotAdmitted
from bookings.door.held_list import SectionCount, count_sections
from bookings.door.models import Scan
from bookings.door.services import admit, sync, undo
from bookings.models import Booking, BookingItem, Refund
from bookings.payments import settle_payment, start_payment
from bookings.refunds import request_refund
from bookings.services import Buyer, hold_tickets
from events.models import Event
from tests.door import attempt, book, items_of, make_door_staff
from tests.factories import make_general_admission, make_seated_event, ticket_ids
from tests.utils import assert_audit_is_clean, run_together

pytestmark = pytest.mark.django_db
real_transactions = pytest.mark.django_db(transaction=True)

Result = Scan.Result


@pytest.fixture
def event() -> Event:
    return make_seated_event(seats=4, price="0.00")


@pytest.fixture
def item(event) -> BookingItem:
    return book(event)[0]


@pytest.fixture
def staff():
    return make_door_staff()


def checked_in_at(item: BookingItem):
    return BookingItem.objects.values_list("checked_in_at", flat=True).get(pk=item.pk)


@pytest.mark.parametrize("read", [sign_code, lambda item: item.code.lower(), lambda item: f" {item.code}\n"])
def test_ticket_is_admitted_by_its_signed_or_its_typed_code(event, item, staff, read):
    found = admit(event=event, code=read(item), door="North door", by=staff)

    assert (found.result, found.item, found.first) == ("admitted", item, None)
    assert checked_in_at(item) == found.scan.scanned_at
    assert Scan.objects.values_list("code", "door", "result", "let_in", "is_offline").get() == (
        item.code,
        "North door",
        "admitted",
        True,
        False,
    )


def test_second_time_says_when_and_where_the_first_was(event, item, staff):
    first = admit(event=event, code=item.code, door="North door", by=staff)

    second = admit(event=event, code=item.code, door="South door", by=staff)

    assert (second.result, second.item) == ("already_used", item)
    assert (second.when, second.where) == (first.scan.scanned_at, "North door")
    assert checked_in_at(item) == first.scan.scanned_at


def test_same_scan_sent_again_counts_once_and_has_the_same_answer(event, item, staff):
    scan_id = uuid.uuid4()
    calls = [admit(event=event, code=item.code, door="A", by=staff, scan_id=scan_id) for _ in range(2)]

    assert [call.result for call in calls] == ["admitted", "admitted"]
    assert Scan.objects.count() == 1


@pytest.mark.parametrize(
    "code", ["0000000000000000", "https://example.org/", "", "HF1.1.1.0000000000000000.AA"]
)
def test_unknown_code_admits_nobody_and_is_written_down(event, item, staff, code):
    found = admit(event=event, code=code, door="A", by=staff)

    assert (found.result, found.item) == ("unknown", None)
    assert Scan.objects.values_list("code", "item", "let_in").get() == (code, None, False)
    assert checked_in_at(item) is None


def test_wrong_signature_is_unknown_although_the_code_is_right(event, item, staff):
    forged = sign_code(item)[:-4] + "AAAA"

    assert admit(event=event, code=forged, door="A", by=staff).result == "unknown"
    assert checked_in_at(item) is None


def test_ticket_for_another_event_says_which(event, item, staff):
    other = make_seated_event(seats=1, price="0.00")

    found = admit(event=other, code=item.code, door="A", by=staff)

    assert (found.result, found.item.booking.event) == ("wrong_event", event)
    assert checked_in_at(item) is None


@real_transactions
def test_refunded_ticket_is_refused_and_the_same_seat_sold_again_admitted(staff, pay_with_card):
    event = make_seated_event(seats=1, price="10.00")
    old = items_of(buy(event, pay_with_card))[0]
    request_refund(booking_id=old.booking_id, origin=Refund.Origin.STAFF)
    new = items_of(buy(event, pay_with_card))[0]

    results = [admit(event=event, code=item.code, door="A", by=staff).result for item in (old, new)]

    assert results == ["refunded", "admitted"]
    assert checked_in_at(old) is None
    assert_audit_is_clean()


def buy(event: Event, pay_with_card) -> Booking:
    wish = {"ticket_ids": ticket_ids(event), "buyer": Buyer(email="buyer@example.org")}
    booking = hold_tickets(event=event, **wish).booking
    payment = start_payment(booking_id=booking.pk)
    pay_with_card(payment)
    settle_payment(payment.pk)
    booking.refresh_from_db()
    return booking


def test_hold_that_is_not_paid_has_no_code_to_show(event, staff):
    hold_tickets(event=event, ticket_ids=ticket_ids(event)[:1], buyer=Buyer(email="a@example.org"))

    assert BookingItem.objects.get().code is None
    assert admit(event=event, code="None", door="A", by=staff).result == "unknown"


@real_transactions
def test_two_doors_at_once_admit_one(event, item, staff):
    doors = [f"Door {number}" for number in range(8)]
    calls = [lambda door=door: admit(event=event, code=item.code, door=door, by=staff) for door in doors]

    results = run_together(calls)

    assert sorted(found.result for found in results) == ["admitted", *["already_used"] * 7]
    winner = next(found.scan for found in results if found.result == "admitted")
    assert {found.where for found in results if found.first} == {winner.door}
    assert Scan.objects.standing_admissions().get() == winner


@real_transactions
def test_one_scan_sent_twice_at_once_counts_once(event, item, staff):
    scan_id = uuid.uuid4()
    call = lambda: admit(event=event, code=item.code, door="A", by=staff, scan_id=scan_id)  # noqa: E731

    results = run_together([call] * 4)

    assert [found.result for found in results] == ["admitted"] * 4
    assert Scan.objects.count() == 1


@real_transactions
def test_admission_and_a_buyers_return_of_the_ticket_exclude_each_other(staff, pay_with_card):
    event = make_seated_event(
        seats=1, price="10.00", refunds_until=timezone.now() + timedelta(days=1), refund_fee=0
    )
    item = items_of(buy(event, pay_with_card))[0]

    let_in, given_back = run_together(
        [
            lambda: admit(event=event, code=item.code, door="A", by=staff),
            lambda: request_refund(booking_id=item.booking_id, origin=Refund.Origin.BUYER),
        ]
    )

    item.refresh_from_db()
    assert (let_in.result == "admitted") == (item.checked_in_at is not None)
    assert isinstance(given_back, Refund) == (item.refund_id is not None)
    assert (item.checked_in_at is None) != (item.refund_id is None)
    assert_audit_is_clean()


@real_transactions
def test_batches_with_the_same_tickets_in_other_orders_do_not_deadlock(event, staff):
    items = book(event, 2) + book(event, 2)
    now = timezone.now()

    def batch(ordered):
        times = [now + timedelta(seconds=number - 10) for number in range(len(ordered))]
        return [
            attempt(item, scanned_at=at, told=Result.ADMITTED)
            for item, at in zip(ordered, times, strict=True)
        ]

    batches = [batch(items), batch(items[::-1])] * 2
    calls = [lambda sent=sent: sync(event=event, attempts=sent, by=staff) for sent in batches]
    results = run_together(calls)

    assert [type(found) for found in results] == [list] * 4
    assert Scan.objects.standing_admissions().count() == 4


# --- Offline ----------------------------------------------------------------------------


def test_scans_of_an_offline_door_count_once_in_the_order_of_their_times(event, item, staff):
    now = timezone.now()
    late = attempt(item, door="South", scanned_at=now - timedelta(minutes=5), told=Result.ADMITTED)
    early = attempt(item, door="North", scanned_at=now - timedelta(minutes=9), told=Result.ADMITTED)

    once = sync(event=event, attempts=[late, early], by=staff)
    again = sync(event=event, attempts=[late, early], by=staff)

    assert [found.result for found in once] == ["already_used", "admitted"]
    assert [found.scan.is_double_entry for found in once] == [True, False]
    assert (once[0].when, once[0].where) == (early.scanned_at, "North")
    assert [(found.scan, found.first) for found in again] == [(found.scan, found.first) for found in once]
    assert checked_in_at(item) == early.scanned_at
    assert Scan.objects.count() == 2


def test_door_that_was_offline_hears_of_an_admission_elsewhere(event, item, staff):
    here = attempt(item, scanned_at=timezone.now() - timedelta(minutes=5), told=Result.ADMITTED)
    there = admit(event=event, code=item.code, door="South door", by=staff)

    found = sync(event=event, attempts=[here], by=staff)[0]

    assert (found.result, found.scan.is_double_entry, found.first) == ("already_used", True, there.scan)
    assert list(Scan.objects.double_entries()) == [found.scan]


@pytest.mark.parametrize("told", [Result.UNKNOWN, Result.ALREADY_USED, Result.REFUNDED])
def test_whom_an_offline_door_turned_away_is_not_let_in_by_its_report(event, item, staff, told):
    found = sync(event=event, attempts=[attempt(item, scanned_at=timezone.now(), told=told)], by=staff)[0]

    assert (found.result, found.scan.let_in, found.scan.is_offline) == (told, False, True)
    assert checked_in_at(item) is None
    assert admit(event=event, code=item.code, door="A", by=staff).result == "admitted"


def test_device_whose_clock_is_ahead_admits_now(event, item, staff):
    ahead = timezone.now() + timedelta(hours=3)

    found = admit(event=event, code=item.code, door="A", by=staff, scanned_at=ahead)

    assert abs(found.scan.scanned_at - timezone.now()) < timedelta(minutes=1)


# --- Undoing ----------------------------------------------------------------------------


def test_undone_admission_lets_in_again(event, item, staff):
    first = admit(event=event, code=item.code, door="North door", by=staff)

    undone = undo(scan_id=first.scan.pk, by=staff)

    assert (undone.result, undone.scan.undoes, checked_in_at(item)) == ("undone", first.scan, None)
    assert admit(event=event, code=item.code, door="South door", by=staff).result == "admitted"
    again = admit(event=event, code=item.code, door="A", by=staff)
    assert (again.result, again.where) == ("already_used", "South door")


def test_undoing_twice_is_undoing_once_and_spares_a_later_admission(event, item, staff):
    first = admit(event=event, code=item.code, door="A", by=staff)
    undone = undo(scan_id=first.scan.pk, by=staff)
    later = admit(event=event, code=item.code, door="A", by=staff)

    again = undo(scan_id=first.scan.pk, by=staff)

    assert again.scan == undone.scan
    assert checked_in_at(item) == later.scan.scanned_at


@real_transactions
def test_undoing_at_two_devices_at_once_is_undoing_once(event, item, staff):
    first = admit(event=event, code=item.code, door="A", by=staff)

    results = run_together([lambda: undo(scan_id=first.scan.pk, by=staff)] * 4)

    assert len({found.scan.pk for found in results}) == 1
    assert Scan.objects.filter(result="undone").count() == 1


def test_only_an_admission_can_be_undone(event, item, staff):
    admit(event=event, code=item.code, door="A", by=staff)
    refused = admit(event=event, code=item.code, door="A", by=staff)
    unknown = admit(event=event, code="nothing", door="A", by=staff)

    for found in (refused, unknown):
        with pytest.raises(NotAdmitted):
            undo(scan_id=found.scan.pk, by=staff)
    assert checked_in_at(item) is not None


# --- Records ----------------------------------------------------------------------------


def test_scans_cannot_be_changed_or_removed(event, item, staff):
    scan = admit(event=event, code=item.code, door="A", by=staff).scan

    for change in (lambda: Scan.objects.update(door="B"), scan.delete):
        with pytest.raises(IntegrityError) as refusal, transaction.atomic():
            change()
        assert refusal.value.__cause__.diag.constraint_name == "scan_append_only"


def test_counts_per_section_are_of_valid_tickets(event, staff):
    make_general_admission(event, 3, price="0.00", name="Standing")
    seated, standing = book(event, 3), book(event, 2)
    admit(event=event, code=seated[0].code, door="A", by=staff)
    admit(event=event, code=standing[1].code, door="A", by=staff)
    undone = admit(event=event, code=standing[0].code, door="A", by=staff)
    undo(scan_id=undone.scan.pk, by=staff)

    # The fourth seat is in the second booking.
    assert count_sections(event) == [SectionCount("Stalls", 4, 1), SectionCount("Standing", 1, 1)]
