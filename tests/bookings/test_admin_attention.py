"""What needs a person: found, tried again, dealt with."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bookings.attention import count_cases
from bookings.gateways import GatewayRefused
from bookings.models import Payment, PaymentEntry, PaymentNotice, Refund
from bookings.payments import settle_payment, start_payment
from bookings.refunds import carry_out_refund, request_refund
from bookings.sandbox.gateway import SandboxGateway
from bookings.sandbox.models import SandboxIntent
from bookings.services import Buyer, hold_tickets
from tests.bookings.buying import buy
from tests.factories import make_seated_event, make_staff, make_user, ticket_ids
from tests.utils import assert_audit_is_clean

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(make_staff())
    return client


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The gateway refuses every refund, until it is undone."""

    def refund(self: Any, *args: Any, **kwargs: Any) -> None:
        raise GatewayRefused("the account has too little money")

    monkeypatch.setattr(SandboxGateway, "refund", refund)
    return monkeypatch


def url() -> str:
    return reverse("admin:bookings_needs_a_person")


def refused_refund() -> Refund:
    """A refund that the gateway has refused; needs `refusing`."""
    booking = buy(make_seated_event(price="30.00"), 1)
    refund = request_refund(booking_id=booking.pk, origin=Refund.Origin.STAFF)
    return carry_out_refund(refund.pk)


def stuck_payment() -> Payment:
    """A payment at which the gateway took another amount."""
    event = make_seated_event(price="30.00")
    booking = hold_tickets(event=event, ticket_ids=ticket_ids(event)[:1], buyer=Buyer()).booking
    payment = start_payment(booking_id=booking.pk)
    SandboxIntent.objects.filter(idempotency_key=str(payment.pk)).update(
        status="captured", amount=Decimal("3.00")
    )
    return settle_payment(payment.pk)


def parked_notice(payment: Payment | None = None) -> PaymentNotice:
    number = PaymentNotice.objects.count()
    return PaymentNotice.objects.create(
        gateway="sandbox",
        provider_id=f"evt_{number}",
        kind="payment.captured",
        payment_key=str(payment.pk) if payment else "",
        reference="" if payment else "sbx_unknown",
        payload={"object": {"id": "sbx_unknown"}},
        status="parked",
        attempts=6,
        outcome="UnknownPayment: It names no payment of ours.",
    )


def act(staff: Client, kind: str, row: Any, action: str, note: str = "") -> list[str]:
    """What the page answers."""
    page = staff.post(url(), {"kind": kind, "pk": row.pk, "action": action, "note": note}, follow=True)
    return [str(message) for message in page.context["messages"]]


def page_of(response: Any) -> str:
    return " ".join(response.content.decode().split())


def test_all_is_well(staff: Client):
    buy(make_seated_event(), 1)

    assert "Nothing needs you." in page_of(staff.get(url()))


def test_each_case_says_why_and_how_much(staff: Client, refusing: pytest.MonkeyPatch):
    refund, payment, notice = refused_refund(), stuck_payment(), parked_notice()

    page = page_of(staff.get(url()))

    assert "Refund of €30.00" in page
    assert "The account has too little money" in page
    assert "Payment of €30.00" in page
    assert "3.00 EUR was taken instead of 30.00 EUR" in page
    assert "Notice from sandbox: payment.captured" in page
    assert "It names no payment of ours." in page
    for reference in (refund.booking.reference, payment.booking.reference):
        assert f"Booking {reference}" in page
    assert reverse("admin:bookings_paymentnotice_change", args=[notice.pk]) in page


def test_sidebar_counts_the_cases(staff: Client, refusing: pytest.MonkeyPatch):
    refused_refund()
    parked_notice()

    assert count_cases() == 2
    navigation = staff.get(reverse("admin:index")).context["sidebar_navigation"]
    badges = [item["badge"] for group in navigation for item in group["items"] if "badge" in item]
    assert badges == [2]


@pytest.mark.parametrize("rows", [1, 3])
def test_page_has_a_fixed_number_of_queries(
    staff: Client, rows: int, refusing: pytest.MonkeyPatch, django_assert_num_queries: Any
):
    for _number in range(rows):
        refused_refund(), stuck_payment(), parked_notice()

    with django_assert_num_queries(6):
        page = page_of(staff.get(url()))

    assert page.count("<article>") == 3 * rows


def test_refund_is_tried_again_once_the_gateway_can(staff: Client, refusing: pytest.MonkeyPatch):
    refund = refused_refund()
    assert act(staff, "refund", refund, "retry") == ["It did not help: the account has too little money"]

    refusing.undo()
    assert act(staff, "refund", refund, "retry") == ["It is off the list."]

    refund.refresh_from_db()
    assert (refund.status, refund.problem, count_cases()) == ("done", "", 0)
    assert_audit_is_clean()


def test_refund_that_was_paid_another_way_is_closed_in_the_books(staff: Client, refusing: pytest.MonkeyPatch):
    refund = refused_refund()

    assert act(staff, "refund", refund, "settle", "Bank transfer 4711") == [
        "It is off the list, and your note is in its history."
    ]

    refund.refresh_from_db()
    assert (refund.status, refund.problem) == ("done", "")
    entry = PaymentEntry.objects.get(kind="refunded")
    assert (entry.amount, entry.refund) == (Decimal("30.00"), refund)
    logged = LogEntry.objects.get()
    assert (logged.object_id, logged.change_message) == (str(refund.pk), "Dealt with: Bank transfer 4711")
    assert_audit_is_clean()


