"""Every rule that lives in the database refuses, by its name, the row that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now

from bookings.door.models import Scan
from bookings.models import (
    Booking,
    BookingItem,
    EventCancellation,
    IdempotencyKey,
    Payment,
    PaymentEntry,
    PaymentNotice,
    Refund,
)
from bookings.outbox.models import Mail
from bookings.services import Buyer, hold_tickets
from events.models import Event, PriceTier, PublishJob, Seat, Ticket, Venue
from tests.factories import make_general_admission, make_seated_event, make_user, ticket_ids

pytestmark = pytest.mark.django_db

# Rules written in SQL, as Django's models cannot say them.
SQL_CONSTRAINTS = {
    "ticket_tier_of_same_event",
    "ticket_booking_exists",
    "scan_append_only",
    "entry_append_only",
}
OUR_APPS = ("events", "search", "bookings", "door", "outbox")


def set_on(model: Any, **fields: Any) -> Callable[[Booking], Any]:
    """Break a rule by changing the rows there are."""
    return lambda _booking: model.objects.all().update(**fields)


def copy_of(model: Any, **fields: Any) -> Callable[[Booking], Any]:
    """Break a rule by inserting a first row's copy with other fields."""

    def insert(booking: Booking) -> None:
        row = model.objects.first()
        row.pk = uuid4() if model in {Booking, Payment} else None
        for name, value in fields.items():
            setattr(row, name, value)
        row._state.adding = True
        row.save(force_insert=True)

    return insert


def pay(booking: Booking, **fields: Any) -> Payment:
    defaults = {"gateway": "sandbox", "amount": 1, "currency": "EUR"}
    return Payment.objects.create(booking=booking, **defaults | fields)


def promise(booking: Booking, **fields: Any) -> Refund:
    defaults = {"payment": pay(booking), "origin": "staff", "amount": 1, "currency": "EUR"}
    return Refund.objects.create(booking=booking, **defaults | fields)


def enter(booking: Booking, **fields: Any) -> PaymentEntry:
    payment = fields.pop("payment", None) or pay(booking)
    return PaymentEntry.objects.create(payment=payment, **{"amount": 0} | fields)


def two_payments(**fields: Any) -> Callable[[Booking], Any]:
    return lambda booking: [pay(booking, **fields), pay(booking, **fields)]


def twice(model: Any, **fields: Any) -> Callable[[Booking], Any]:
    return lambda _booking: [model.objects.create(**fields), model.objects.create(**fields)]


def scan(booking: Booking, **fields: Any) -> Scan:
    defaults = {"code": "c", "door": "d", "result": "already_used", "scanned_at": booking.created_at}
    return Scan.objects.create(
        **{"event": booking.event, "item": booking.items.get(), "scanned_by": make_user()} | defaults | fields
    )


