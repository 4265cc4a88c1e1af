"""A database that says nothing: requests are cut off from it, told at once, and served when it is back."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from django.db import OperationalError, connection, connections
from django.db.backends.postgresql import base

from ticketing import middleware
from ticketing.database_away import Watch, is_database_away, says_anything
from ticketing.local.engines import Postgres

pytestmark = pytest.mark.django_db(transaction=True)


def wait_until(fact: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_request_without_an_end_is_cut_off_from_the_database():
    watch = Watch(suspicious=0.2, silent=5, patience=0.5)
    began = time.monotonic()

    with pytest.raises(OperationalError) as caught, watch.over_request(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(30)")
    connection.close()

    # The role's own timeout comes later.
    assert time.monotonic() - began < 5
    assert is_database_away(caught.value)
    # The server answers others, so it is not taken for silent.
    assert not watch.is_database_silent


def test_request_after_one_that_took_long_is_left_alone():
    watch = Watch(suspicious=0.2, silent=5, patience=2)
    with watch.over_request():
        time.sleep(1.5)

    with watch.over_request(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(1)")
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


@pytest.fixture
def server(monkeypatch) -> Iterator[Postgres]:
    """A database server of the test's own, for threads that connect from now on."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-test-"))
    folder.chmod(0o711)
    engine = Postgres(folder / "postgres", throwaway=True)
    engine.start()
    where = {"HOST": str(engine.sockets), "PORT": "5432", "NAME": "holdfast", "USER": "holdfast"}
    for name, value in where.items():
        monkeypatch.setitem(connections.settings["default"], name, value)
    yield engine
    engine.stop()


@contextmanager
def frozen(server: Postgres) -> Iterator[None]:
    postmaster = psutil.Process(server.pid)
    # It first: of its children none begins then, and one that ends stays to be asked after.
    postmaster.suspend()
    children = postmaster.children()
    for child in children:
        child.suspend()
    try:
        yield
    finally:
        postmaster.resume()
        for child in children:
            # As soon as it goes on, the first process may end one of the others.
            with suppress(psutil.NoSuchProcess):
                child.resume()


def test_frozen_database_is_noticed_and_so_is_its_return(server, caplog):
    watch = Watch(suspicious=0.1, silent=0.5, patience=60)
    errors, is_connected, is_frozen = [], threading.Event(), threading.Event()

    def ask() -> None:
        try:
            with watch.over_request(), connection.cursor() as cursor:
                is_connected.set()
                is_frozen.wait()
                cursor.execute("SELECT 1")
        except OperationalError as error:
            errors.append(error)
        finally:
            connection.close()

    asking = threading.Thread(target=ask)
    asking.start()
    is_connected.wait()
    with frozen(server):
        is_frozen.set()

        asking.join(timeout=20)
        assert [is_database_away(error) for error in errors] == [True]
        wait_until(lambda: watch.is_database_silent)
        time.sleep(2)

    wait_until(lambda: "answers again" in caplog.text)
    assert not watch.is_database_silent
    # Not again and again, while it lasts.
    said = [record.getMessage() for record in caplog.records if record.name == "ticketing.database_away"]
    assert said == [
        "The database says nothing: requests are not kept waiting for it.",
        "The database answers again.",
    ]


def test_one_host_that_answers_is_enough(server):
    where = connection.get_connection_params()
    answering = where | {"host": str(server.sockets), "port": "5432"}
    nobody_there = where | {"host": str(server.sockets), "port": "1"}
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        hosts = {
            "answers": answering,
            "refuses": nobody_there,
            "says nothing": where | {"host": "127.0.0.1", "port": str(port)},
            "one of two says nothing": where
            | {"host": f"127.0.0.1,{server.sockets}", "port": f"{port},5432"},
        }

        assert [name for name, host in hosts.items() if not says_anything(host, within=0.3)] == [
            "says nothing"
        ]


@pytest.fixture
def other_thread() -> Iterator[ThreadPoolExecutor]:
    """One that connects for itself."""
    with ThreadPoolExecutor(1) as executor:
        yield executor
        executor.submit(connections.close_all)


def test_who_waits_for_a_connection_is_told_that_the_database_says_nothing(server, other_thread, monkeypatch):
    with frozen(server):
        connecting = other_thread.submit(connection.ensure_connection)
        time.sleep(0.3)
        assert not connecting.done()

        began = time.monotonic()
        monkeypatch.setattr(middleware.watch, "is_database_silent", True)
        error = connecting.exception()

        # Sooner than `connect_timeout`.
        assert time.monotonic() - began < 1.5
    assert (type(error), str(error)) == (OperationalError, "the database has stopped saying anything")


def test_nobody_connects_to_a_database_that_is_known_to_be_silent(other_thread, monkeypatch):
    monkeypatch.setattr(middleware.watch, "is_database_silent", True)

    error = other_thread.submit(connection.ensure_connection).exception()

    assert (type(error), str(error)) == (OperationalError, "the database says nothing")


@pytest.mark.parametrize("path", ["/", "/api/v1/events/"])
def test_nobody_waits_for_a_silent_database(client, monkeypatch, path):
    monkeypatch.setattr(middleware.watch, "is_database_silent", True)

    response = client.get(path)

    assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
    assert "Content-Security-Policy" in response.headers


def test_whether_a_connection_is_good_is_asked_of_its_socket(monkeypatch):
    """The server is asked only where it said something unasked, as when it hangs up."""
    asked = []
    django_asks = base.DatabaseWrapper.is_usable
    monkeypatch.setattr(base.DatabaseWrapper, "is_usable", lambda it: asked.append(1) or django_asks(it))
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [process] = cursor.fetchone()
    assert (other.is_usable(), asked) == (True, [])

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [process])

    assert (other.is_usable(), asked) == (False, [1])
    other.close()
    assert (other.is_usable(), asked) == (False, [1])
