"""Settings of a web server that a test starts in a process of its own and attacks."""

import os

from tests.worker_settings import *  # noqa: F403

# As `make test` has it, with the limits that the test asks for.
API_READS_PER_MINUTE = API_WRITES_PER_MINUTE = int(os.environ["ATTACK_CALLS_PER_MINUTE"])
