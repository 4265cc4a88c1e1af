"""The sandbox's notices on their way: each is sent once, and no worker is kept for long."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import httpx
import pytest

from bookings.sandbox import notices
from bookings.sandbox.models import SandboxIntent, SandboxNotice
from tests.utils import run_together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def three_notices() -> list[str]:
    intent = SandboxIntent.objects.create(idempotency_key="order-1", amount="20.00", currency="EUR")
    for event in ("authorised", "captured", "refunded"):
        notices.queue_notice(intent, event=event)
    return sorted(str(pk) for pk in SandboxNotice.objects.values_list("pk", flat=True))


def answer_with(monkeypatch, take: Callable[[str], int]) -> list[str]:
    """Have `take` answer each notice with a status; returns the ids that were sent, as they come."""
    sent: list[str] = []

    def post(_url: str, *, content: bytes, **_told: object) -> httpx.Response:
        sent.append(str(json.loads(content)["id"]))
        return httpx.Response(take(sent[-1]))

    monkeypatch.setattr(notices.httpx, "post", post)
    return sent


def test_notices_that_are_not_being_sent_yet_are_left_to_another_worker(monkeypatch, three_notices):
    others = []

    def take(_notice: str) -> int:
        if len(sent) == 1:
            others.extend(run_together([notices.deliver_notices]))
        return 200

    sent = answer_with(monkeypatch, take)

    assert notices.deliver_notices() == 1
    assert others == [2]
    assert sorted(sent) == three_notices


def test_notices_on_a_slow_server_keep_a_worker_for_a_turn_only(monkeypatch, three_notices):
    monkeypatch.setattr(notices, "TURN_SECONDS", 0.05)

    def take(_notice: str) -> int:
        time.sleep(0.1)
        return 200

    sent = answer_with(monkeypatch, take)

    assert [notices.deliver_notices() for _turn in range(4)] == [1, 1, 1, 0]
    assert sorted(sent) == three_notices


def test_notice_that_is_not_accepted_waits_before_it_is_sent_again(monkeypatch, three_notices):
    sent = answer_with(monkeypatch, lambda _notice: 503)

    assert [notices.deliver_notices() for _turn in range(2)] == [0, 0]
    assert sorted(sent) == three_notices
    assert set(SandboxNotice.objects.values_list("attempts", "delivered_at")) == {(1, None)}
