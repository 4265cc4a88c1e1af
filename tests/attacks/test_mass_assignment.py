"""Columns that are not a form's or a call's to set, sent along with what is."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.account.utils import user_pk_to_url_str
from django.apps import apps
from django.test import Client
from django.urls import reverse

from bookings.models import BookingItem, User
from bookings.outbox.models import Mail
from tests.attacks.routes import all_routes
from tests.attacks.test_authorisation import is_of_programs, other_guest
from tests.attacks.test_forms import rows, undone
from tests.attacks.world import World
from tests.factories import make_user, ticket_ids

pytestmark = pytest.mark.django_db

JSON = "application/json"
PASSWORD = "violet otter parade"


def hostile_fields(world: World) -> dict[str, str]:
    """Every column of every model, by the name that a form or serializer would have for it."""
    words = {
        "status": "booked",
        "email": "mallory@example.org",
        "currency": "JPY",
        "name": "Mallory",
        "id": "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
        "account": str(world.mallory.pk),
        "user": str(world.mallory.pk),
        "booking": str(world.guest.booking.pk),
        "event": str(world.draft.pk),
    }
    kinds = {"BooleanField": "on", "DateTimeField": "2099-12-31T23:59Z", "DecimalField": "0.01"}
    found = {}
    for model in apps.get_models():
        for column in model._meta.get_fields():
            name = column.name
            kind = column.get_internal_type() if hasattr(column, "get_internal_type") else ""
            found[name] = words.get(name, kinds.get(kind, "-1"))
            found[f"{name}_id"] = found[name]
    return found


# --- Pages ------------------------------------------------------------------------------


@dataclass
class Sent:
    """A form with all its fields, as the browser of somebody whose form it is sends it."""

    browser: Client
    address: str
    values: dict[str, Any] = field(default_factory=dict)


# Pages that take a post, and have nothing that a form could set.
WITHOUT_A_FORM = {
    "problem",  # A page to read, whatever it is asked with.
    "account_confirm_login_code",  # Nobody signs in by a code.
}
# What these change is in the browser, in a mail, or a moment that is another each time.
WITHOUT_ROWS = {
    "bookings:find",
    "account_login",
    "account_logout",
    "account_reauthenticate",
    "account_reset_password",
}


def account_forms(world: World) -> dict[str, list[Sent]]:
    alice = world.alice
    EmailAddress.objects.create(user=alice, email=alice.email, verified=True, primary=True)
    waiting = EmailAddress.objects.create(user=world.mallory, email=world.mallory.email, primary=True)
    newcomer, forgetful = make_user(password=None), make_user()
    reset = {"uidb36": user_pk_to_url_str(forgetful), "key": default_token_generator.make_token(forgetful)}
    by_mail = Client()
    set_password = by_mail.get(reverse("account_reset_password_from_key", kwargs=reset)).headers["Location"]
    signed_in = {"oldpassword": "correct horse battery", "password1": PASSWORD, "password2": PASSWORD}
    sign_in = {"login": alice.email, "password": "correct horse battery", "remember": ""}
    forms: dict[str, tuple[User | None, dict[str, Any]]] = {
        "account_login": (None, sign_in),
        "account_logout": (alice, {}),
        "account_signup": (None, {"email": "eve@example.org", "password1": PASSWORD}),
        "account_reauthenticate": (alice, {"password": "correct horse battery"}),
        "account_email": (alice, {"email": "ada@example.org", "action_add": ""}),
        "account_change_password": (alice, signed_in),
        "account_set_password": (newcomer, {"password1": PASSWORD, "password2": PASSWORD}),
        "account_reset_password": (None, {"email": alice.email}),
        "bookings:keys": (alice, {"name": "Till"}),
    }
    found = {name: [Sent(browser_of(who), reverse(name), form)] for name, (who, form) in forms.items()}
    key = EmailConfirmationHMAC(waiting).key
    return found | {
        "account_reset_password_from_key": [
            Sent(by_mail, set_password, {"password1": PASSWORD, "password2": PASSWORD})
        ],
        "account_confirm_email": [Sent(Client(), reverse("account_confirm_email", args=[key]))],
        "bookings:revoke": [Sent(browser_of(alice), reverse("bookings:revoke", args=[world.api_key.pk]))],
    }


def booking_forms(world: World) -> dict[str, list[Sent]]:
    """Each as an account and as a guest sends it, where both may."""
    event, booked = world.event, world.booked
    alice, guest = browser_of(world.alice), other_guest(world)
    holds = {alice: world.held, guest: world.guest.booking}
    seat, standing = ticket_ids(event)[20], event.price_tiers.get(is_seated=False).pk
    chosen = [
        {"tickets": [seat], "price_tier": "", "quantity": ""},
        {"tickets": [], "price_tier": standing, "quantity": 2},
    ]
    details = {
        browser: {"name": "Ada", "email": "ada@example.org"}
        | {f"holder_{ticket}": "Ada" for ticket in hold.items.values_list("ticket_id", flat=True)}
        for browser, hold in holds.items()
    }
    known = {"reference": world.guest.booking.reference, "email": "guest@example.org"}
    unused = BookingItem.objects.filter(booking=booked, refund=None).latest("ticket_id")
    back = {"tickets": [unused.ticket_id], "amount": unused.price, "next": "", "choose": ""}
    payment_page = reverse("sandbox:pay", args=[world.intent.pk])
    # Only where the mail did not get through may the page say where it is to go instead.
    booked.mails.filter(kind=Mail.Kind.BOOKED).update(state=Mail.State.FAILED)
    elsewhere = {"email": "ada@example.org"}
    return {
        "bookings:hold": [
            Sent(browser, reverse("bookings:hold", args=[event.slug]), form)
            for browser in holds
            for form in chosen
        ],
        "bookings:extend": [
            Sent(browser, reverse("bookings:extend", args=[hold.pk]), details[browser])
            for browser, hold in holds.items()
        ],
        "bookings:pay": [
            Sent(browser, reverse("bookings:pay", args=[hold.pk]), details[browser])
            for browser, hold in holds.items()
        ],
        "bookings:release": [
            Sent(browser, reverse("bookings:release", args=[hold.pk])) for browser, hold in holds.items()
        ],
        "bookings:refund": [Sent(alice, reverse("bookings:refund", args=[booked.pk]), back)],
        "bookings:find": [Sent(Client(), reverse("bookings:find"), known)],
        "outbox:again": [Sent(alice, reverse("outbox:again", args=[booked.pk]), elsewhere)],
        "sandbox:pay": [Sent(Client(), payment_page, {"card_number": "4242424242424242", "notice": ""})],
    }


def door_forms(world: World) -> dict[str, list[Sent]]:
    stan, event = browser_of(world.stan), world.event
    item = BookingItem.objects.filter(booking=world.booked, refund=None).latest("ticket_id")
    shown = {"code": item.code, "door": "North", "scan_id": str(uuid.uuid4())}
    return {
        "door:event": [Sent(stan, reverse("door:event", args=[event.slug]), shown)],
        "door:undo": [Sent(stan, reverse("door:undo", args=[event.slug, world.scan.pk]))],
    }


def browser_of(account: User | None) -> Client:
    browser = Client(raise_request_exception=False)
    if account is not None:
        browser.force_login(account)
    return browser


@pytest.fixture
def forms(world: World) -> dict[str, list[Sent]]:
    """Every form of every page but the office's, by the name of the address that it is sent to."""
    return account_forms(world) | booking_forms(world) | door_forms(world)


