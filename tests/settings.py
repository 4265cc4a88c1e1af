"""The handful of values in which a test run differs from production."""

import os

from ticketing.settings import *  # noqa: F403
from ticketing.settings import (
    BASE_DIR,
    BROKER_DB,
    CACHE_DB,
    CACHES,
    DATABASES,
    LOCKS_DB,
    REDIS_URL,
    broker_url,
    same_server,
)

# Each worker of a parallel run has a database of its own; its cache is apart from the others' too.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    first = 3 * (1 + int(worker.removeprefix("gw")))
    CACHES["default"]["LOCATION"] = same_server(REDIS_URL, database=first + CACHE_DB)
    CACHES["locks"]["LOCATION"] = same_server(REDIS_URL, database=first + LOCKS_DB)
    CELERY_BROKER_URL = broker_url(REDIS_URL, database=first + BROKER_DB)

# A machine that is busy with tests shall not look like a cache that is away.
for cache in CACHES.values():
    cache["OPTIONS"]["CONNECTION_POOL_KWARGS"] |= {"socket_timeout": 1, "socket_connect_timeout": 1}

# Nor like a database that is away.
REQUEST_SUSPICIOUS_SECONDS, REQUEST_PATIENCE_SECONDS = 30.0, 120.0
# A test's transaction is as long as the test; the first of a run imports the whole site in it.
DATABASES["default"]["OPTIONS"]["options"] = "-c idle_in_transaction_session_timeout=60s"

# Hashing a password is slow on purpose, and no test is about its strength.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
# The manifest is made by collectstatic, which tests do not run.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
STATIC_ROOT = BASE_DIR / "static"
WHITENOISE_AUTOREFRESH = WHITENOISE_USE_FINDERS = True
