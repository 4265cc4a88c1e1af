from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from celery import Celery

from events import wake_up
from events.tasks import publish_waiting_events
from ticketing.celery import app
from ticketing.local.engines import Valkey


@pytest.fixture
def dead_broker(monkeypatch) -> Celery:
    """A worker's application whose broker refuses every connection."""
    # Celery asks the environment first.
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    return application_of("redis://127.0.0.1:1/0")


@pytest.fixture
def frozen_broker(monkeypatch) -> Iterator[Celery]:
    """A worker's application whose broker takes every connection, and says nothing."""
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        yield application_of(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")


def application_of(broker: str) -> Celery:
    away = Celery("away", broker=broker, set_as_current=False)
    away.conf.update(
        task_publish_retry_policy=app.conf.task_publish_retry_policy,
        broker_transport_options=app.conf.broker_transport_options,
    )
    return away


def test_waking_up_queues_the_task_for_the_workers():
    with app.connection_for_write() as connection:
        queue = connection.default_channel.client
        queue.delete("holdfast")

        wake_up.wake_up(publish_waiting_events)

        assert queue.llen("holdfast") == 1
        queue.delete("holdfast")


def test_worker_waits_for_a_broker_that_is_frozen_for_a_moment(tmp_path):
    broker = Valkey(tmp_path)
    broker.start()
    with app.connection_for_write(broker.broker_url(2)) as connection:
        client = connection.default_channel.client
        client.ping()
        broker.pause()
        threading.Timer(1.5, broker.resume).start()

        assert client.ping() is True
    broker.stop()


IN_A_THREAD_OF_THE_WEB_SERVER = """
import threading, ticketing.wsgi
from events.tasks import publish_waiting_events as task
def show(): print(task.app.main, task.app.conf.task_default_queue)
thread = threading.Thread(target=show)
thread.start()
thread.join()
"""


def test_web_server_sends_tasks_from_every_thread_to_where_the_workers_look():
    # In a process of its own, as this one has made the application for its main thread already.
    command = [sys.executable, "-c", IN_A_THREAD_OF_THE_WEB_SERVER]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    assert said == "ticketing holdfast\n"


def nobody_home() -> None:
    raise AssertionError


def test_dead_broker_costs_little_and_only_once(dead_broker: Celery, caplog):
    task = dead_broker.task(nobody_home)
    start = time.monotonic()

    for _ in range(100):
        wake_up.wake_up(task)

    assert time.monotonic() - start < 3
    assert [record.name for record in caplog.records] == ["events.breaker"]
    assert not wake_up.breaker.allows_call()


def test_frozen_broker_costs_a_quarter_of_a_second_and_only_once(frozen_broker: Celery, caplog):
    task = frozen_broker.task(nobody_home)
    seconds = []

    for _ in range(3):
        start = time.monotonic()
        wake_up.wake_up(task)
        seconds.append(time.monotonic() - start)

    # One step that is waited for, and no second try, which took three quarters of a second more.
    assert seconds[0] < 0.6
    assert max(seconds[1:]) < 0.05
    assert len(caplog.records) == 1