def test_every_page_that_takes_a_form_is_thought_of(world: World, forms: dict[str, list[Sent]]):
    """Whoever adds one says here what its form has in it."""
    office = browser_of(make_user(is_staff=True, is_superuser=True))
    taking = set()
    for route in all_routes():
        address = route.address(world)
        if is_of_programs(address) or address.startswith("/admin/"):
            continue
        with undone(office):
            if office.post(address).status_code != 405:
                taking.add(route.name)

    assert taking == set(forms) | WITHOUT_A_FORM


def test_a_form_sets_its_own_columns_and_no_others(world: World, forms: dict[str, list[Sent]]):
    """With every column of every model sent along, exactly the same becomes of every row."""
    hostile = hostile_fields(world)
    # Another's tickets, in the way in which a form names its own.
    hostile |= {
        f"holder_{ticket}": "Mallory" for ticket in world.booked.items.values_list("ticket", flat=True)
    }
    known = [*hostile.values(), *User.objects.values_list("password", flat=True)]
    before = rows(known)
    refused, changed, unlike = [], set(), []

    for name, found in forms.items():
        for form in found:
            others = {key: value for key, value in hostile.items() if key not in form.values}
            (right, expected), (answer, after) = (
                outcome(form, form.values | extra, known) for extra in ({}, others)
            )
            if right >= 400:
                refused.append((name, right))
            if expected != before:
                changed.add(name)
            if (answer, after) != (right, expected):
                unlike.append((name, answer, differences(expected, after)))

    assert refused == []
    assert unlike == []
    assert changed == set(forms) - WITHOUT_ROWS


