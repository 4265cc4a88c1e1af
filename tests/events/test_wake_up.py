from __future__ import annotations

import subprocess
import sys
import time

import pytest
from celery import Celery

from events import wake_up
from events.tasks import publish_waiting_events
from ticketing.celery import app


@pytest.fixture
def dead_broker(monkeypatch) -> Celery:
    """A worker's application whose broker refuses every connection."""
    # Celery asks the environment first.
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    away = Celery("away", broker="redis://127.0.0.1:1/0", set_as_current=False)
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
