"""The outbox for support staff: to look at, to send again, and to correct an address."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bookings.models import Booking
from bookings.outbox.models import Mail
from bookings.outbox.sending import send_mails
from bookings.payments import start_payment
from bookings.services import Buyer, hold_tickets
from tests.factories import make_seated_event, make_user, ticket_ids

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def mail() -> Mail:
    """The mail with a booked booking's ticket, waiting."""
    event = make_seated_event(seats=1, price="0.00", title="Bach & <Sons>")
    buyer = Buyer(email="adda@example.org")
    booking = hold_tickets(event=event, ticket_ids=ticket_ids(event), buyer=buyer).booking
    start_payment(booking_id=booking.pk)
    return Mail.objects.get(kind="booked")


def log_in(client: Client, *rights: str) -> None:
    clerk = make_user(is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(clerk)


def page(mail: Mail, name: str = "") -> str:
    return f"/admin/outbox/mail/{mail.pk}/{name or 'change'}/"


def run_action(client: Client, mail: Mail) -> HttpResponse:
    url = reverse("admin:outbox_mail_changelist")
    return client.post(url, {"action": "send_chosen_again", "_selected_action": [mail.pk]})


@pytest.mark.parametrize(
    ("wanted", "states"),
    [("state__exact=failed", ["failed"]), ("q=adda@", ["failed", "waiting"]), ("q=eve", [])],
)
def test_staff_find_mails_by_state_and_address(client, mail, wanted, states):
    log_in(client, "view_mail")
    Mail.objects.filter(pk=mail.pk).update(state="failed", error="550 no such user")

    shown = client.get(reverse("admin:outbox_mail_changelist") + f"?{wanted}").context["cl"].result_list

    assert sorted(row.state for row in shown) == states


def test_staff_see_a_mail_as_it_was_sent_but_for_the_secret(client, mail, mailoutbox):
    log_in(client, "view_mail")
    send_mails()
    secret = mailoutbox[0].body.partition("?token=")[2].partition("\n")[0]
    assert len(secret) > 40

    shown = client.get(page(mail)).content.decode()

    assert 'sandbox="" title="The mail as its reader sees it" srcdoc="&lt;!doctype html&gt;' in shown
    assert "Bach &amp;amp; &amp;lt;Sons&amp;gt;" in shown
    assert "Here is your ticket for Bach &amp; &lt;Sons&gt;.<br>" in shown
    assert "?token=…" in shown
    assert secret not in shown


def test_mail_that_waits_has_nothing_to_show_yet(client, mail):
    log_in(client, "view_mail")

    assert client.get(page(mail)).content.decode().count("Written when it is sent.") == 2


def test_staff_send_chosen_mails_again(client, mail, mailoutbox):
    log_in(client, "view_mail", "change_mail")
    send_mails()

    run_action(client, mail)

    assert send_mails() == 1
    assert [sent.to for sent in mailoutbox] == [["adda@example.org"]] * 2


def test_staff_are_asked_before_one_mail_is_sent_again(client, mail, mailoutbox):
    log_in(client, "view_mail", "change_mail")
    send_mails()

    assert "goes to adda@example.org." in client.get(page(mail, "again")).content.decode()
    assert Mail.objects.filter(kind="booked").count() == 1
    client.post(page(mail, "again"))

    assert send_mails() == 1
    assert len(mailoutbox) == 2


def test_staff_correct_the_address_and_send_again(client, mail, mailoutbox):
    log_in(client, "view_mail", "change_mail", "change_booking")
    Mail.objects.filter(pk=mail.pk).update(state="failed", error="550 no such user")

    assert client.post(page(mail, "address"), {"email": "nonsense"}).status_code == 400
    client.post(page(mail, "address"), {"email": "ada@example.org"})

    assert Booking.objects.get().email == "ada@example.org"
    assert send_mails() == 1
    assert [sent.to for sent in mailoutbox] == [["ada@example.org"]]


def test_address_of_a_refunded_booking_stays(client, mail):
    log_in(client, "view_mail", "change_mail", "change_booking")
    Booking.objects.update(status="refunded")

    answer = client.post(page(mail, "address"), {"email": "ada@example.org"})

    assert answer.status_code == 400
    assert "This booking was refunded." in answer.content.decode()
    assert Booking.objects.get().email == "adda@example.org"


@pytest.mark.parametrize(
    ("rights", "name"),
    [
        (["view_mail"], "again"),
        (["view_mail", "change_mail"], "address"),
        (["view_mail", "change_booking"], "address"),
    ],
)
def test_who_may_only_look_sends_nothing(client, mail, rights: list[str], name: str):
    log_in(client, *rights)
    Mail.objects.filter(pk=mail.pk).update(state="failed")

    assert client.post(page(mail, name), {"email": "eve@example.org"}).status_code == 403
    if "change_mail" not in rights:
        run_action(client, mail)

    mail.refresh_from_db()
    assert (mail.state, mail.booking.email) == ("failed", "adda@example.org")


def test_nobody_makes_changes_or_deletes_a_mail_by_a_form(client, mail):
    log_in(client, "view_mail", "add_mail", "change_mail", "delete_mail")

    assert client.get("/admin/outbox/mail/add/").status_code == 403
    assert client.post(page(mail), {"state": "sent"}).status_code == 403
    assert client.post(page(mail, "delete"), {"post": "yes"}).status_code == 403

    mail.refresh_from_db()
    assert mail.state == "waiting"


@pytest.mark.parametrize("mails", [1, 3])
def test_page_of_a_mail_has_a_fixed_number_of_queries(
    client, mail, mails: int, django_assert_num_queries: Any
):
    log_in(client, "view_mail")
    for number in range(mails - 1):
        Mail.objects.create(booking=mail.booking, kind="refunded", key=f"{number}", created_at=timezone.now())

    with django_assert_num_queries(7):
        assert client.get(page(mail)).status_code == 200
