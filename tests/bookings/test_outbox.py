"""The outbox: each mail is sent once after its commit, and none is lost to a server that fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from bookings.access import access_link
from bookings.exceptions import BookingClosed
from bookings.models import Booking
from bookings.outbox import sending
from bookings.outbox.again import correct_address, send_again
from bookings.outbox.models import Mail
from bookings.outbox.reminders import queue_reminders
from bookings.outbox.services import queue_mail, queue_mails
from bookings.payments import start_payment
from bookings.services import Buyer, change_details, hold_tickets, release_hold, sweep_expired_holds
from events.models import Event
from events.templatetags.box_office import day
from tests.bookings.mail_server import MailServer, mail_server
from tests.factories import make_event, make_general_admission, make_seated_event, ticket_ids
from tests.utils import let_hold_lapse, run_together

pytestmark = pytest.mark.django_db(transaction=True)

Kind = Mail.Kind


def make_hold(email: str = "ada@example.org", *, event: Event | None = None, **fields: Any) -> Booking:
    """A hold of one ticket, without the mail about it."""
    event = event or make_seated_event(seats=4, price="0.00", title="Bach & Sons")
    free = list(event.tickets.available().order_by("position").values_list("pk", flat=True))
    booking = hold_tickets(event=event, ticket_ids=free[:1], buyer=Buyer(email=email)).booking
    Mail.objects.filter(booking=booking).delete()
    if fields:
        Booking.objects.filter(pk=booking.pk).update(**fields)
        booking.refresh_from_db()
    return booking


def make_booked(email: str = "ada@example.org", **fields: Any) -> Booking:
    """A booked booking of an event that costs nothing, with its mail waiting."""
    booking = make_hold(email, **fields)
    start_payment(booking_id=booking.pk)
    booking.refresh_from_db()
    return booking


def the_mail(**wanted: Any) -> Mail:
    return Mail.objects.get(**wanted)


def let_time_pass(mail: Mail) -> None:
    """Make a mail due that was put off."""
    Mail.objects.filter(pk=mail.pk).update(next_attempt_at=timezone.now())


def wait_until(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def server(settings) -> Iterator[MailServer]:
    with mail_server() as running:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", running.port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
        settings.EMAIL_TIMEOUT = 1
        yield running


# --- Queueing ---------------------------------------------------------------------------


def test_mail_is_queued_once_for_each_occasion():
    booking = make_hold()

    queue_mail(Kind.REFUNDED, booking, key="1")
    queue_mail(Kind.REFUNDED, booking, key="1")
    queue_mail(Kind.REFUNDED, booking, key="2", facts={"amount": Decimal("2.50")})

    assert sorted(Mail.objects.values_list("key", "state", "facts")) == [
        (f"refunded:{booking.pk}:1", "waiting", {}),
        (f"refunded:{booking.pk}:2", "waiting", {"amount": "2.50"}),
    ]


def test_mail_is_not_queued_where_the_transaction_rolls_back(server):
    booking = make_hold()

    with transaction.atomic():
        queue_mail(Kind.BOOKED, booking)
        queue_mails(Kind.EXPIRED, Booking.objects.all(), key="")
        transaction.set_rollback(True)

    assert sending.send_mails() == 0
    assert Mail.objects.count() == 0
    assert server.taken == []


def test_booking_without_an_address_is_mailed_nothing():
    booking = make_hold("")

    queue_mail(Kind.BOOKED, booking)

    assert queue_mails(Kind.REMINDER, Booking.objects.all(), key="") == 0
    assert Mail.objects.count() == 0


@pytest.mark.parametrize("buyers", [1, 3])
def test_many_buyers_are_queued_in_one_statement(buyers, django_assert_num_queries):
    event = make_event()
    make_general_admission(event, 5)
    bookings = [make_hold(f"buyer{number}@example.org", event=event) for number in range(buyers)]
    make_hold("", event=event)
    queue_mail(Kind.EVENT_CHANGED, bookings[0], key="earlier")

    with django_assert_num_queries(1):
        queued = queue_mails(
            Kind.EVENT_CHANGED, event.bookings.all(), key="later", facts={"old_venue": "“Zoo”"}
        )
    assert queue_mails(Kind.EVENT_CHANGED, event.bookings.all(), key="later") == 0

    assert queued == buyers
    later = Mail.objects.filter(key__endswith=":later")
    assert set(later.values_list("booking_id", flat=True)) == {booking.pk for booking in bookings}
    assert [mail.key for mail in later] == [f"event_changed:{mail.booking_id}:later" for mail in later]
    assert {(mail.state, mail.is_bulk, mail.facts["old_venue"]) for mail in later} == {
        ("waiting", True, "“Zoo”")
    }


# --- Sending ----------------------------------------------------------------------------


def test_mail_is_sent_once_and_kept_as_it_was_sent(server, settings):
    booking = make_booked()

    assert sending.send_mails() == 1
    assert sending.send_mails() == 0

    [(recipient, message)] = server.taken
    mail = the_mail()
    assert recipient == "ada@example.org"
    assert message["To"] == "ada@example.org"
    assert message["Subject"] == f"Your tickets for Bach & Sons ({booking.reference})"
    assert message["Message-ID"] == mail.message_id == f"<{mail.pk}@127.0.0.1>"
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    link = f"{settings.SITE_URL}/bookings/{booking.pk}/?token="
    assert link in text.get_content()
    assert link in html.get_content()
    assert (mail.state, mail.to, mail.error) == ("sent", "ada@example.org", "")
    assert (mail.subject, mail.claimed_until) == (message["Subject"], None)
    secret = text.get_content().partition("?token=")[2].partition("\n")[0].strip()
    assert len(secret) > 40
    assert mail.text == text.get_content().replace("\r\n", "\n").replace(secret, "…")
    assert mail.html == html.get_content().replace("\r\n", "\n").replace(secret, "…")
    assert [part.get_filename() for part in message.iter_attachments()] == [
        f"{booking.reference}.pdf",
        f"{booking.reference}.ics",
    ]


def test_two_workers_at_once_send_each_mail_once(server):
    event = make_event()
    make_general_admission(event, 6, price="0.00")
    for number in range(6):
        make_booked(f"buyer{number}@example.org", event=event)

    assert sum(run_together([sending.send_mails] * 2)) == 6

    assert sorted(recipient for recipient, _message in server.taken) == [
        f"buyer{number}@example.org" for number in range(6)
    ]
    assert set(Mail.objects.values_list("state", "attempts")) == {("sent", 1)}


def test_mail_that_one_worker_is_sending_is_left_alone_by_another(server):
    make_booked()
    server.may_answer.clear()
    first = threading.Thread(target=run_together, args=[[sending.send_mails]])
    first.start()
    assert server.has_content.wait(timeout=10)

    assert sending.send_mails() == 0

    server.may_answer.set()
    first.join()
    assert len(server.taken) == 1
    assert the_mail().state == "sent"


def test_refused_recipient_fails_and_stops_no_other_mail(server):
    make_booked("nobody@example.org")
    make_booked("ada@example.org")
    server.recipients["nobody@example.org"] = "550 5.1.1 no such user"

    assert sending.send_mails() == 1

    failed = the_mail(state="failed")
    assert (failed.booking.email, failed.error, failed.sent_at) == (
        "nobody@example.org",
        "550 5.1.1 no such user",
        None,
    )
    assert [recipient for recipient, _message in server.taken] == ["ada@example.org"]
    assert sending.send_mails() == 0


def test_refused_content_fails(server):
    make_booked()
    server.content = "554 looks like spam"

    assert sending.send_mails() == 0

    assert (the_mail().state, the_mail().error) == ("failed", "554 looks like spam")


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        ({"recipients": {"ada@example.org": "451 try again later"}}, "451 try again later"),
        ({"content": "452 no space left"}, "452 no space left"),
        ({"senders": "550 relaying denied"}, "relaying denied"),
    ],
)
def test_mail_is_tried_again_where_the_server_may_change_its_mind(server, refusal, error):
    make_booked()
    usual = {name: getattr(server, name) for name in refusal}
    vars(server).update(refusal)

    assert sending.send_mails() == 0
    mail = the_mail()
    assert (mail.state, mail.attempts, mail.claimed_until) == ("waiting", 1, None)
    assert error in mail.error
    assert timedelta(seconds=15) < mail.next_attempt_at - timezone.now() < timedelta(seconds=40)
    vars(server).update(usual)
    assert sending.send_mails() == 0

    let_time_pass(mail)
    assert sending.send_mails() == 1
    assert the_mail().error == ""


def test_server_that_is_away_is_asked_once_a_turn_and_loses_nothing(server, settings):
    event = make_event()
    make_general_admission(event, 5, price="0.00")
    for number in range(5):
        make_booked(f"buyer{number}@example.org", event=event)
    settings.EMAIL_PORT = 1

    assert sending.send_mails() == 0
    assert sorted(Mail.objects.values_list("state", "attempts")) == [("waiting", 0)] * 4 + [("waiting", 1)]

    settings.EMAIL_PORT = server.port
    Mail.objects.update(next_attempt_at=timezone.now())
    assert sending.send_mails() == 5
    assert len(server.taken) == 5


def test_server_that_fails_each_mail_is_left_in_peace_after_three(server):
    event = make_event()
    make_general_admission(event, 5, price="0.00")
    for number in range(5):
        make_booked(f"buyer{number}@example.org", event=event)
    server.content = "421 too many mails"

    assert sending.send_mails() == 0

    assert sorted(Mail.objects.values_list("attempts", flat=True)) == [0, 0, 1, 1, 1]


def test_server_that_hangs_costs_a_timeout_and_no_mail(server):
    make_booked()
    server.is_hanging = True

    assert sending.send_mails() == 0
    assert the_mail().state == "waiting"
    assert "timed out" in the_mail().error

    server.is_hanging = False
    let_time_pass(the_mail())
    assert sending.send_mails() == 1


def test_server_that_stays_away_for_two_days_leaves_the_mail_to_a_person(server, settings):
    make_booked()
    settings.EMAIL_PORT = 1
    Mail.objects.update(attempts=sending.MOST_ATTEMPTS - 1)

    sending.send_mails()

    mail = the_mail()
    assert mail.state == "failed"
    assert mail.error.startswith("Given up: [Errno 111]")


def test_pauses_add_up_to_about_two_days():
    pauses = [
        min(sending.FIRST_PAUSE_SECONDS * 2**number, sending.LONGEST_PAUSE_SECONDS)
        for number in range(sending.MOST_ATTEMPTS - 1)
    ]

    assert timedelta(hours=44) < timedelta(seconds=sum(pauses)) < timedelta(hours=52)


def test_mail_of_a_worker_that_died_is_sent_when_its_claim_ends(server):
    make_booked()
    Mail.objects.update(claimed_until=timezone.now() + timedelta(minutes=10), attempts=1)
    assert sending.send_mails() == 0

    Mail.objects.update(claimed_until=timezone.now())

    assert sending.send_mails() == 1


def test_mail_that_cannot_be_written_is_put_off_and_stops_no_other(server, caplog):
    make_booked("ada@example.org")
    broken = the_mail()
    Mail.objects.update(facts={"refund": "none"}, kind="refunded")
    make_booked("eve@example.org")

    assert sending.send_mails() == 1

    broken.refresh_from_db()
    assert (broken.state, broken.attempts) == ("waiting", 1)
    assert broken.error.startswith("ValidationError: ")
    assert "could not be written" in caplog.text


def test_mails_of_many_wait_behind_what_one_buyer_did(server):
    booking = make_booked()
    Mail.objects.update(created_at=timezone.now())
    queue_mails(Kind.EVENT_CHANGED, Booking.objects.all(), key="1")
    Mail.objects.filter(is_bulk=True).update(next_attempt_at=timezone.now() - timedelta(hours=1))

    sending.send_mails()

    assert [message["Subject"] for _recipient, message in server.taken] == [
        f"Your tickets for Bach & Sons ({booking.reference})",
        f"Changed: Bach & Sons ({booking.reference})",
    ]


def test_nothing_that_people_type_becomes_a_header(server):
    booking = make_booked(name="Ada\r\nBcc: victim@example.org")
    Event.objects.update(title="Bach\r\nBcc: victim@example.org")

    assert sending.send_mails() == 1

    [(_recipient, message)] = server.taken
    assert message["Bcc"] is None
    assert message["Subject"] == f"Your tickets for Bach Bcc: victim@example.org ({booking.reference})"


def test_every_script_survives(server):
    booking = make_booked(name="花子 🎻")
    Event.objects.update(title="أم كلثوم 東京 🎶")

    sending.send_mails()

    [(_recipient, message)] = server.taken
    assert message["Subject"].strip() == f"Your tickets for أم كلثوم 東京 🎶 ({booking.reference})"
    for body in (message.get_body(("plain",)), message.get_body(("html",))):
        assert "Hello 花子 🎻," in body.get_content()
        assert "أم كلثوم 東京 🎶" in body.get_content()


def test_markup_in_a_title_is_text_in_the_html(server):
    make_booked(name="<b>Ada</b>")
    Event.objects.update(title="<script>alert(1)</script>")

    sending.send_mails()

    [(_recipient, message)] = server.taken
    html = message.get_body(("html",)).get_content()
    assert "<script" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>alert(1)</script>" in message.get_body(("plain",)).get_content()


# --- Moments ----------------------------------------------------------------------------


def test_hold_with_an_address_is_mailed_a_way_back_after_a_minute(server):
    event = make_seated_event()
    booking = hold_tickets(
        event=event, ticket_ids=ticket_ids(event)[:2], buyer=Buyer(email="ada@example.org")
    ).booking
    assert sending.send_mails() == 0
    mail = the_mail(kind="reserved")
    assert timedelta(seconds=50) < mail.next_attempt_at - timezone.now() <= timedelta(seconds=60)

    let_time_pass(mail)

    assert sending.send_mails() == 1
    [(_recipient, message)] = server.taken
    assert message["Subject"] == f"Your tickets for {event.title} are waiting ({booking.reference})"
    assert "That is 9 more minutes." in message.get_body(("plain",)).get_content()


def test_hold_is_mailed_a_way_back_when_its_address_is_known_or_changes(server):
    booking = make_hold("")

    change_details(booking_id=booking.pk, name="Ada")
    assert Mail.objects.count() == 0
    change_details(booking_id=booking.pk, email="Ada@example.org")
    change_details(booking_id=booking.pk, email="ada@example.org")
    change_details(booking_id=booking.pk, email="eve@example.org")
    Mail.objects.update(next_attempt_at=timezone.now())

    assert sending.send_mails() == 1
    assert [recipient for recipient, _message in server.taken] == ["eve@example.org"]
    assert the_mail(state="dropped").error == "The address has been changed since."


@pytest.mark.parametrize("ending", ["booked", "released", "expired", "lapsed"])
def test_way_back_is_dropped_where_there_is_no_hold_any_more(server, ending):
    booking = make_hold()
    queue_mail(Kind.RESERVED, booking, key=booking.email)
    if ending == "booked":
        start_payment(booking_id=booking.pk)
        Mail.objects.filter(kind="booked").delete()
    elif ending == "released":
        release_hold(booking_id=booking.pk)
    else:
        let_hold_lapse(booking)
    if ending == "expired":
        sweep_expired_holds()
        Mail.objects.filter(kind="expired").delete()

    assert sending.send_mails() == 0

    mail = the_mail()
    assert mail.state == "dropped"
    assert mail.error == (
        "The hold has run out."
        if ending == "lapsed"
        else f"The booking is not reserved any more: it is {ending}."
    )
    assert server.taken == []


def test_hold_that_ran_out_is_mailed_once(server):
    booking = make_hold()
    nameless = make_hold("")
    let_hold_lapse(booking)
    let_hold_lapse(nameless)

    assert sweep_expired_holds() == 2
    assert sweep_expired_holds() == 0

    assert sending.send_mails() == 1
    [(recipient, message)] = server.taken
    assert recipient == "ada@example.org"
    assert message["Subject"] == f"Your reservation for Bach & Sons has ended ({booking.reference})"


def test_hold_that_was_given_back_is_not_mailed():
    booking = make_hold()

    release_hold(booking_id=booking.pk)

    assert Mail.objects.count() == 0


def test_end_of_a_hold_is_dropped_where_the_buyer_has_other_tickets(server):
    booking = make_hold()
    let_hold_lapse(booking)
    sweep_expired_holds()
    make_booked(event=booking.event)

    sending.send_mails()

    assert the_mail(kind="expired").error == "The buyer has other tickets for this event."


@pytest.mark.parametrize("status", ["refunded", "cancelled"])
def test_tickets_are_not_mailed_once_the_booking_has_ended(server, status):
    booking = make_booked()
    Booking.objects.filter(pk=booking.pk).update(status=status)

    assert sending.send_mails() == 0

    assert the_mail().error == f"The booking is not booked any more: it is {status}."
    assert server.taken == []


def test_tickets_are_not_mailed_once_the_event_is_over(server):
    make_booked()
    Event.objects.update(starts_at=timezone.now() - timedelta(days=2), ends_at=timezone.now())

    assert sending.send_mails() == 0

    assert the_mail().error == "The event is over."


def test_worker_s_tasks_are_on_the_timetable(settings):
    assert {"outbox.send_mails", "outbox.queue_reminders"} <= settings.CELERY_BEAT_SCHEDULE.keys()


# --- Again ------------------------------------------------------------------------------


def test_sent_mail_is_sent_again_once_however_often_it_is_asked_for(server):
    booking = make_booked()
    sending.send_mails()
    first = the_mail()

    run_together([partial(send_again, first.pk) for _click in range(4)])

    assert sending.send_mails() == 1
    assert [message["Subject"] for _recipient, message in server.taken] == [
        f"Your tickets for Bach & Sons ({booking.reference})"
    ] * 2
    second = Mail.objects.exclude(pk=first.pk).get()
    assert (second.key, second.state) == (f"booked:{booking.pk}: #2", "sent")
    assert second.message_id != first.message_id
    send_again(second.pk)
    assert sending.send_mails() == 1
    assert the_mail(key=f"booked:{booking.pk}: #3").state == "sent"


def test_failed_mail_is_tried_again_itself(server):
    make_booked()
    server.recipients["ada@example.org"] = "550 no such user"
    sending.send_mails()
    server.recipients.clear()

    send_again(the_mail().pk)

    assert sending.send_mails() == 1
    assert (the_mail().state, the_mail().attempts, the_mail().error) == ("sent", 1, "")


def test_mail_that_is_just_being_sent_is_not_sent_again_by_asking(server):
    make_booked()
    server.may_answer.clear()
    worker = threading.Thread(target=run_together, args=[[sending.send_mails]])
    worker.start()
    assert server.has_content.wait(timeout=10)

    send_again(the_mail().pk)
    assert sending.send_mails() == 0

    server.may_answer.set()
    worker.join()
    assert len(server.taken) == 1


def test_corrected_address_has_the_mail_and_the_old_link_opens_nothing(server, client):
    booking = make_booked("adda@example.org")
    old_link = access_link(booking)
    sending.send_mails()

    correct_address(booking_id=booking.pk, email=" Ada@Example.org ")
    send_again(the_mail().pk)
    assert sending.send_mails() == 1

    assert [recipient for recipient, _message in server.taken] == ["adda@example.org", "ada@example.org"]
    booking.refresh_from_db()
    assert booking.email == "ada@example.org"
    assert client.get(old_link, follow=True).status_code == 404
    assert client.get(access_link(booking), follow=True).status_code == 200


def test_address_of_a_booking_that_is_not_booked_cannot_be_corrected():
    booking = make_hold()

    with pytest.raises(BookingClosed):
        correct_address(booking_id=booking.pk, email="eve@example.org")

    booking.refresh_from_db()
    assert booking.email == "ada@example.org"


# --- Reminders --------------------------------------------------------------------------


def make_visit(*, starts_in: timedelta, booked_before_start: timedelta, **fields: Any) -> Booking:
    """A booked booking of an event that starts so soon, booked so long before."""
    booking = make_booked()
    starts_at = timezone.now() + starts_in
    Event.objects.filter(pk=booking.event_id).update(
        starts_at=starts_at, ends_at=starts_at + timedelta(hours=2), **fields
    )
    Booking.objects.filter(pk=booking.pk).update(booked_at=starts_at - booked_before_start)
    Mail.objects.all().delete()
    booking.refresh_from_db()
    booking.event.refresh_from_db()
    return booking


LONG_BEFORE = timedelta(days=20)


def test_buyer_is_reminded_once_two_days_before(server):
    booking = make_visit(starts_in=timedelta(hours=47), booked_before_start=LONG_BEFORE)

    assert queue_reminders() == 1
    assert queue_reminders() == 0

    assert sending.send_mails() == 1
    [(_recipient, message)] = server.taken
    starts_at, venue = booking.event.starts_at, booking.event.venue
    assert message["Subject"] == f"{day(starts_at, venue)}: Bach & Sons ({booking.reference})"
    assert [part.get_filename() for part in message.iter_attachments()] == [f"{booking.reference}.pdf"]


@pytest.mark.parametrize(
    ("starts_in", "booked_before_start", "fields"),
    [
        (timedelta(hours=49), LONG_BEFORE, {}),
        (timedelta(hours=11), LONG_BEFORE, {}),
        (timedelta(hours=47), timedelta(days=2, hours=23), {}),
        (timedelta(hours=47), LONG_BEFORE, {"status": "postponed"}),
        (timedelta(hours=47), LONG_BEFORE, {"status": "cancelled"}),
    ],
)
def test_nobody_is_reminded_too_early_too_late_or_of_nothing(starts_in, booked_before_start, fields):
    make_visit(starts_in=starts_in, booked_before_start=booked_before_start, **fields)

    assert queue_reminders() == 0


def test_moved_event_drops_the_old_reminder_and_reminds_of_the_new_date(server):
    booking = make_visit(starts_in=timedelta(hours=40), booked_before_start=LONG_BEFORE)
    queue_reminders()
    later = booking.event.starts_at + timedelta(hours=5)
    Event.objects.update(starts_at=later, ends_at=later + timedelta(hours=2))

    assert queue_reminders() == 1
    assert sending.send_mails() == 1

    assert sorted(Mail.objects.values_list("state", "error")) == [
        ("dropped", "The event was moved or called off."),
        ("sent", ""),
    ]


def test_refunded_buyer_is_not_reminded(server):
    make_visit(starts_in=timedelta(hours=40), booked_before_start=LONG_BEFORE)
    queue_reminders()
    Booking.objects.update(status="refunded")

    assert sending.send_mails() == 0
    assert queue_reminders() == 0

    assert the_mail().state == "dropped"


@pytest.mark.parametrize("events", [1, 3])
def test_reminding_takes_one_statement_for_each_event(events, django_assert_num_queries):
    for _number in range(events):
        make_visit(starts_in=timedelta(hours=40), booked_before_start=LONG_BEFORE)

    with django_assert_num_queries(1 + events):
        assert queue_reminders() == events


# --- The buyer's page -------------------------------------------------------------------


@pytest.fixture
def shown(client) -> Callable[[Booking], str]:
    """The booking's page as its buyer sees it."""

    def show(booking: Booking) -> str:
        client.get(access_link(booking))
        return " ".join(client.get(booking.get_absolute_url()).content.decode().split())

    return show


