"""Production's settings, with empty views beside the real ones."""

from ticketing.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.urls"
