"""Settings under faults: production's own, its time limits above all, on a hasty timetable."""

from celery.signals import worker_ready

from tests.proof.timetable import hasty, say_ready
from ticketing.settings import *  # noqa: F403
from ticketing.settings import BASE_DIR, CELERY_BEAT_SCHEDULE

CELERY_BEAT_SCHEDULE = hasty(CELERY_BEAT_SCHEDULE)
# The manifest is made by collectstatic, which is left out here.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
STATIC_ROOT = BASE_DIR / "static"

worker_ready.connect(say_ready)
