"""Imported by a program with a wrong clock, before all else.

Where libfaketime leaves the monotonic clock right, it makes every `clock_nanosleep` fail, by which
Python sleeps: the program would be broken, and not its clock.
"""

import select
import time


def sleep(seconds: float) -> None:
    select.select([], [], [], seconds)


time.sleep = sleep
