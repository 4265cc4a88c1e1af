"""Production's settings, with empty views beside the real ones, and without a line for each refusal."""

from ticketing.settings import *  # noqa: F403
from ticketing.settings import LOGGING

ROOT_URLCONF = "benchmarks.urls"
# Hundreds of refusals a second would bury the table that they are measured for.
LOGGING["loggers"]["django.request"] = {"level": "ERROR"}  # type: ignore[index]