BREAKERS: dict[str, Callable[[Booking], Any]] = {
    "venue_coordinates_valid": set_on(Venue, latitude=91, longitude=0),
    "seat_guid_unique_in_venue": copy_of(Seat, number="other", place=99),
    "seat_unique_in_venue": copy_of(Seat, guid="other", place=99),
    "seat_place_unique_in_row": copy_of(Seat, guid="other", number="other"),
    "event_ends_after_start": set_on(Event, ends_at=F("starts_at") - timedelta(seconds=1)),
    "event_doors_before_start": set_on(Event, doors_at=F("starts_at") + timedelta(seconds=1)),
    "event_sale_ends_after_start": set_on(Event, on_sale_at=F("starts_at"), off_sale_at=F("starts_at")),
    "event_ticket_limit_valid": set_on(Event, max_tickets_per_booking=0),
    "event_currency_valid": set_on(Event, currency="eur"),
    "event_refund_fee_not_negative": set_on(Event, refund_fee=-1),
    "event_status_valid": set_on(Event, status="other"),
    "price_tier_unique_in_event": copy_of(PriceTier),
    "price_tier_price_not_negative": set_on(PriceTier, price=-1),
    "price_tier_seated_or_quantity": set_on(PriceTier, is_seated=False),
    "ticket_position_unique": copy_of(
        Ticket, seat=None, status="available", booking_id=None, reserved_until=None
    ),
    "ticket_seat_sold_once": copy_of(
        Ticket, position=99, status="available", booking_id=None, reserved_until=None
    ),
    "ticket_booking_if_taken": set_on(Ticket, booking_id=None),
    "ticket_reserved_until_if_reserved": set_on(Ticket, reserved_until=None),
    "ticket_booking_exists": set_on(Ticket, booking_id=uuid4()),
    "ticket_tier_of_same_event": lambda booking: Ticket.objects.filter(event=booking.event).update(
        price_tier=make_general_admission(make_seated_event(), 1)
    ),
    "booking_total_not_negative": set_on(Booking, total=-1),
    "booking_booked_at_if_booked": set_on(Booking, status="booked"),
    "booking_extensions_at_most_ten": set_on(Booking, extensions_used=11),
    "item_ticket_once_in_booking": copy_of(BookingItem),
    "item_price_not_negative": set_on(BookingItem, price=-1),
    "payment_status_valid": lambda booking: pay(booking, status="other"),
    "payment_decision_valid": lambda booking: pay(booking, status="authorised", decision="other"),
    "payment_amount_not_negative": lambda booking: pay(booking, amount=-1),
    "payment_decided_once_authorised": lambda booking: pay(booking, status="authorised"),
    "payment_captured_at_most_amount": lambda booking: pay(booking, captured=2),
    "payment_refunded_at_most_captured": lambda booking: pay(booking, refunded=1),
    "payment_one_open_per_booking": two_payments(),
    "payment_one_success_per_booking": two_payments(status="captured", decision="capture"),
    "payment_reference_unique": two_payments(status="declined", gateway_reference="same"),
    "refund_amount_not_negative": lambda booking: promise(booking, amount=-1),
    "refund_fee_not_negative": lambda booking: promise(booking, fee=-1),
    "refund_done_at_if_done": lambda booking: promise(booking, status="done"),
    "refund_origin_valid": lambda booking: promise(booking, origin="other"),
    "entry_amount_not_negative": lambda booking: enter(booking, kind="voided", amount=-1),
    "entry_kind_valid": lambda booking: enter(booking, kind="other"),
    "entry_refund_if_refunded": lambda booking: enter(booking, kind="refunded"),
    "entry_once_per_payment": lambda booking: [
        enter(booking, kind="voided", payment=payment) for payment in [pay(booking)] * 2
    ],
    "entry_append_only": lambda booking: enter(booking, kind="voided").delete(),
    "cancellation_finished_at_if_done": lambda booking: EventCancellation.objects.create(
        event=booking.event, status="done", bookings_total=1
    ),
    "notice_applied_at_if_applied": lambda _booking: PaymentNotice.objects.create(
        gateway="g", provider_id="1", payload={}, status="applied"
    ),
    "notice_stored_once": twice(PaymentNotice, gateway="g", provider_id="1", reference="r", payload={}),
    # The hold's own mail, which waits.
    "mail_once_per_occasion": copy_of(Mail),
    "mail_kind_valid": set_on(Mail, kind="other"),
    "mail_state_valid": set_on(Mail, state="other"),
    "mail_sent_to_someone_if_sent": set_on(Mail, state="sent", sent_at=Now()),
    "publish_job_one_open_per_event": lambda booking: twice(PublishJob, event=booking.event)(booking),
    "publish_job_status_valid": lambda booking: PublishJob.objects.create(
        event=booking.event, status="other"
    ),
    "idempotency_key_once_per_caller": twice(
        IdempotencyKey, caller="c", key="k", fingerprint="f", status_code=200
    ),
    "scan_result_valid": lambda booking: scan(booking, result="other"),
    "scan_item_if_known": lambda booking: scan(booking, result="refunded", item=None),
    "scan_let_in_if_admitted": lambda booking: scan(booking, result="admitted", let_in=False),
    "scan_undoes_if_undone": lambda booking: scan(booking, result="undone"),
    "scan_undone_once": lambda booking: [
        scan(booking, result="undone", undoes=first) for first in [scan(booking)] for _twice in range(2)
    ],
    "scan_append_only": lambda booking: scan(booking).delete(),
}


@pytest.fixture
def booking() -> Booking:
    event = make_seated_event(seats=1)
    return hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=Buyer(email="a@example.org")).booking


@pytest.mark.parametrize("name", BREAKERS)
def test_constraint_refuses_the_row_that_breaks_it(name, booking):
    with pytest.raises(IntegrityError) as refusal, transaction.atomic():
        BREAKERS[name](booking)

    assert refusal.value.__cause__.diag.constraint_name == name


def test_every_constraint_is_proved():
    declared = {
        constraint.name
        for app in OUR_APPS
        for model in apps.get_app_config(app).get_models()
        for constraint in model._meta.constraints
    }

    assert declared | SQL_CONSTRAINTS == set(BREAKERS)
