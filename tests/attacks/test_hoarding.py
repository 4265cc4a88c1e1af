"""What one buyer, one network and a thousand of them can keep from others, through the API itself.

`docs/security.md` states the same figures in a table.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as configured
from django.test import Client

from bookings import buyers, services
from bookings.keys import make_key
from bookings.models import Booking, User
from events.models import Event
from tests.attacks.conftest import EXAMPLES
from tests.factories import make_event, make_general_admission, make_user
from tests.utils import let_hold_lapse, run_together

BOOKINGS = "/api/v1/bookings/"
JSON = "application/json"
# Of one event, and of nameless guests behind one network; the tests are quicker with fewer.
PER_BUYER, PER_NETWORK = 4, 6
NETWORKS = 1000 if EXAMPLES > 5 else 30

pytestmark = pytest.mark.django_db


@pytest.fixture
def event(settings) -> Event:
    settings.HOLD_TICKETS_PER_ADDRESS = PER_NETWORK
    settings.API_READS_PER_MINUTE = settings.API_WRITES_PER_MINUTE = 1_000_000
    event = make_event(max_tickets_per_booking=PER_BUYER, max_extensions=2)
    return make_general_admission(event, 400).event


def ask(event: Event, quantity: int = 1, *, address: str = "192.0.2.1", who: Any = None, **body: Any) -> Any:
    """A new hold of standing places, from a browser without a past; `who` is an account's headers."""
    wanted = {"event": event.slug, "price_tier": event.price_tiers.get().pk, "quantity": quantity, **body}
    client = Client(REMOTE_ADDR=address)
    return client.post(
        BOOKINGS, wanted, content_type=JSON, headers={"Idempotency-Key": new_key(), **(who or {})}
    )


def new_key() -> str:
    return f'"{uuid.uuid4()}"'


def key_of(account: User) -> dict[str, str]:
    return {"Authorization": f"Token {make_key(account=account, name='A program')[1]}"}


def statuses(answers: Iterable[Any]) -> list[int]:
    return [answer.status_code for answer in answers]


def held(event: Event) -> int:
    """How many of its tickets nobody else can have now."""
    return event.tickets.filter(status="reserved").count()


def network(number: int) -> str:
    return f"10.{number // 250}.{number % 250}.7"


# --- One buyer --------------------------------------------------------------------------


def test_one_account_holds_so_many_of_an_event_however_and_from_wherever_it_asks(event: Event):
    account = make_user()
    keys = [key_of(account), key_of(account)]

    answers = [ask(event, address=network(number), who=keys[number % 2]) for number in range(30)]
    by_page = Client(REMOTE_ADDR="203.0.113.9")
    by_page.force_login(account)
    tier = event.price_tiers.get().pk
    page = by_page.post(f"/events/{event.slug}/hold/", {"price_tier": tier, "quantity": 1})

    assert statuses(answers) == [201] * PER_BUYER + [422] * (30 - PER_BUYER)
    assert answers[-1].json()["code"] == "limit_exceeded"
    assert page.status_code == 409
    assert held(event) == PER_BUYER


def test_one_account_holds_no_more_by_giving_other_e_mail_addresses(event: Event):
    who = key_of(make_user())

    answers = [ask(event, who=who, email=f"other{number}@example.org") for number in range(10)]

    assert statuses(answers).count(201) == PER_BUYER
    assert held(event) == PER_BUYER


@pytest.mark.parametrize("address", ["ada@example.org", "one of many"])
def test_one_e_mail_address_holds_so_many_of_an_event_from_all_networks_together(event: Event, address: str):
    spellings = ["ada@example.org", "ADA@example.org", "Ada@Example.ORG"]

    answers = [
        ask(
            event,
            address=network(number) if address == "one of many" else "192.0.2.1",
            email=spellings[number % 3],
        )
        for number in range(30)
    ]

    assert statuses(answers).count(201) == PER_BUYER
    assert held(event) == PER_BUYER


# --- One network ------------------------------------------------------------------------


def test_one_network_holds_so_many_for_the_nameless_and_ten_times_as_many_for_the_named(event: Event):
    nameless = [ask(event) for _ in range(PER_NETWORK + 10)]
    named = [
        ask(event, PER_BUYER, email=f"made-up-{number}@example.org") for number in range(PER_NETWORK * 10)
    ]

    assert statuses(nameless).count(201) == PER_NETWORK
    assert statuses(named).count(201) == PER_NETWORK * 10 // PER_BUYER
    assert held(event) == PER_NETWORK + 10 * PER_NETWORK
    assert {answer.json()["code"] for answer in nameless + named if answer.status_code != 201} == {
        "limit_exceeded"
    }


