"""Settings of the web server and the worker that are killed: as in a test, on a hasty timetable."""

import os
from pathlib import Path

from celery.signals import worker_ready

from tests.worker_settings import *  # noqa: F403
from tests.worker_settings import CELERY_BEAT_SCHEDULE

# Turns of the others are a second apart; nobody is to be reminded of anything here.
SECONDS = {
    "bookings.reconcile_with_gateways": 10.0,
    "outbox.send_mails": 10.0,
    "outbox.queue_reminders": 1800.0,
}
CELERY_BEAT_SCHEDULE = {
    name: entry | {"schedule": SECONDS.get(name, 1.0), "options": {"expires": 10}}
    for name, entry in CELERY_BEAT_SCHEDULE.items()
}
# One machine plays all buyers.
API_WRITES_PER_MINUTE = API_READS_PER_MINUTE = HOLD_TICKETS_PER_ADDRESS = 1_000_000


@worker_ready.connect
def say_ready(**_facts: object) -> None:
    Path(os.environ["WORKER_READY_FILE"]).touch()