def outcome(form: Sent, values: dict[str, Any], known: list[str]) -> tuple[int, dict[str, list[str]]]:
    """What is answered to the form with these values, and how the database would stand then."""
    with undone(form.browser):
        answer = form.browser.post(form.address, values)
        return answer.status_code, rows(known)


def differences(expected: dict[str, list[str]], found: dict[str, list[str]]) -> dict[str, set[str]]:
    both = {table: set(expected[table]) ^ set(found[table]) for table in expected}
    return {table: texts for table, texts in both.items() if texts}


# --- The API ----------------------------------------------------------------------------

# Every call that takes a body, by its address, and the members that are its to set.
CALLS = {
    ("POST", "api:bookings"): {"event", "tickets", "price_tier", "quantity", "email"},
    ("PATCH", "api:booking"): {"email", "name", "tickets"},
    ("POST", "api:extend"): set(),
    ("POST", "api:payments"): {"return_url"},
    # The reason is for staff to give.
    ("POST", "api:refunds"): {"tickets", "reason"},
    ("POST", "api:check-in"): {"id", "code", "door", "device", "scanned_at"},
    ("POST", "api:check-in-sync"): {"scans"},
    ("POST", "api:check-in-undo"): set(),
}
# The same of what lies in a list of a call.
INNER = {
    ("PATCH", "api:booking", "tickets"): {"id", "holder_name"},
    ("POST", "api:check-in-sync", "scans"): {"id", "code", "door", "device", "scanned_at", "result"},
}


def caller_of(world: World, name: str) -> Client:
    """Somebody who may: the booking's own account, or staff of the door."""
    return browser_of(world.stan if "check-in" in name else world.alice)


def call(caller: Client, world: World, method: str, name: str, body: dict[str, Any]) -> Any:
    address = next(route.address(world) for route in all_routes() if route.name == name)
    return caller.generic(method, address, json.dumps(body), content_type=JSON)


def told_as_unknown(answer: Any) -> set[str]:
    return {error["field"] for error in answer.json()["errors"] if error["code"] == "unknown"}


def test_every_call_that_takes_a_body_is_thought_of(world: World):
    office = browser_of(make_user(is_staff=True, is_superuser=True))

    taking = {
        (method, route.name)
        for route in all_routes()
        for method in ("POST", "PUT", "PATCH")
        if route.name.startswith("api:")
        and call(office, world, method, route.name, {"made_up": 1}).status_code != 405
    }

    assert taking == set(CALLS)


@pytest.mark.parametrize(("method", "name"), CALLS)
def test_the_api_refuses_every_member_that_is_not_its_own(world: World, method: str, name: str):
    others = {key: value for key, value in hostile_fields(world).items() if key not in CALLS[method, name]}
    caller = caller_of(world, name)
    before = rows()

    answer = call(caller, world, method, name, others)

    assert answer.status_code == 400
    assert told_as_unknown(answer) == set(others)
    assert rows() == before


@pytest.mark.parametrize(("method", "name", "within"), INNER)
def test_the_api_refuses_every_inner_member_that_is_not_its_own(
    world: World, method: str, name: str, within: str
):
    own = INNER[method, name, within]
    others = {key: value for key, value in hostile_fields(world).items() if key not in own}
    caller = caller_of(world, name)
    before = rows()

    answer = call(caller, world, method, name, {within: [others]})

    assert answer.status_code == 400
    assert told_as_unknown(answer) == {f"{within}.0.{key}" for key in others}
    assert rows() == before


def test_signing_up_makes_a_plain_account(world: World):
    form = hostile_fields(world) | {"email": "eve@example.org", "password1": "violet otter parade"}

    Client().post("/accounts/signup/", form)

    made = User.objects.get(email="eve@example.org")
    assert (made.is_staff, made.is_superuser, made.user_permissions.count(), made.groups.count()) == (
        False,
        False,
        0,
        0,
    )
    assert (made.first_name, made.last_name, made.api_keys.count()) == ("", "", 0)
