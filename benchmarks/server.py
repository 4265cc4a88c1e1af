"""The web server as `make run` starts it, on a free port."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from ticketing.local.processes import commands

START_SECONDS = 60.0


@contextlib.contextmanager
def serving() -> Iterator[tuple[str, int]]:
    """Run the web server until the block ends; gives the address it listens on."""
    address = ("127.0.0.1", _free_port())
    process = subprocess.Popen([sys.executable, *commands(address[1])["web"]])  # noqa: S603
    try:
        _wait_until_it_answers(process, address)
        yield address
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