@pytest.mark.parametrize("kind", ["refund", "payment", "notice"])
def test_dealing_with_a_case_needs_a_note(staff: Client, kind: str, refusing: pytest.MonkeyPatch):
    made = {"refund": refused_refund, "payment": stuck_payment, "notice": parked_notice}[kind]()

    assert act(staff, kind, made, "settle", "  ") == ["Write down what you did, then mark it as dealt with."]
    assert (count_cases(), LogEntry.objects.count()) == (1, 0)


def test_payment_that_is_dealt_with_leaves_the_list(staff: Client):
    payment = stuck_payment()

    act(staff, "payment", payment, "settle", "The buyer had paid by hand")

    payment.refresh_from_db()
    assert (payment.problem, payment.status, count_cases()) == ("", "pending", 0)
    assert LogEntry.objects.get().change_message == "Dealt with: The buyer had paid by hand"


def test_payment_is_tried_again(staff: Client):
    payment = stuck_payment()
    SandboxIntent.objects.update(amount=Decimal("30.00"))

    assert act(staff, "payment", payment, "retry") == ["It is off the list."]

    payment.refresh_from_db()
    assert (payment.status, payment.booking.status) == ("captured", "booked")


def test_notice_is_tried_again_and_applied(staff: Client):
    notice = parked_notice(buy(make_seated_event(), 1).payments.get())

    assert act(staff, "notice", notice, "retry") == ["It is off the list."]

    notice.refresh_from_db()
    assert (notice.status, notice.outcome) == ("applied", "The payment is captured.")


def test_notice_that_is_none_of_ours_is_closed(staff: Client):
    notice = parked_notice()

    act(staff, "notice", notice, "settle", "Another shop's")

    notice.refresh_from_db()
    assert (notice.status, notice.outcome, notice.applied_at is None) == ("applied", "Another shop's", False)


def test_case_that_solved_itself_is_left_alone(staff: Client, refusing: pytest.MonkeyPatch):
    refund = refused_refund()
    refusing.undo()
    carry_out_refund(refund.pk)

    assert act(staff, "refund", refund, "settle", "Paid by hand") == [
        "Somebody or something has seen to it in the meantime."
    ]
    assert PaymentEntry.objects.filter(kind="refunded").count() == 1


@pytest.mark.parametrize(
    ("rights", "statuses"),
    [
        (["view_refund", "change_refund"], (403, 403)),
        (["view_payment"], (200, 403)),
        (["view_payment", "change_payment"], (200, 403)),
        (["view_payment", "change_refund"], (200, 302)),
    ],
)
def test_rights_decide_who_looks_and_who_acts(
    client: Client, rights: list[str], statuses: tuple[int, int], refusing: pytest.MonkeyPatch
):
    refund = refused_refund()
    clerk = make_user(is_staff=True)
    clerk.user_permissions.set(
        Permission.objects.filter(content_type__app_label="bookings", codename__in=rights)
    )
    client.force_login(clerk)

    looked = client.get(url())
    acted = client.post(url(), {"kind": "refund", "pk": refund.pk, "action": "settle", "note": "Paid"})

    assert (looked.status_code, acted.status_code) == statuses
    assert PaymentEntry.objects.filter(kind="refunded").count() == (1 if statuses[1] == 302 else 0)


def test_nonsense_is_not_found(staff: Client):
    assert staff.post(url(), {"kind": "booking", "pk": "1", "action": "retry"}).status_code == 404


# --- The inbox ------------------------------------------------------------------------


def test_inbox_shows_what_a_notice_says(staff: Client):
    notice = parked_notice()

    page = page_of(staff.get(reverse("admin:bookings_paymentnotice_change", args=[notice.pk])))

    assert "&quot;id&quot;: &quot;sbx_unknown&quot;" in page


def test_inbox_is_filtered_by_state(staff: Client):
    parked, waiting = parked_notice(), parked_notice()
    PaymentNotice.objects.filter(pk=waiting.pk).update(status="waiting")

    page = staff.get(reverse("admin:bookings_paymentnotice_changelist"), {"status__exact": "parked"})

    assert [row.pk for row in page.context["cl"].result_list] == [parked.pk]


def test_parked_notices_are_tried_again_from_the_inbox(staff: Client):
    ours, foreign = parked_notice(buy(make_seated_event(), 1).payments.get()), parked_notice()
    applied = parked_notice()
    PaymentNotice.objects.filter(pk=applied.pk).update(status="applied", applied_at=timezone.now())

    page = staff.post(
        reverse("admin:bookings_paymentnotice_changelist"),
        {"action": "retry", "_selected_action": [ours.pk, foreign.pk, applied.pk]},
        follow=True,
    )

    assert [str(message) for message in page.context["messages"]] == [
        f"{foreign.provider_id}: UnknownPayment: It names no payment of ours.",
        "Applied: 1.",
    ]
    assert PaymentNotice.objects.filter(status="applied").count() == 2
