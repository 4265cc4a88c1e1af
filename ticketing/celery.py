"""The Celery application. Its timetable is `CELERY_BEAT_SCHEDULE` in the settings.

Every entry of it is safe to run twice, at once, or never: rows in the database say what is
to be done, and a task that finds nothing to do ends at once.
"""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ticketing.settings")

app = Celery("ticketing")
app.config_from_object("django.conf:settings", namespace="CELERY")
# For every thread, not this one alone: a web server answers in others.
app.set_default()
app.autodiscover_tasks()
