"""A booking in the browser: choose, hold, say who, pay, find again."""

from __future__ import annotations

import re

import pytest
from allauth.account.models import EmailAddress
from django.test import Client

from bookings import access, services, views
from bookings.keys import make_key
from bookings.models import ApiKey, Booking, Payment, hash_secret
from bookings.outbox.sending import send_mails
from bookings.services import Buyer, hold_tickets
from events import locks
from events.models import Ticket
from tests.factories import make_general_admission, make_seated_event, make_user, ticket_ids
from tests.utils import assert_audit_is_clean, let_hold_lapse

pytestmark = pytest.mark.django_db(transaction=True)

DETAILS = {"name": "Ada Lovelace", "email": "ada@example.org"}


@pytest.fixture
def event():
    return make_seated_event(seats=6, price="10.00")


def hold(client: Client, event, *tickets: int):
    return client.post(f"/events/{event.slug}/hold/", {"tickets": tickets})


def held_booking(client: Client, event, count: int = 2) -> Booking:
    response = hold(client, event, *ticket_ids(event)[:count])
    assert response.status_code == 302
    return Booking.objects.get(pk=response["Location"].split("/")[2])


def pay(client: Client, booking: Booking, card: str = "4242424242424242"):
    """From the hold's page through the sandbox and back; returns the booking's page."""
    response = client.post(f"/bookings/{booking.pk}/pay/", DETAILS)
    assert response.status_code == 302, response.content
    response = client.post(response["Location"], {"card_number": card})
    return client.get(response["Location"], follow=True)


def test_hold_pay_and_tickets(client: Client, event):
    booking = held_booking(client, event)
    page = pay(client, booking)
    booking.refresh_from_db()
    assert (booking.status, booking.name, booking.email) == ("booked", "Ada Lovelace", "ada@example.org")
    assert page.templates[0].name == "bookings/booked.html"
    codes = re.findall(r'src="(/bookings/[^"]+\.svg)"', page.content.decode())
    assert [client.get(url)["Content-Type"] for url in codes] == ["image/svg+xml"] * 2
    assert client.get(f"/bookings/{booking.pk}/tickets.pdf").content.startswith(b"%PDF")
    assert client.get(f"/bookings/{booking.pk}/tickets.ics").content.startswith(b"BEGIN:VCALENDAR")
    assert_audit_is_clean()


def test_sign_in_hold_and_pay_without_the_cache(client: Client, event, cache_away: None):
    account = make_user(email=DETAILS["email"])
    EmailAddress.objects.create(user=account, email=account.email, verified=True, primary=True)
    form = {"login": account.email, "password": "correct horse battery"}
    assert client.post("/accounts/login/", form).status_code == 302
    booking = held_booking(client, event)
    pay(client, booking)
    booking.refresh_from_db()
    assert (booking.status, booking.account) == ("booked", account)
    assert client.get("/bookings/").context["page"].object_list[0] == booking
    assert_audit_is_clean()


def test_hold_by_number_takes_neighbours(client: Client, event):
    tier = event.price_tiers.get()
    response = client.post(f"/events/{event.slug}/hold/", {"price_tier": tier.pk, "quantity": 3})
    assert response.status_code == 302
    assert Booking.objects.get().items.count() == 3


def test_hold_lost_seat_keeps_the_others_and_names_it(client: Client, event):
    first, second, third = ticket_ids(event)[:3]
    hold_tickets(event=event, ticket_ids=[second], buyer=Buyer(email="quick@example.org"))
    response = hold(client, event, first, second, third)
    page = response.content.decode()
    assert response.status_code == 409
    assert "Someone was quicker" in page
    assert [ticket.pk for ticket in response.context["lost"]] == [second]
    ticked = re.findall(r'name="tickets" value="(\d+)" data-price="1000" checked', page)
    assert [int(ticket_id) for ticket_id in ticked] == [first, third]
    assert len(response.context["suggestion"]) == 3
    assert Booking.objects.count() == 1


def test_hold_of_nothing_says_so(client: Client, event):
    response = client.post(f"/events/{event.slug}/hold/", {})
    assert response.status_code == 400
    assert "Choose at least one ticket first." in response.content.decode()


@pytest.mark.parametrize("ids", [["x"], ["-1"], [str(2**70)], ["9" * 5000], ["١"]])
def test_hold_of_nonsense_is_refused(client: Client, event, ids):
    response = client.post(f"/events/{event.slug}/hold/", {"tickets": ids})
    assert response.status_code == 400
    assert "That is not a ticket." in response.content.decode()
    assert Booking.objects.count() == 0


