"""Bookings and payments over the API, to the word of the contract."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from bookings.api import views
from bookings.codes import sign_code
from bookings.models import ApiKey, Booking, Payment, PaymentNotice, User, hash_secret
from bookings.payments import settle_payment
from bookings.services import Buyer, hold_tickets
from events import locks
from events.models import Event, Ticket
from tests.factories import make_event, make_general_admission, make_seated, make_staff, make_user, ticket_ids
from tests.utils import assert_audit_is_clean, let_hold_lapse

pytestmark = pytest.mark.django_db

BOOKINGS = "/api/v1/bookings/"
JSON = "application/json"


@pytest.fixture
def event() -> Event:
    """Four seats at positions 0 to 3, then five standing places."""
    event = make_event(max_tickets_per_booking=4)
    make_seated(event, seats=4, price="30.00")
    make_general_admission(event, 5, price="20.50")
    return event


@pytest.fixture
def alice() -> User:
    return make_user(email="alice@example.org")


def key_of(account: User) -> dict[str, str]:
    key = f"key-{account.pk}"
    ApiKey.objects.get_or_create(account=account, key_hash=hash_secret(key))
    return {"Authorization": f"Token {key}"}


def post(client: Client, url: str = BOOKINGS, body: Any = None, **headers: str) -> Any:
    return client.post(url, body or {}, content_type=JSON, headers=headers)


def hold(client: Client, event: Event, *positions: int, **headers: str) -> dict[str, Any]:
    ids = ticket_ids(event)
    response = post(
        client, body={"event": event.slug, "tickets": [ids[position] for position in positions]}, **headers
    )
    assert response.status_code == 201, response.content
    return response.json()


def url_of(booking: dict[str, Any], rest: str = "") -> str:
    return f"{BOOKINGS}{booking['id']}/{rest}"


def token_of(booking: dict[str, Any]) -> dict[str, str]:
    return {"X-Booking-Token": booking["access_token"]}


def errors_of(response: Any) -> list[tuple[str, str]]:
    return [(error["field"], error["code"]) for error in response.json()["errors"]]


# --- Holding ----------------------------------------------------------------------------


def test_hold_answers_what_reading_the_booking_answers(client: Client, event: Event):
    made = hold(client, event, 1, 4)
    token = {"X-Booking-Token": made.pop("access_token")}

    read = client.get(f"{BOOKINGS}{made['id']}/", headers=token).json()

    assert made.pop("server_time") <= read.pop("server_time")
    assert made == read


def hold_one_from_each(client: Client, event: Event, addresses: list[str]) -> list[int]:
    """The statuses of holds of one ticket after another, each from its address."""
    return [
        client.post(
            BOOKINGS,
            {"event": event.slug, "tickets": [ticket_id]},
            content_type="application/json",
            REMOTE_ADDR=address,
        ).status_code
        for ticket_id, address in zip(ticket_ids(event), addresses, strict=False)
    ]


def test_addresses_of_one_ipv6_network_count_as_one(client: Client, event: Event, settings):
    settings.HOLD_TICKETS_PER_ADDRESS = 1

    addresses = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"]
    assert hold_one_from_each(client, event, addresses) == [201, 422, 201]


def test_ipv4_addresses_written_as_ipv6_are_not_one_network(client: Client, event: Event, settings):
    settings.HOLD_TICKETS_PER_ADDRESS = 1

    assert hold_one_from_each(client, event, ["::ffff:192.0.2.1", "::ffff:192.0.2.2"]) == [201, 201]


def test_hold_answers_with_the_booking(client: Client, event: Event):
    ids = ticket_ids(event)
    stalls, standing = event.price_tiers.all()

    made = hold(client, event, 1, 4)

    row = Booking.objects.get()
    expires_at = datetime.fromisoformat(made.pop("expires_at"))
    server_time = datetime.fromisoformat(made.pop("server_time"))
    assert timedelta(seconds=599) < expires_at - server_time <= timedelta(seconds=600)
    assert row.has_access_token(made.pop("access_token"))
    unpaid = {"holder_name": "", "code": None, "qr_svg_url": None, "checked_in_at": None}
    assert made == {
        "id": str(row.pk),
        "reference": row.reference,
        "event": event.slug,
        "status": "reserved",
        "extensions_left": 10,
        "total": "50.50",
        "currency": "EUR",
        "tickets": [
            {
                "id": ids[1],
                "price_tier": stalls.pk,
                "section": "Stalls",
                "row": "1",
                "seat": "2",
                "price": "30.00",
                **unpaid,
            },
            {
                "id": ids[4],
                "price_tier": standing.pk,
                "section": None,
                "row": None,
                "seat": None,
                "price": "20.50",
                **unpaid,
            },
        ],
        "payment": None,
    }
    assert_audit_is_clean()


def test_event_is_read_once_a_second_and_its_sale_for_each_hold(client: Client, event: Event, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(views.time, "monotonic", lambda: now)
    hold(client, event, 0)
    pair = {"event": event.slug, "tickets": ticket_ids(event)[1:3]}
    facts = Event.objects.filter(pk=event.pk)

    facts.update(max_tickets_per_booking=1, status=Event.Status.DRAFT)
    of_a_draft = post(client, body=pair)
    facts.update(status=Event.Status.PUBLISHED)
    at_once = post(client, body=pair)
    now += views.EVENT_SECONDS
    later = post(client, body=pair)

    assert of_a_draft.json()["code"] == "not_on_sale"
    assert at_once.status_code == 201
    assert later.json()["code"] == "limit_exceeded"


def test_hold_shows_the_token_only_once(client: Client, event: Event):
    made = hold(client, event, 0)

    found = client.get(url_of(made), headers=token_of(made)).json()

    assert found == {
        name: value for name, value in made.items() if name not in {"access_token", "server_time"}
    } | {"server_time": found["server_time"]}


def test_hold_by_tier_takes_neighbours_or_any(client: Client, event: Event):
    stalls, standing = event.price_tiers.all()

    seated = post(client, body={"event": event.slug, "price_tier": stalls.pk, "quantity": 2}).json()
    anywhere = post(client, body={"event": event.slug, "price_tier": standing.pk, "quantity": 3}).json()

    first, second = (int(ticket["seat"]) for ticket in seated["tickets"])
    assert second - first == 1
    assert [ticket["price_tier"] for ticket in anywhere["tickets"]] == [standing.pk] * 3


def test_hold_of_an_account_is_its_own(client: Client, event: Event, alice: User):
    made = hold(client, event, 0, **key_of(alice))

    assert Booking.objects.get().account == alice
    assert client.get(url_of(made), headers=key_of(alice)).status_code == 200


def test_hold_of_a_guest_with_address_keeps_it_in_small_letters(client: Client, event: Event):
    post(client, body={"event": event.slug, "tickets": ticket_ids(event)[:1], "email": "Guest@Example.org"})

    assert Booking.objects.get().email == "guest@example.org"


def test_hold_of_taken_tickets_names_them_and_holds_nothing(client: Client, event: Event):
    hold(client, event, 1)

    response = post(client, body={"event": event.slug, "tickets": ticket_ids(event)[0:2]})

    problem = response.json()
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (response.status_code, problem["code"]) == (409, "tickets_unavailable")
    assert problem["unavailable"] == ticket_ids(event)[1:2]
    assert problem["suggestion"] == ticket_ids(event)[2:4]
    assert Ticket.objects.get(event=event, position=0).status == "available"
    assert Booking.objects.count() == 1


def test_hold_of_more_than_are_left_tells_how_many(client: Client, event: Event):
    standing = event.price_tiers.get(name="Standing")
    wish = {"event": event.slug, "price_tier": standing.pk, "quantity": 4}
    post(client, body=wish)

    problem = post(client, body=wish).json()

    assert (problem["status"], problem["code"], problem["available"]) == (409, "tickets_unavailable", 1)


def test_hold_over_the_limit_tells_the_limit(client: Client, event: Event, alice: User):
    hold(client, event, 0, 1, 2, **key_of(alice))

    problem = post(
        client, body={"event": event.slug, "tickets": ticket_ids(event)[4:6]}, **key_of(alice)
    ).json()

    assert (problem["status"], problem["code"], problem["limit"]) == (422, "limit_exceeded", 4)


def test_hold_before_the_sale_tells_when_it_begins(client: Client):
    begins = timezone.now() + timedelta(days=1)
    event = make_event(on_sale_at=begins)
    make_general_admission(event, 1)

    problem = post(client, body={"event": event.slug, "tickets": ticket_ids(event)}).json()

    assert (problem["status"], problem["code"]) == (409, "not_on_sale")
    assert datetime.fromisoformat(problem["on_sale_at"]) == begins


@pytest.mark.parametrize("status", ["draft", "cancelled"])
def test_hold_of_what_is_not_published_is_not_on_sale(client: Client, status: str):
    event = make_event(status=status)
    make_general_admission(event, 1)

    problem = post(client, body={"event": event.slug, "tickets": ticket_ids(event)}).json()

    assert (problem["status"], problem["code"], problem["on_sale_at"]) == (409, "not_on_sale", None)


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, [("event", "required"), ("", "exclusive")]),
        ({"event": "no-such-event", "tickets": [1]}, [("event", "does_not_exist")]),
        ({"event": 5, "tickets": [1]}, [("event", "invalid")]),
        ({"tickets": []}, [("tickets", "min_length")]),
        ({"tickets": [1, 1]}, [("tickets", "duplicate")]),
        ({"tickets": "1"}, [("tickets", "not_a_list")]),
        ({"tickets": ["1"]}, [("tickets.0", "invalid")]),
        ({"tickets": [True]}, [("tickets.0", "invalid")]),
        ({"tickets": [1.0]}, [("tickets.0", "invalid")]),
        ({"tickets": [0]}, [("tickets.0", "min_value")]),
        ({"tickets": [2**63]}, [("tickets.0", "max_value")]),
        ({"tickets": [None]}, [("tickets.0", "null")]),
        ({"tickets": [1], "quantity": 1}, [("", "exclusive")]),
        ({"price_tier": 1}, [("quantity", "required")]),
        ({"quantity": 1}, [("price_tier", "required")]),
        ({"price_tier": 1, "quantity": 0}, [("quantity", "min_value")]),
        ({"price_tier": 1, "quantity": 10**12}, [("quantity", "max_value")]),
        ({"price_tier": 1, "quantity": 1, "email": "nobody"}, [("email", "invalid")]),
        ({"tickets": [1], "ticket": 1, "price": 0}, [("price", "unknown"), ("ticket", "unknown")]),
    ],
)
def test_hold_names_what_is_wrong_with_the_body(client: Client, event: Event, body, errors):
    if body:
        body = {"event": event.slug} | body

    response = post(client, body=body)

    assert (response.status_code, response.json()["code"]) == (400, "validation_error")
    assert set(errors_of(response)) <= set(errors)
    assert errors_of(response)[0] == errors[0]
    assert Booking.objects.count() == 0


def test_hold_of_another_events_tickets_is_not_valid(client: Client, event: Event):
    other = make_event()
    tier = make_general_admission(other, 1)

    by_ticket = post(client, body={"event": event.slug, "tickets": ticket_ids(other)})
    by_tier = post(client, body={"event": event.slug, "price_tier": tier.pk, "quantity": 1})

    assert (by_ticket.status_code, errors_of(by_ticket)) == (400, [("tickets", "invalid")])
    assert (by_tier.status_code, errors_of(by_tier)) == (400, [("price_tier", "invalid")])
    assert [answer.json()["code"] for answer in (by_ticket, by_tier)] == ["validation_error"] * 2
    assert Booking.objects.count() == 0


def test_hold_by_a_signed_in_browser_needs_the_csrf_token(event: Event, alice: User):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)

    response = post(browser, body={"event": event.slug, "tickets": ticket_ids(event)[:1]})

    assert (response.status_code, response.json()["code"]) == (403, "permission_denied")
    assert Booking.objects.count() == 0


# --- Reading ----------------------------------------------------------------------------


def test_bookings_lists_the_accounts_own(client: Client, event: Event, alice: User):
    mine = [hold(client, event, position, **key_of(alice))["id"] for position in (0, 1)]
    hold(client, event, 2, **key_of(make_user()))
    hold(client, event, 3)

    found = client.get(BOOKINGS, headers=key_of(alice)).json()

    assert [booking["id"] for booking in found["results"]] == mine[::-1]
    assert (found["next"], found["previous"]) == (None, None)


def test_bookings_are_listed_once_each_over_the_pages(client: Client, event: Event, alice: User):
    mine = [hold(client, event, position, **key_of(alice))["id"] for position in range(3)]
    url, seen = f"{BOOKINGS}?page_size=1", []

    while url:
        page = client.get(url, headers=key_of(alice)).json()
        seen += [booking["id"] for booking in page["results"]]
        url = page["next"]

    assert seen == mine[::-1]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Token wrong"}, {"X-Booking-Token": "any"}])
def test_bookings_needs_an_account(client: Client, headers):
    response = client.get(BOOKINGS, headers=headers)

    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")
    assert response.headers["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize("rows", [1, 3])
def test_bookings_takes_four_queries(
    client: Client, event: Event, alice: User, django_assert_num_queries, rows
):
    for position in range(rows):
        made = hold(client, event, position, **key_of(alice))
        post(client, url_of(made, "payments/"), **key_of(alice))
    headers = key_of(alice)
    client.get(BOOKINGS, headers=headers)

    with django_assert_num_queries(4):
        found = client.get(BOOKINGS, headers=headers).json()
    assert [booking["payment"]["status"] for booking in found["results"]] == ["pending"] * rows


def test_someone_elses_booking_does_not_exist(client: Client, event: Event, alice: User):
    bobs = hold(client, event, 0, **key_of(make_user()))
    other = hold(client, event, 1)
    strangers = [{}, key_of(alice), token_of(other), {"X-Booking-Token": ""}]

    for headers in strangers:
        answers = [
            client.get(url_of(bobs), headers=headers),
            client.patch(url_of(bobs), {"name": "Mallory"}, content_type=JSON, headers=headers),
            client.delete(url_of(bobs), headers=headers),
            post(client, url_of(bobs, "extend/"), **headers),
            post(client, url_of(bobs, "payments/"), **headers),
            client.get(url_of(bobs, "payments/"), headers=headers),
            client.get(url_of(bobs, "tickets.pdf"), headers=headers),
            client.get(url_of(bobs, "tickets.ics"), headers=headers),
        ]
        codes = [(answer.status_code, answer.json()["code"]) for answer in answers]
        assert codes == [(404, "not_found")] * 8
    row = Booking.objects.get(pk=bobs["id"])
    assert (row.status, row.name, row.extensions_used) == ("reserved", "", 0)


def test_staff_see_and_change_any_booking(client: Client, event: Event):
    made = hold(client, event, 0)
    staff = make_staff()

    assert client.get(url_of(made), headers=key_of(staff)).json()["id"] == made["id"]
    assert client.delete(url_of(made), headers=key_of(staff)).status_code == 204
    assert Booking.objects.get().status == "released"


def test_a_hold_past_its_time_is_told_as_expired(client: Client, event: Event):
    made = hold(client, event, 0)
    let_hold_lapse(Booking.objects.get())

    found = client.get(url_of(made), headers=token_of(made)).json()

    assert (found["status"], found["extensions_left"]) == ("expired", 0)
    assert Booking.objects.get().status == "reserved"


def test_booking_is_not_sent_again_to_who_has_it(client: Client, event: Event):
    made = hold(client, event, 0)
    etag = client.get(url_of(made), headers=token_of(made)).headers["ETag"]
    headers = {**token_of(made), "If-None-Match": etag}

    unchanged = client.get(url_of(made), headers=headers)
    post(client, url_of(made, "extend/"), **token_of(made))

    assert unchanged.status_code == 304
    assert client.get(url_of(made), headers=headers).status_code == 200


# --- Changing ---------------------------------------------------------------------------


def test_patch_sets_names_and_address(client: Client, event: Event):
    made = hold(client, event, 0, 1)
    first, second = (ticket["id"] for ticket in made["tickets"])
    body = {"email": "Ann@Example.org", "name": "Ann", "tickets": [{"id": second, "holder_name": "Ben"}]}

    response = client.patch(url_of(made), body, content_type=JSON, headers=token_of(made))

    assert response.status_code == 200
    assert {ticket["id"]: ticket["holder_name"] for ticket in response.json()["tickets"]} == {
        first: "",
        second: "Ben",
    }
    row = Booking.objects.get()
    assert (row.email, row.name) == ("ann@example.org", "Ann")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"total": "0.00"}, ("total", "unknown")),
        ({"status": "booked"}, ("status", "unknown")),
        ({"name": 5}, ("name", "invalid")),
        ({"name": "x" * 161}, ("name", "max_length")),
        ({"tickets": [{"id": 1}]}, ("tickets.0.holder_name", "required")),
        ({"tickets": [{"id": 1, "holder_name": "", "price": 0}]}, ("tickets.0.price", "unknown")),
        ({"tickets": [{"id": 1, "holder_name": ""}] * 2}, ("tickets", "duplicate")),
        ({"tickets": [{"id": 2**62, "holder_name": "Ann"}]}, ("tickets", "invalid")),
    ],
)
def test_patch_names_what_is_wrong(client: Client, event: Event, body, error):
    made = hold(client, event, 0)

    response = client.patch(url_of(made), body, content_type=JSON, headers=token_of(made))

    assert (response.status_code, errors_of(response)) == (400, [error])
    assert Booking.objects.get().total == Decimal("30.00")


def test_extend_gives_ten_more_minutes_until_the_limit(client: Client, event: Event):
    Event.objects.update(max_extensions=1)
    made = hold(client, event, 0)

    extended = post(client, url_of(made, "extend/"), **token_of(made))
    refused = post(client, url_of(made, "extend/"), **token_of(made))

    gained = datetime.fromisoformat(extended.json()["expires_at"]) - datetime.fromisoformat(
        made["expires_at"]
    )
    assert (extended.status_code, extended.json()["extensions_left"], gained) == (
        200,
        0,
        timedelta(minutes=10),
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "extension_limit")


def test_extend_refuses_a_body_that_says_something(client: Client, event: Event):
    made = hold(client, event, 0)

    response = post(client, url_of(made, "extend/"), {"minutes": 60}, **token_of(made))

    assert (response.status_code, errors_of(response)) == (400, [("minutes", "unknown")])


@pytest.mark.django_db(transaction=True)
def test_delete_gives_the_tickets_back_and_again_changes_nothing(client: Client, event: Event):
    made = hold(client, event, 0)

    answers = [client.delete(url_of(made), headers=token_of(made)) for _ in range(2)]

    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 2
    assert client.get(url_of(made), headers=token_of(made)).json()["status"] == "released"
    assert Ticket.objects.get(event=event, position=0).status == "available"
    assert locks.owners(event.pk) == {}


def test_steps_that_no_longer_fit_are_refused(client: Client, event: Event):
    released = hold(client, event, 0)
    client.delete(url_of(released), headers=token_of(released))
    lapsed = hold(client, event, 1)
    let_hold_lapse(Booking.objects.get(pk=lapsed["id"]))

    for made, code in [(released, "booking_closed"), (lapsed, "hold_expired")]:
        for answer in [
            post(client, url_of(made, "extend/"), **token_of(made)),
            post(client, url_of(made, "payments/"), **token_of(made)),
            client.patch(url_of(made), {"name": "Ann"}, content_type=JSON, headers=token_of(made)),
        ]:
            assert (answer.status_code, answer.json()["code"]) == (409, code)
    closed = post(client, url_of(released, "extend/"), **token_of(released)).json()
    assert closed["booking_status"] == "released"


# --- Paying -----------------------------------------------------------------------------


def pay(client: Client, made: dict[str, Any], card: str = "4242424242424242") -> Payment:
    started = post(client, url_of(made, "payments/"), **token_of(made)).json()
    client.post(started["redirect_url"], {"card_number": card, "notice": "never"})
    return settle_payment(started["id"])


def test_payment_leads_to_the_gateway_and_a_second_click_to_the_same(client: Client, event: Event):
    made = hold(client, event, 0)

    first = post(client, url_of(made, "payments/"), **token_of(made))
    second = post(client, url_of(made, "payments/"), **token_of(made))

    payment = Payment.objects.get()
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()
    assert first.json() == {
        "id": str(payment.pk),
        "status": "pending",
        "amount": "30.00",
        "currency": "EUR",
        "redirect_url": payment.redirect_url,
    }
    found = client.get(url_of(made), headers=token_of(made)).json()
    assert found["payment"] == {"status": "pending", "redirect_url": payment.redirect_url}


@pytest.mark.parametrize("url", [f"{settings.SITE_URL}/thanks/?a=1", "/thanks/?a=1"])
def test_payment_returns_to_an_address_on_this_site(client: Client, event: Event, url: str):
    made = hold(client, event, 0)

    post(client, url_of(made, "payments/"), {"return_url": url}, **token_of(made))

    assert Payment.objects.get().return_url == f"{settings.SITE_URL}/thanks/?a=1"


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "//evil.example/",
        "javascript:alert(1)",
        "http://127.0.0.1:8000@evil.example/",
        "http:///evil.example",
        "\\\\evil.example",
        "http://[broken",
        "/tha\nnks",
        f"{settings.SITE_URL}.evil.example/",
    ],
)
def test_payment_returns_nowhere_else(client: Client, event: Event, url: str):
    made = hold(client, event, 0)

    response = post(client, url_of(made, "payments/"), {"return_url": url}, **token_of(made))

    assert (response.status_code, errors_of(response)) == (400, [("return_url", "not_on_this_site")])
    assert Payment.objects.count() == 0


def test_payment_books_and_the_booking_then_has_its_codes(client: Client, event: Event):
    made = hold(client, event, 0, 4)

    pay(client, made)

    found = client.get(url_of(made), headers=token_of(made)).json()
    items = list(Booking.objects.get().items.order_by("ticket__position"))
    assert found["status"] == "booked"
    assert found["payment"] == {"status": "captured", "redirect_url": None}
    assert [ticket["code"] for ticket in found["tickets"]] == [sign_code(item) for item in items]
    picture = client.get(found["tickets"][0]["qr_svg_url"], headers=token_of(made))
    assert picture.headers["Content-Type"] == "image/svg+xml"
    assert b"<svg" in picture.content
    assert_audit_is_clean()


def test_payments_tell_what_became_of_each(client: Client, event: Event):
    made = hold(client, event, 0)
    pay(client, made, card="4000000000000002")
    pay(client, made)

    found = client.get(url_of(made, "payments/"), headers=token_of(made)).json()

    assert [payment["status"] for payment in found["results"]] == ["captured", "declined"]
    assert set(found["results"][0]) == {
        "id",
        "status",
        "amount",
        "currency",
        "redirect_url",
        "reason",
        "captured",
        "refunded",
        "created_at",
    }


@pytest.mark.parametrize("rows", [1, 3])
def test_list_of_payments_takes_a_fixed_number_of_queries(
    client: Client, event: Event, django_assert_num_queries, rows: int
):
    made = hold(client, event, 0)
    facts = {"booking_id": made["id"], "gateway": "sandbox", "amount": 30, "currency": "EUR"}
    Payment.objects.bulk_create(Payment(**facts, status="declined") for _ in range(rows))

    with django_assert_num_queries(2):
        found = client.get(url_of(made, "payments/"), headers=token_of(made)).json()
    assert [payment["status"] for payment in found["results"]] == ["declined"] * rows


def test_booked_booking_takes_no_further_step(client: Client, event: Event):
    made = hold(client, event, 0)
    pay(client, made)

    answers = [
        post(client, url_of(made, "extend/"), **token_of(made)),
        post(client, url_of(made, "payments/"), **token_of(made)),
        client.patch(url_of(made), {"name": "Ann"}, content_type=JSON, headers=token_of(made)),
        client.delete(url_of(made), headers=token_of(made)),
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (409, "already_booked")
    ] * 4
    row = Booking.objects.get()
    assert (row.status, row.name, row.extensions_used, row.payments.count()) == ("booked", "", 0, 1)


# --- Files ------------------------------------------------------------------------------


def test_tickets_come_as_pdf_and_calendar(client: Client, event: Event):
    Event.objects.update(title="Žižkov – Übermorgen „Łódź“ 音楽")
    made = hold(client, event, 0, 4)
    pay(client, made)

    pdf = client.get(url_of(made, "tickets.pdf"), headers={**token_of(made), "Accept": "application/pdf"})
    calendar = client.get(url_of(made, "tickets.ics"), headers=token_of(made))

    assert (pdf.status_code, pdf.headers["Content-Type"]) == (200, "application/pdf")
    assert pdf.content.startswith(b"%PDF-")
    assert pdf.content.count(b"/Type /Page\n") == 2
    assert calendar.headers["Content-Type"] == "text/calendar; charset=utf-8"
    text = calendar.content.decode().replace("\r\n ", "")
    assert "SUMMARY:Žižkov – Übermorgen „Łódź“ 音楽\r\n" in text
    assert "DTSTART;TZID=Europe/Berlin:" in text
    assert "BEGIN:DAYLIGHT\r\n" in text


@pytest.mark.parametrize("name", ["tickets.pdf", "tickets.ics"])
def test_tickets_are_not_there_before_they_are_paid_for(client: Client, event: Event, name: str):
    made = hold(client, event, 0)

    response = client.get(url_of(made, name), headers=token_of(made))

    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert response.headers["Content-Type"] == "application/problem+json"


def test_picture_of_another_bookings_ticket_does_not_exist(client: Client, event: Event):
    mine, other = hold(client, event, 0), hold(client, event, 1)
    pay(client, mine)
    pay(client, other)

    url = url_of(mine, f"tickets/{other['tickets'][0]['id']}/qr.svg")

    response = client.get(url, headers=token_of(mine))

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


# --- Notices ----------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["/api/v1", ""])
@pytest.mark.parametrize("body", [b"", b"{}", b"\xff\xfe", b"[" * 2000])
def test_notice_without_a_signature_is_refused(client: Client, body: bytes, base: str):
    response = client.post(f"{base}/webhooks/payments/sandbox/", body, content_type=JSON)

    assert (response.status_code, response.json()["code"]) == (400, "validation_error")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert PaymentNotice.objects.count() == 0


def test_notice_of_an_unknown_gateway_is_not_found(client: Client):
    response = client.post("/api/v1/webhooks/payments/nobody/", b"{}", content_type=JSON)

    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert PaymentNotice.objects.count() == 0


def test_notice_that_is_too_large_is_refused(client: Client):
    response = client.post(
        "/api/v1/webhooks/payments/sandbox/", b"x" * (64 * 1024 + 1), content_type="text/plain"
    )

    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
    assert PaymentNotice.objects.count() == 0


def test_hold_by_an_account_counts_its_other_bookings_over_the_pages_too(
    client: Client, event: Event, alice: User
):
    hold_tickets(event=event, ticket_ids=ticket_ids(event)[:4], buyer=Buyer(account=alice))

    response = post(client, body={"event": event.slug, "tickets": ticket_ids(event)[4:5]}, **key_of(alice))

    assert (response.status_code, response.json()["code"], response.json()["limit"]) == (
        422,
        "limit_exceeded",
        4,
    )
    assert Booking.objects.count() == 1
