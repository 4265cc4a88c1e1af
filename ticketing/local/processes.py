"""The web server, the Celery workers and beat, side by side under honcho.

A program of its own, so that a signal to it ends the application while the engines are still up.
"""

import contextlib
import functools
import os
import resource
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

from honcho.manager import Manager
from honcho.printer import Message, Printer
from honcho.process import Popen, Process

from ticketing.local.leash import follow_parent, leashed
from ticketing.local.paths import LOCAL

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

# How many connections a web worker takes in: those of idle browsers are among them, and whoever is
# beyond them waits until one of them hangs up. Each is an open file, of which half are ours to give.
OPEN_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
CONNECTIONS = 2048 if OPEN_FILES == resource.RLIM_INFINITY else min(2048, OPEN_FILES // 2)
# For glibc: with an arena for each thread, a web process took half as much again after 100,000 requests.
# The thresholds, in bytes, are those it begins with; set, they stay, and large blocks go back to the system.
ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "MALLOC_MMAP_THRESHOLD_": "131072",
}
# How many mails go out at once.
MAIL_SENDERS = 2


def commands(port: int, schedule: Path = LOCAL / "beat-schedule") -> dict[str, list[str]]:
    """What Python is to run, by the name it has in the output; `schedule` is a file for beat's memory."""
    workers = max(1, min(CORES, 4))
    granian = [
        "-m",
        "granian",
        "--interface",
        "wsgi",
        "--http",
        "1",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    granian += ["--workers", str(workers), "--blocking-threads", "8", "--no-ws"]
    granian += ["--backlog", "4096", "--backpressure", str(CONNECTIONS)]
    granian += ["--respawn-failed-workers", "--workers-kill-timeout", "3", "--log-level", "error"]
    # In a release, an old worker goes on until the new one has surely imported everything.
    granian += ["--respawn-interval", "8"]
    # Celery warns of root. Here that is the person's own choice, for a server on their own machine.
    celery = [
        "-W",
        "ignore::UserWarning:celery.platforms",
        "-m",
        "celery",
        "--quiet",
        "--app",
        "ticketing",
    ]

    def worker(queue: str, concurrency: int) -> list[str]:
        name = ["--queues", queue, "--hostname", f"{queue}@%h"]
        return [*celery, "worker", *name, "--concurrency", str(concurrency), "--loglevel", "warning"]

    return {
        "web": [*granian, "ticketing.wsgi:application"],
        "worker": worker("holdfast", workers),
        "mails": worker("holdfast-mails", MAIL_SENDERS),
        "beat": [*celery, "beat", "--schedule", str(schedule), "--pidfile=", "--loglevel", "warning"],
    }


class LeashedProcess(Process):  # type: ignore[misc]
    """A process of honcho's that ends, and ends its command in order, when honcho itself is killed."""

    cmd: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._child_ctor = functools.partial(Popen, close_fds=False)  # The checkout's lock goes along.

    def run(self, *args: Any, **kwargs: Any) -> None:
        follow_parent(signal.SIGKILL)
        self.cmd = "exec " + shlex.join(leashed(shlex.split(self.cmd), signal.SIGTERM))
        super().run(*args, **kwargs)


class LastingPrinter(Printer):  # type: ignore[misc]
    """Goes on without a word when the terminal has gone, so that everything still ends in order."""

    def write(self, message: Message) -> None:
        with contextlib.suppress(OSError):
            super().write(message)


def main(port: int) -> None:
    """Run them until one ends or a signal comes; then end them all."""
    manager = Manager(LastingPrinter(sys.stdout))
    manager._process_ctor = LeashedProcess
    for name, command in commands(port).items():
        manager.add_process(name, shlex.join([sys.executable, *command]), env={**os.environ, **ENVIRONMENT})
    manager.loop()
    sys.exit(manager.returncode)


if __name__ == "__main__":
    main(int(sys.argv[1]))
