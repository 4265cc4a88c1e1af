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

from ticketing.local.processes import commands

START_SECONDS = 60.0


@dataclass(frozen=True)
class Server:
    """Where it listens, and the process that its workers are children of."""

    address: tuple[str, int]
    pid: int


@contextlib.contextmanager
def serving(**environment: str) -> Iterator[Server]:
    """Run the web server, with these variables besides the process's own, until the block ends."""
    port = _free_port()
    command = [sys.executable, *commands(port)["web"]]
    process = subprocess.Popen(command, env=os.environ | environment)  # noqa: S603
    try:
        _wait_until_it_answers(process, ("127.0.0.1", port))
        yield Server(("127.0.0.1", port), process.pid)
    finally:
        process.terminate()
        process.wait()


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
