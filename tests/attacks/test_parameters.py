"""Query parameters that would reach into the database: lookups, orders, pages and cursors of others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client

from tests.attacks.routes import Route, all_routes
from tests.attacks.test_authorisation import is_of_programs
from tests.attacks.world import World
from tests.factories import make_user

pytestmark = pytest.mark.django_db

# A view that handed its parameters to a query would fall over the first, and obey the others.
REACHING = {
    "made_up__startswith": "x",
    "_connector": "OR 1=1 OR",
    "_negated": "1",
    "pk__in": "1,2",
    "id": "1",
    "status__startswith": "d",
    "account__password__startswith": "p",
    "booking__access_token_hash__regex": "^a",
    "order_by": "account__password",
    "sort": "-made_up",
    "fields": "password",
    "include": "account",
    "limit": "1000000",
    "offset": "1000000",
}
# Where it is known, none of these is a value of it; where it is not, nothing of that name is.
OUT_OF_RANGE = [
    ("ordering", "account__password"),
    ("ordering", "?"),
    ("page_size", "1000000"),
    ("page_size", "-1"),
    ("page_size", "9" * 5000),
    ("cursor", "cD0lMDA="),
    ("cursor", "bz0tMQ=="),
    ("cursor", "\0"),
    ("cursor", "!!!!"),
    ("cursor", ""),
]


def addresses_of_the_api() -> Iterator[Route]:
    return (route for route in all_routes() if route.name.startswith("api:"))


@pytest.fixture
def office() -> Client:
    """Sees everything that there is, so that nothing is refused for another reason."""
    client = Client(raise_request_exception=False)
    client.force_login(make_user(is_staff=True, is_superuser=True))
    return client


def test_no_lookup_is_a_parameter_of_the_api(world: World, office: Client):
    taken = {}
    for route in addresses_of_the_api():
        answer = office.get(route.address(world), REACHING)
        errors = answer.json().get("errors", [])
        unknown = {error["field"] for error in errors if error["code"] == "unknown"}
        if (answer.status_code, unknown) != (400, set(REACHING)):
            taken[route.name] = (answer.status_code, set(REACHING) - unknown)

    assert taken == {}


@pytest.mark.parametrize(("name", "value"), OUT_OF_RANGE)
def test_the_api_takes_no_order_page_or_cursor_but_its_own(
    world: World, office: Client, name: str, value: str
):
    answers = {
        route.name: office.get(route.address(world), {name: value}).status_code
        for route in addresses_of_the_api()
    }

    assert set(answers.values()) == {400}, answers


def test_no_lookup_breaks_a_page(world: World, office: Client):
    """A page leaves what it does not know alone, as newsletters add to addresses; the search says so."""
    nobody, alice = (Client(raise_request_exception=False) for _ in range(2))
    alice.force_login(world.alice)
    unlike = {}
    for route in all_routes():
        address = route.address(world)
        if is_of_programs(address) or address.startswith(("/admin/", "/search/")):
            continue
        for who in (nobody, alice, office):
            plain, reaching = (who.get(address, parameters).status_code for parameters in ({}, REACHING))
            if plain != reaching:
                unlike[route.pattern] = (plain, reaching)

    assert unlike == {}
    assert nobody.get("/search/", REACHING).status_code == 400
