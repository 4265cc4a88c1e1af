"""How hard the attacks try: `make attack EXAMPLES=500` tries harder than `make test` does."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from django.db import connection

from tests.attacks.web import Web
from tests.attacks.world import World, make_world

EXAMPLES = int(os.environ.get("EXAMPLES") or 5)


@pytest.fixture
def world(settings) -> World:
    """Everything that an address can name; and limits that let all attacks pass but those on the limits."""
    settings.API_READS_PER_MINUTE = settings.API_WRITES_PER_MINUTE = 1_000_000
    with connection.cursor() as cursor:
        # Some tests ask for hundreds of pages in one transaction, and look at each in between.
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '10min'")
    return make_world()


@pytest.fixture(scope="session")
def web(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A web server that lets every attack pass its limits; for tests with committed rows."""
    started = Web(tmp_path_factory.mktemp("web")).start()
    yield started
    started.kill()
