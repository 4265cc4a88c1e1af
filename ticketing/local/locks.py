"""Who uses this checkout's engines: one owner at a time, and guests of the owner."""

import contextlib
import fcntl
import itertools
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ticketing.local import LocalError
from ticketing.local.paths import LOCAL

# After a kill -9, the time in which what is left of the last run ends by itself.
AFTERMATH_SECONDS = 20.0


class Lock:
    """A lock on a file that lasts until the last process which inherited it has ended.

    So whoever takes it knows that nothing of the last owner is left, however that owner ended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.set_inheritable(self._descriptor, True)

    def take(self, *, shared: bool = False, wait: float = 0) -> bool:
        """Try for `wait` seconds to take it, alone or with others; says whether it is ours."""
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.05)
            else:
                return True

    def write(self, **note: str) -> None:
        """Leave a note for those who find it taken."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps({"pid": os.getpid()} | note).encode(), 0)

    def read(self) -> dict[str, Any]:
        """The note of whoever has it; empty where that process wrote none, or is dead."""
        with contextlib.suppress(OSError, ValueError):
            note: dict[str, Any] = json.loads(self.path.read_text())
            if is_alive(note["pid"]):
                return note
        return {}

    def close(self) -> None:
        """Let go of it in this process."""
        os.close(self._descriptor)


def is_alive(pid: int) -> bool:
    """Whether a process of that number is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def owners_lock() -> Lock:
    """The lock that the owner of the engines holds, and all its children with it."""
    return Lock(LOCAL / "lock")


def guests_lock() -> Lock:
    """The lock that commands share which use another's engines."""
    return Lock(LOCAL / "guests")


@contextlib.contextmanager
def ownership(verb: str) -> Iterator[Lock]:
    """Own the engines of this checkout. Raises LocalError where somebody does."""
    lock = owners_lock()
    if not lock.take():
        owner = lock.read()
        if owner:
            raise LocalError(
                f"`make {owner['verb']}` is at work in this checkout, as process {owner['pid']}: "
                "end it there, or with `make stop`"
            )
        if not lock.take(wait=AFTERMATH_SECONDS):
            raise LocalError("what is left of the last run does not end: find it with `ps` and end it")
    lock.write(verb=verb)
    try:
        yield lock
    finally:
        lock.close()


@contextlib.contextmanager
def scratch_directory() -> Iterator[Path]:
    """A folder for one test run. One that a killed run left behind is emptied and used again."""
    (LOCAL / "test").mkdir(mode=0o711, exist_ok=True)
    for number in itertools.count(1):
        lock = Lock(LOCAL / "test" / f"{number}.lock")
        if lock.take():
            break
        lock.close()
    directory = LOCAL / "test" / str(number)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        lock.close()
