"""Settings of a Celery worker that a test starts in a process of its own."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

DATABASES["default"]["NAME"] = os.environ["WORKER_DATABASE_NAME"]
# Real files, as another process cannot look into this one's outbox.
EMAIL_BACKEND = os.environ.get("WORKER_EMAIL_BACKEND", "django.core.mail.backends.filebased.EmailBackend")
