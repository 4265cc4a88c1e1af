"""Everything a machine needs to run or test Holdfast by itself: engines, secrets, processes.

Production imports none of it. `python -m ticketing.local` is what the Makefile calls.
"""

import contextlib


class LocalError(Exception):
    """A reason not to go on, told to the person in one line and without a trace."""


def say(line: str) -> None:
    """Print a line, unless the terminal it would appear on has gone."""
    with contextlib.suppress(OSError):
        print(line, flush=True)
