"""Imported by a program with a wrong clock, and by every process that it starts, before all else."""

import os
import sys
from datetime import timedelta

# time_machine would bring pytest along, where there is one: most of a second, and no part of the program.
sys.modules["pytest"] = None
import time_machine  # noqa: E402

del sys.modules["pytest"]

time_machine.travel(timedelta(seconds=int(os.environ["CLOCK_OFF_BY_SECONDS"]))).start()