def test_figures_are_the_ones_that_are_stated():
    assert configured.HOLD_TICKETS_PER_ADDRESS == 100
    assert buyers.NAMED_TICKETS_PER_ADDRESS == 10
    assert timedelta(minutes=10) == services.HOLD
    stated = (configured.BASE_DIR / "docs/security.md").read_text()
    assert "100 tickets" in stated
    assert "1,000 tickets" in stated


def test_made_up_proxies_and_hosts_make_no_new_network(event: Event):
    lies = ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP"]

    answers = [
        ask(event, who={lies[number % len(lies)]: f"198.51.100.{number}"})
        for number in range(PER_NETWORK + 12)
    ]

    assert statuses(answers).count(201) == PER_NETWORK


def test_a_million_addresses_of_one_ipv6_subscriber_are_one_network(event: Event):
    answers = [ask(event, address=f"2001:db8:0:7:{number:x}::1") for number in range(PER_NETWORK + 12)]

    assert statuses(answers) == [201] * PER_NETWORK + [422] * 12
    assert ask(event, address="2001:db8:0:8::1").status_code == 201


def test_a_name_given_later_is_bounded_as_if_it_had_been_given_at_once(event: Event):
    """Otherwise the nameless hundred would be free again as soon as their holds have made-up names."""
    for number in range(PER_NETWORK * 20):
        answer = ask(event)
        if answer.status_code != 201:
            break
        made = answer.json()
        Client(REMOTE_ADDR="192.0.2.1").patch(
            f"{BOOKINGS}{made['id']}/",
            {"email": f"made-up-{number}@example.org"},
            content_type=JSON,
            headers={"X-Booking-Token": made["access_token"]},
        )

    assert held(event) == PER_NETWORK + 10 * PER_NETWORK


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("named", [False, True])
def test_a_network_that_asks_for_everything_at_once_gets_no_more(event: Event, named: bool):
    most, quantity = (PER_NETWORK * 10, PER_BUYER) if named else (PER_NETWORK, 1)
    names = [{"email": f"made-up-{number}@example.org"} if named else {} for number in range(24)]

    answers = run_together([lambda name=name: ask(event, quantity, **name) for name in names])

    assert statuses(answers).count(201) == most // quantity
    assert held(event) == most


# --- A thousand networks ----------------------------------------------------------------


def test_a_thousand_networks_hold_each_their_own_share_and_no_more(event: Event, settings):
    """All together may hold the whole event: what bounds them is time alone."""
    settings.HOLD_TICKETS_PER_ADDRESS = 2
    event = make_general_admission(make_event(), 2 * NETWORKS + 10).event

    first = [ask(event, 2, address=network(number)) for number in range(NETWORKS)]
    more = [ask(event, address=network(number)) for number in range(NETWORKS)]

    assert set(statuses(first)) == {201}
    assert set(statuses(more)) == {422}
    assert held(event) == 2 * NETWORKS


# --- For how long -----------------------------------------------------------------------


def test_a_hold_lasts_ten_minutes_and_as_many_again_as_the_event_allows_extensions(event: Event):
    made = ask(event).json()
    booking = Booking.objects.get(pk=made["id"])
    client = Client(headers={"X-Booking-Token": made["access_token"]})
    url = f"{BOOKINGS}{booking.pk}/extend/"

    answers = [
        client.post(url, {}, content_type=JSON, headers={"Idempotency-Key": new_key()}) for _ in range(5)
    ]

    booking.refresh_from_db()
    lasts = booking.expires_at - booking.created_at
    assert statuses(answers) == [200] * event.max_extensions + [409] * (5 - event.max_extensions)
    assert lasts <= services.HOLD * (1 + event.max_extensions)


@pytest.mark.parametrize("named", [False, True])
def test_who_lets_holds_lapse_waits_half_an_hour_for_the_next(event: Event, named: bool):
    """So whoever never pays keeps tickets from others for a part of the time alone."""
    most = PER_NETWORK * (10 if named else 1)
    quantity = PER_BUYER if named else 1
    for number in range(most // quantity):
        body = {"email": f"made-up-{number}@example.org"} if named else {}
        assert ask(event, quantity, **body).status_code == 201
    made = list(Booking.objects.all())
    for booking in made:
        let_hold_lapse(booking)

    fresh = {"email": "fresh@example.org"} if named else {}
    swept_not = ask(event, **fresh)
    services.sweep_expired_holds()
    swept = ask(event, **fresh)
    # Each lapses ten minutes earlier than before, and so many seconds: 29 minutes ago, and then 30.
    for booking in made:
        let_hold_lapse(booking, seconds=19 * 60)
    almost = ask(event, **fresh)
    for booking in made:
        let_hold_lapse(booking, seconds=-9 * 60)
    later = ask(event, **fresh)

    assert statuses([swept_not, swept, almost, later]) == [422, 422, 422, 201]
