"""Every list of the admin takes as many queries for three rows as for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from bookings.door.models import Scan
from bookings.door.services import admit
from bookings.keys import make_key
from bookings.models import ApiKey, Payment, PaymentEntry, PaymentNotice, Refund
from bookings.outbox.models import Mail
from bookings.services import Buyer, hold_tickets
from events.models import PublishJob, Seat
from tests.factories import make_event, make_seated_event, make_staff, make_user, make_venue, ticket_ids

pytestmark = pytest.mark.django_db


def make_payment() -> Payment:
    event = make_seated_event()
    booking = hold_tickets(event=event, ticket_ids=ticket_ids(event)[:1], buyer=Buyer(account=None)).booking
    return Payment.objects.create(booking=booking, gateway="sandbox", amount=booking.total, currency="EUR")


def make_notice() -> PaymentNotice:
    number = PaymentNotice.objects.count()
    return PaymentNotice.objects.create(gateway="sandbox", provider_id=f"notice-{number}", payload={})


def make_refund() -> Refund:
    payment = make_payment()
    return Refund.objects.create(
        booking=payment.booking, payment=payment, origin="staff", amount=payment.amount, currency="EUR"
    )


def make_entry() -> PaymentEntry:
    payment = make_payment()
    return PaymentEntry.objects.create(payment=payment, kind="declined", amount=payment.amount)


def make_mail() -> Mail:
    return Mail.objects.create(booking=make_payment().booking, kind="booked", key=str(Mail.objects.count()))


def make_api_key() -> ApiKey:
    return make_key(account=make_user(), name="Till")[0]


def make_seat() -> Seat:
    return Seat.objects.create(
        venue=make_venue(), guid="a-1", section="Stalls", row="A", number="1", row_index=0, place=0, x=0, y=0
    )


def make_publication() -> PublishJob:
    return PublishJob.objects.create(event=make_event())


def make_scan() -> Scan:
    return admit(event=make_event(), code="nothing", door="North", by=make_user()).scan


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize(
    ("make", "queries"),
    [
        (make_payment, 6),
        (make_notice, 6),
        (make_api_key, 6),
        (make_user, 6),
        (make_seat, 5),
        (make_venue, 7),
        (make_publication, 6),
        (make_scan, 5),
        (make_refund, 5),
        (make_entry, 6),
    ],
)
def test_admin_list_has_a_fixed_number_of_queries(
    client: Client,
    make: Callable[[], Model],
    queries: int,
    rows: int,
    django_assert_num_queries: Any,
) -> None:
    client.force_login(make_staff())
    made = [make() for _number in range(rows)]
    options = made[0]._meta

    with django_assert_num_queries(queries):
        page = client.get(reverse(f"admin:{options.app_label}_{options.model_name}_changelist"))

    assert {row.pk for row in made} <= {row.pk for row in page.context["cl"].result_list}