def test_booking_s_page_says_what_became_of_the_mail(server, shown):
    booking = make_booked()
    assert "A mail with your tickets is on its way to ada@example.org." in shown(booking)
    # While it is just being sent it has not failed yet.
    Mail.objects.update(attempts=1)
    assert "A mail with your tickets is on its way to ada@example.org." in shown(booking)
    Mail.objects.update(attempts=0)

    server.content = "451 later"
    sending.send_mails()
    assert "The mail with your tickets has not got through to ada@example.org yet." in shown(booking)

    server.content = "250 OK"
    let_time_pass(the_mail())
    sending.send_mails()
    assert "We sent your tickets to ada@example.org on " in shown(booking)


def test_buyer_has_the_tickets_sent_again(server, client, shown):
    booking = make_booked()
    sending.send_mails()
    shown(booking)

    response = client.post(reverse("outbox:again", args=[booking.pk]), {"email": "eve@example.org"})

    assert response["Location"] == booking.get_absolute_url()
    assert sending.send_mails() == 1
    # Only a mail that was refused lets its address be changed.
    assert [recipient for recipient, _message in server.taken] == ["ada@example.org"] * 2


def test_buyer_corrects_the_address_where_the_mail_was_refused(server, client, shown):
    booking = make_booked("adda@example.org")
    server.recipients["adda@example.org"] = "550 no such user"
    sending.send_mails()
    assert "The mail with your tickets did not reach adda@example.org." in shown(booking)

    client.post(reverse("outbox:again", args=[booking.pk]), {"email": "ada@example.org"})

    assert sending.send_mails() == 1
    assert "We sent your tickets to ada@example.org on " in shown(booking)


def test_buyer_cannot_have_mails_sent_without_end(server, client, shown):
    booking = make_booked()
    shown(booking)

    for _click in range(6):
        client.post(reverse("outbox:again", args=[booking.pk]))
        sending.send_mails()

    assert len(server.taken) == 3


def test_stranger_cannot_have_a_mail_sent(server, client):
    booking = make_booked()
    sending.send_mails()

    assert client.post(reverse("outbox:again", args=[booking.pk])).status_code == 404

    assert Mail.objects.count() == 1


def test_tickets_of_a_booking_that_is_over_are_not_sent_again(client, shown):
    booking = make_booked()
    shown(booking)
    Booking.objects.update(status="refunded")

    page = client.post(reverse("outbox:again", args=[booking.pk]), follow=True)

    assert "This booking was refunded." in page.content.decode()
    assert Mail.objects.count() == 1
