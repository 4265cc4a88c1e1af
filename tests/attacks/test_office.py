"""What no right opens in the office: sold tickets, money, and what was kept from its pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from bookings.models import ApiKey, User
from events.models import Ticket
from tests.attacks.test_forms import rows
from tests.attacks.test_mass_assignment import hostile_fields
from tests.attacks.world import World
from tests.factories import make_user

pytestmark = pytest.mark.django_db

# No page shows them, so no list may be narrowed by them: that would tell them a letter at a time.
SECRET = {"password", "key_hash", "access_token_hash", "payload", "redirect_url"}


@pytest.fixture
def office() -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(make_user(is_staff=True, is_superuser=True))
    return client


def page_of(model: type[Model], name: str, *arguments: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)


def test_no_form_of_the_office_rewrites_what_was_sold(world: World, office: Client):
    """Bookings, payments, books, refunds, notices, mails, scans and tickets change through services alone."""
    facts = [
        model
        for model in admin.site._registry
        if model._meta.app_label in {"bookings", "door", "outbox"} and model not in {User, ApiKey}
    ]
    form = hostile_fields(world) | {"post": "yes", "action": "delete_selected"}
    before = rows()
    refused: dict[str, set[int]] = {"add": set(), "change": set(), "delete": set()}

    for model in [*facts, Ticket]:
        refused["add"].add(office.post(page_of(model, "add"), form).status_code)
        for row in model._default_manager.all()[:2]:
            for name in ("change", "delete"):
                refused[name].add(office.post(page_of(model, name, row.pk), form).status_code)
            office.post(page_of(model, "changelist"), form | {"_selected_action": [row.pk]})

    assert rows() == before
    assert refused == {"add": {403}, "change": {403}, "delete": {403}}
    assert len(facts) >= 8


def secret_lookups() -> Iterator[tuple[type[Model], str]]:
    """Each list with each column that it must not be narrowed by: its own, and those of rows beside it."""
    for model in admin.site._registry:
        for column in model._meta.get_fields():
            if column.name in SECRET:
                yield model, column.name
            if column.is_relation and column.related_model:
                beside = {other.name for other in column.related_model._meta.get_fields()}
                yield from ((model, f"{column.name}__{name}") for name in SECRET & beside)


def test_no_list_of_the_office_is_narrowed_by_what_it_does_not_show(world: World, office: Client):
    lookups = list(secret_lookups())
    told = [
        (model.__name__, name)
        for model, name in lookups
        if office.get(page_of(model, "changelist"), {f"{name}__startswith": "p"}).status_code != 400
    ]

    assert told == []
    assert (ApiKey, "key_hash") in lookups
