"""The web server as `make run` starts it, on a free port."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ticketing.local.processes import ENVIRONMENT, commands

START_SECONDS = 60.0


@dataclass(frozen=True)
class Server:
    """Where it listens, and the process that has the workers as its children."""

    address: tuple[str, int]
    pid: int

    def memory(self) -> dict[int, int]:
        """The bytes that each worker has for itself, by its process id.

        Anonymous memory alone: what a worker shares with others, as the text of libraries, does
        not grow with its work and would make growth look small.
        """
        sizes = {}
        for pid in _children(self.pid):
            if size := anonymous_bytes(Path(f"/proc/{pid}/status").read_text()):
                sizes[pid] = size
        return sizes


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """Run the web server until the block ends."""
    address = ("127.0.0.1", _free_port())
    command = [sys.executable, *commands(address[1])["web"]]
    process = subprocess.Popen(command, env={**os.environ, **ENVIRONMENT})  # noqa: S603
    try:
        _wait_until_it_answers(process, address)
        yield Server(address, process.pid)
    finally:
        process.terminate()
        process.wait()


def anonymous_bytes(status: str) -> int:
    """What a process's `/proc/…/status` says of its anonymous resident memory; 0 for none."""
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(lines.get("RssAnon", "0 kB").split()[0]) * 1024


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_answers(process: subprocess.Popen[bytes], address: tuple[str, int]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(address, timeout=1):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the web server does not start")
        time.sleep(0.1)