def test_hold_beyond_the_limit_keeps_the_ticks(client: Client, event):
    event.max_tickets_per_booking = 2
    event.save(update_fields=["max_tickets_per_booking"])
    response = hold(client, event, *ticket_ids(event)[:3])
    assert response.status_code == 409
    page = response.content.decode()
    assert "One buyer can have at most 2 tickets for this event" in page
    assert page.count('data-price="1000" checked>') == 3
    assert Booking.objects.count() == 0


def test_booking_of_another_is_not_found(client: Client, event):
    booking = held_booking(client, event)
    for path in ("", "returned/", "tickets.pdf", "tickets.ics"):
        missing = Client().get(f"/bookings/{booking.pk}/{path}")
        assert (missing.status_code, booking.reference in missing.content.decode()) == (404, False)
    for path in ("pay/", "extend/", "release/"):
        assert Client().post(f"/bookings/{booking.pk}/{path}", DETAILS).status_code == 404
    untouched = Booking.objects.get()
    assert (untouched.status, untouched.expires_at, untouched.email) == ("reserved", booking.expires_at, "")
    assert Payment.objects.count() == 0
    assert "Your tickets are held" in client.get(f"/bookings/{booking.pk}/").content.decode()


def test_details_are_kept_when_one_is_wrong(client: Client, event):
    booking = held_booking(client, event)
    response = client.post(f"/bookings/{booking.pk}/pay/", {"name": "Ada Lovelace", "email": "nonsense"})
    assert response.status_code == 400
    page = response.content.decode()
    assert 'value="Ada Lovelace"' in page
    assert 'value="nonsense"' in page
    assert Payment.objects.count() == 0


def test_extend_keeps_what_was_typed(client: Client, event):
    booking = held_booking(client, event)
    before = booking.expires_at
    ticket_id = booking.items.first().ticket_id
    typed = {"name": "Ada Lovelace", "email": "half@", f"holder_{ticket_id}": "Charles"}
    client.post(f"/bookings/{booking.pk}/extend/", typed)
    booking.refresh_from_db()
    assert booking.expires_at - before == services.HOLD
    assert (booking.name, booking.email) == ("Ada Lovelace", "")
    assert booking.items.get(ticket_id=ticket_id).holder_name == "Charles"


