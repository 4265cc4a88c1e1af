"""The WSGI application that granian serves."""

import contextlib
import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ticketing.settings")

application = get_wsgi_application()

# The first request of a process should not wait until all pages are imported.
get_resolver().url_patterns  # noqa: B018
# Threads take turns at the interpreter many times in a request: one that has just been given what it
# waited for should not push another off its core for that, which costs both. Valkey and the proxy may.
if hasattr(os, "SCHED_BATCH"):
    # Some sandboxes forbid it; the site is slower there.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
# What is imported stays: the collector need not look through it again and again, which was a quarter
# of a hold's time.
gc.collect()
gc.freeze()
