"""Production's settings, with empty views beside the real ones and room for a load from one address."""

from ticketing.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.urls"
