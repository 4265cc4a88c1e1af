"""Publishing in the background."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError
from django.utils import timezone

from events import publish_jobs, services
from events.models import Event, PriceTier, PublishJob
from events.tasks import publish_waiting_events
from tests.factories import make_event

pytestmark = pytest.mark.django_db


def make_draft(quantity: int = 3) -> Event:
    event = make_event(status="draft")
    PriceTier.objects.create(event=event, name="Standing", price=Decimal(5), quantity=quantity)
    return event


def test_publish_waiting_events_publishes_and_says_so() -> None:
    event = make_draft()
    job = publish_jobs.request_publication(event)

    publish_waiting_events()
    publish_waiting_events()

    job.refresh_from_db()
    event.refresh_from_db()
    assert (job.status, job.done, job.total, job.error) == ("done", 3, 3, "")
    assert (event.status, event.tickets.count()) == ("published", 3)


def test_request_publication_twice_is_one_job() -> None:
    event = make_draft()

    assert publish_jobs.request_publication(event) == publish_jobs.request_publication(event)

    assert PublishJob.objects.count() == 1


def test_publish_job_one_open_per_event() -> None:
    event = make_draft()
    publish_jobs.request_publication(event)

    with pytest.raises(IntegrityError, match="publish_job_one_open_per_event"):
        PublishJob.objects.create(event=event)


def test_refused_job_says_why() -> None:
    job = publish_jobs.request_publication(make_event(status="draft"))

    publish_waiting_events()

    job.refresh_from_db()
    assert (job.status, job.error) == ("failed", "Nothing is for sale yet: add a price tier first.")


def test_job_of_a_dead_worker_is_taken_up_and_a_live_one_is_not() -> None:
    dead, live = make_draft(), make_draft()
    now = timezone.now()
    PublishJob.objects.create(event=dead, status="running", taken_until=now - timedelta(seconds=1))
    PublishJob.objects.create(event=live, status="running", taken_until=now + timedelta(seconds=50))

    assert publish_jobs.run_waiting_jobs() == 1

    assert dead.tickets.count() == 3
    assert live.tickets.count() == 0


def test_unexpected_failure_ends_the_job_with_a_plain_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    job = publish_jobs.request_publication(make_draft())

    def fail(*args: object) -> int:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(services, "_make_general_admission", fail)

    assert publish_jobs.run_waiting_jobs() == 1

    job.refresh_from_db()
    assert job.status == "failed"
    assert "secret" not in job.error
    assert job.error.startswith("Something went wrong on our side.")
