"""Settings of the web server and the worker that are killed: as in a test, on a hasty timetable."""

from celery.signals import worker_ready

from tests.proof.timetable import hasty, say_ready
from tests.worker_settings import *  # noqa: F403
from tests.worker_settings import CELERY_BEAT_SCHEDULE

CELERY_BEAT_SCHEDULE = hasty(CELERY_BEAT_SCHEDULE)
# One machine plays all buyers.
API_WRITES_PER_MINUTE = API_READS_PER_MINUTE = HOLD_TICKETS_PER_ADDRESS = 1_000_000

worker_ready.connect(say_ready)