def test_extend_answers_htmx_with_the_clock_alone(client: Client, event):
    booking = held_booking(client, event)
    url = f"/bookings/{booking.pk}/extend/"
    page = client.post(url, DETAILS, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in page
    left = int(re.search(r'data-left="(\d+)"', page)[1])
    assert 1_190_000 < left <= 1_200_000


def test_release_gives_the_tickets_back(client: Client, event):
    booking = held_booking(client, event)
    response = client.post(f"/bookings/{booking.pk}/release/")
    assert response["Location"] == event.get_absolute_url()
    assert Ticket.objects.available().count() == 6
    assert "You gave these tickets back" in client.get(f"/bookings/{booking.pk}/").content.decode()


def test_held_tickets_are_spoken_of_on_other_pages_until_given_back(client: Client, event):
    booking = held_booking(client, event)
    assert "are held for you" in client.get("/").content.decode()
    client.post(f"/bookings/{booking.pk}/release/")
    assert "are held for you" not in client.get("/").content.decode()


def test_declined_card_leaves_the_hold_running(client: Client, event):
    booking = held_booking(client, event)
    page = pay(client, booking, card="4000000000000002").content.decode()
    assert "The payment was declined" in page
    assert "your tickets are still held" in page
    assert "Booked and paid" in pay(client, booking).content.decode()
    assert_audit_is_clean()


def test_coming_back_without_paying_says_so(client: Client, event):
    booking = held_booking(client, event)
    client.post(f"/bookings/{booking.pk}/pay/", DETAILS)
    page = client.get(f"/bookings/{booking.pk}/returned/", follow=True).content.decode()
    assert "We have not heard that your payment went through" in page


def test_expired_hold_offers_the_same_seats(client: Client, event):
    booking = held_booking(client, event)
    let_hold_lapse(booking)
    page = client.get(f"/bookings/{booking.pk}/")
    assert "The time to pay is over" in page.content.decode()
    assert page.context["is_same"] is True
    # Their locks live by the cache's own clock, which the test has not moved.
    locks.release(event.pk, ticket_ids(event)[:2], booking.pk)
    again = hold(client, event, *[ticket.pk for ticket in page.context["offer"]])
    assert again.status_code == 302


def test_payment_for_seats_that_are_gone_is_not_charged(client: Client, event):
    booking = held_booking(client, event)
    location = client.post(f"/bookings/{booking.pk}/pay/", DETAILS)["Location"]
    let_hold_lapse(booking)
    locks.release(event.pk, ticket_ids(event)[:2], booking.pk)
    hold_tickets(event=event, ticket_ids=ticket_ids(event)[:1], buyer=Buyer(email="quick@example.org"))
    location = client.post(location, {"card_number": "4242424242424242"})["Location"]
    response = client.get(location, follow=True)
    assert Payment.objects.get().status == "voided"
    assert "You have not been charged" in response.content.decode()
    assert response.context["is_same"] is False
    assert len(response.context["offer"]) == 2
    assert_audit_is_clean()


def test_free_tickets_need_no_card(client: Client, event):
    tier = make_general_admission(event, 2, price="0.00", name="Free entry")
    location = client.post(f"/events/{event.slug}/hold/", {"price_tier": tier.pk, "quantity": 1})["Location"]
    page = client.post(f"{location}pay/", DETAILS, follow=True).content.decode()
    assert re.search(r"</svg>\s*Booked</p>", page)
    assert '<dt>Price</dt><dd class="price">Free</dd>' in page
    assert "paid" not in page.lower()


def test_booked_page_says_whether_the_mail_is_still_on_its_way(client: Client, event):
    booking = held_booking(client, event)
    page = pay(client, booking).content.decode()
    assert "A mail with your tickets is on its way to ada@example.org." in page
    assert send_mails() == 1
    page = client.get(f"/bookings/{booking.pk}/").content.decode()
    assert "We sent your tickets to ada@example.org on " in page
    assert "on its way" not in page


MONEY_SENTENCES = {
    ("captured", "void"): "You were charged €20.00, and we are giving all of it back.",
    ("refunded", "void"): "You had been charged €20.00, and we have given all of it back.",
    ("authorised", "void"): "We are letting go of the €20.00 that your bank has set aside",
    ("voided", "void"): "We have let go of the €20.00 that your bank had set aside",
    ("voided", ""): "These tickets are no longer held, and you have not been charged.",
    ("declined", ""): "Your payment was declined, so you have not been charged.",
    ("pending", ""): "Did you pay just now?",
}


@pytest.mark.parametrize("state", MONEY_SENTENCES, ids="-".join)
def test_closed_page_tells_what_became_of_the_money(client: Client, event, state):
    booking = held_booking(client, event)
    status, decision = state
    Payment.objects.create(
        booking=booking, gateway="sandbox", status=status, decision=decision, amount=20, currency="EUR"
    )
    let_hold_lapse(booking)
    page = client.get(f"/bookings/{booking.pk}/").content.decode()
    assert [words for words in MONEY_SENTENCES.values() if words in page] == [MONEY_SENTENCES[state]]
    was_charged = status in {"captured", "refunded"}
    assert ("ot been charged" in page) is not (was_charged or status == "pending")


def test_closed_page_without_a_payment_says_that_nothing_was_charged(client: Client, event):
    booking = held_booking(client, event)
    let_hold_lapse(booking)
    page = client.get(f"/bookings/{booking.pk}/").content.decode()
    assert "These tickets are no longer held, and you have not been charged." in page


# --- Finding again ----------------------------------------------------------------------


def test_find_opens_the_booking_in_another_browser(client: Client, event):
    booking = held_booking(client, event)
    pay(client, booking)
    reference = f"{booking.reference[:4].lower()}-{booking.reference[4:].lower()}"
    other = Client()
    response = other.post("/bookings/find/", {"reference": reference, "email": "ADA@example.org"})
    assert response["Location"] == f"/bookings/{booking.pk}/"
    assert booking.reference in other.get(response["Location"]).content.decode()


def test_find_answers_alike_for_a_wrong_address_and_a_wrong_reference(client: Client, event):
    booking = held_booking(client, event)
    pay(client, booking)
    wrong = [
        {"reference": booking.reference, "email": "eve@example.org"},
        {"reference": "00000000", "email": "ada@example.org"},
    ]
    answers = [Client().post("/bookings/find/", data) for data in wrong]
    assert [answer.status_code for answer in answers] == [404, 404]
    said = [answer.context["form"].non_field_errors() for answer in answers]
    assert said[0] == said[1]


def test_find_is_slow_for_who_guesses(client: Client, event):
    booking = held_booking(client, event)
    pay(client, booking)
    for number in range(5):
        data = {"reference": f"0000000{number}", "email": f"{number}@example.org"}
        assert client.post("/bookings/find/", data).status_code == 404
    right = {"reference": booking.reference, "email": "ada@example.org"}
    guesser = Client()
    refused = guesser.post("/bookings/find/", right)
    assert refused.status_code == 429
    assert "That was a few tries too many. Please wait a minute." in refused.content.decode()
    assert guesser.get(f"/bookings/{booking.pk}/").status_code == 404
    elsewhere = Client(REMOTE_ADDR="192.0.2.7")
    assert elsewhere.post("/bookings/find/", right)["Location"] == f"/bookings/{booking.pk}/"


def test_mail_link_opens_the_booking_and_leaves_the_address_bar(client: Client, event):
    booking = held_booking(client, event)
    other = Client()
    response = other.get(access.access_link(booking))
    assert response["Location"] == f"/bookings/{booking.pk}/"
    assert "Your tickets are held" in other.get(response["Location"]).content.decode()


def test_mail_link_of_another_booking_opens_nothing(client: Client, event):
    booking = held_booking(client, event, 1)
    theirs = hold_tickets(event=event, ticket_ids=ticket_ids(event)[3:4], buyer=Buyer()).booking
    token = access.access_link(booking).partition("?token=")[2]
    other = Client()
    other.get(f"/bookings/{theirs.pk}/", {"token": token})
    missing = other.get(f"/bookings/{theirs.pk}/")
    assert (missing.status_code, theirs.reference in missing.content.decode()) == (404, False)


# --- Accounts ---------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 3])
def test_list_takes_four_queries(client: Client, event, rows, django_assert_num_queries):
    user = make_user()
    ids = ticket_ids(event)
    made = [
        hold_tickets(event=event, ticket_ids=[ids[n]], buyer=Buyer(account=user)).booking.pk
        for n in range(rows)
    ]
    client.force_login(user)
    # The session, the account, how many there are, and they themselves.
    with django_assert_num_queries(4):
        response = client.get("/bookings/")
    assert [booking.pk for booking in response.context["page"]] == made[::-1]


def test_list_leads_to_the_next_page_and_back(client: Client, event, monkeypatch):
    monkeypatch.setattr(views, "BOOKINGS_PER_PAGE", 1)
    user = make_user()
    for ticket_id in ticket_ids(event)[:2]:
        hold_tickets(event=event, ticket_ids=[ticket_id], buyer=Buyer(account=user))
    client.force_login(user)
    newest, oldest = (
        client.get("/bookings/").content.decode(),
        client.get("/bookings/?page=2").content.decode(),
    )
    assert ('rel="next" href="?page=2"' in newest, 'rel="prev"' in newest) == (True, False)
    assert ('rel="next"' in oldest, 'rel="prev" href="?page=1"' in oldest) == (False, True)


def test_list_leaves_out_others_and_holds_that_came_to_nothing(client: Client, event):
    user = make_user()
    ids = ticket_ids(event)
    kept = hold_tickets(event=event, ticket_ids=ids[:1], buyer=Buyer(account=user)).booking
    lapsed = hold_tickets(event=event, ticket_ids=ids[1:2], buyer=Buyer(account=user)).booking
    let_hold_lapse(lapsed)
    hold_tickets(event=event, ticket_ids=ids[2:3], buyer=Buyer(account=make_user()))
    client.force_login(user)
    assert [booking.pk for booking in client.get("/bookings/").context["page"]] == [kept.pk]


@pytest.mark.parametrize("rows", [1, 3])
def test_keys_take_three_queries(client: Client, rows, django_assert_num_queries):
    user = make_user()
    made = [make_key(account=user, name=f"Till {number}")[0].pk for number in range(rows)]
    make_key(account=make_user(), name="Another's")
    client.force_login(user)
    # The session, the account, and its keys.
    with django_assert_num_queries(3):
        response = client.get("/accounts/keys/")
    assert [key.pk for key in response.context["keys"]] == made[::-1]


def test_key_is_shown_once_and_only_its_hash_is_kept(client: Client):
    user = make_user()
    client.force_login(user)
    page = client.post("/accounts/keys/", {"name": "Till"}).content.decode()
    secret = re.search(r"hf_[\w-]+", page)[0]
    key = ApiKey.objects.get()
    assert (key.account, key.name, key.key_hash) == (user, "Till", hash_secret(secret))
    assert secret not in client.get("/accounts/keys/").content.decode()


def test_key_works_until_it_is_revoked(client: Client):
    client.force_login(make_user())
    page = client.post("/accounts/keys/", {"name": "Till"}).content.decode()
    secret = re.search(r"hf_[\w-]+", page)[0]
    headers = {"Authorization": f"Token {secret}"}
    assert Client().get("/api/v1/bookings/", headers=headers).status_code == 200
    client.post(f"/accounts/keys/{ApiKey.objects.get().pk}/revoke/")
    assert Client().get("/api/v1/bookings/", headers=headers).status_code == 401


def test_key_of_another_is_not_revoked(client: Client):
    client.force_login(make_user())
    client.post("/accounts/keys/", {"name": "Till"})
    eve = Client()
    eve.force_login(make_user())
    eve.post(f"/accounts/keys/{ApiKey.objects.get().pk}/revoke/")
    assert ApiKey.objects.count() == 1
