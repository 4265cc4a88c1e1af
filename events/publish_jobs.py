"""Publishing in the background: the wish is a row, and a worker does what the rows say."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from events.exceptions import OrganiserError
from events.models import Event, PublishJob
from events.services import publish_event

logger = logging.getLogger(__name__)

# Longer than any one step of publishing, which the statement timeout bounds.
LEASE = timedelta(seconds=60)


def request_publication(event: Event) -> PublishJob:
    """Ask for the event to be published; the open job is returned again where there is one."""
    with transaction.atomic():
        # One organiser at a time, or the second click would meet the constraint.
        Event.objects.select_for_update(no_key=True).get(pk=event.pk)
        job = event.publish_jobs.filter(status__in=["queued", "running"]).first()
        return job or PublishJob.objects.create(event=event)


def run_waiting_jobs() -> int:
    """Do all jobs that wait, or whose worker died; says how many. Safe to run twice at once."""
    count = 0
    while job := _take_job():
        _run(job)
        count += 1
    return count


def _take_job() -> PublishJob | None:
    with transaction.atomic():
        waiting = PublishJob.objects.filter(Q(status="queued") | Q(status="running", taken_until__lte=Now()))
        rows = waiting.select_related("event").order_by("created_at", "id")
        job = rows.select_for_update(skip_locked=True, of=("self",)).first()
        if job is not None:
            _update(job, status=PublishJob.Status.RUNNING, taken_until=Now() + LEASE)
        return job


def _run(job: PublishJob) -> None:
    def show_progress(done: int, total: int) -> None:
        _update(job, done=done, total=total, taken_until=Now() + LEASE)

    try:
        publish_event(job.event, progress=show_progress)
    except OrganiserError as refusal:
        _update(job, status=PublishJob.Status.FAILED, error=str(refusal))
    except Exception:
        logger.exception("Publishing event %s failed.", job.event_id)
        reason = _("Something went wrong on our side. What was done so far is kept: publish it once more.")
        _update(job, status=PublishJob.Status.FAILED, error=reason)
    else:
        total = job.event.tickets.count()
        _update(job, status=PublishJob.Status.DONE, done=total, total=total)


def _update(job: PublishJob, **values: object) -> None:
    PublishJob.objects.filter(pk=job.pk).update(**values)
