"""The web server, the worker and the gateway's stand-in, each a process that can be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from ticketing.local.leash import leashed

GRANIAN = [
    "-m",
    "granian",
    "--interface",
    "wsgi",
    "--host",
    "127.0.0.1",
    "--workers",
    "1",
    "--blocking-threads",
    "8",
]
CELERY = ["-m", "celery", "--quiet", "--app", "ticketing", "worker", "--beat", "--concurrency", "2"]
CELERY += ["--queues", "holdfast,holdfast-mails"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# The kernel ends what is on a leash with the thread that started it, and who kills and starts comes and goes.
STARTER = ThreadPoolExecutor(1)


class Program:
    """A program with its children, in a group that one signal kills; it ends when this process does."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self.name = name
        self.kills = 0
        self._command = [sys.executable, "-W", "ignore", *command]
        self._environment = environment
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **settings: str) -> None:
        """Start it, with further settings for this once."""
        environment = {**self._environment, **settings}
        command = leashed(self._command, signal.SIGTERM)
        with self._log.open("ab") as log:
            self._process = STARTER.submit(
                subprocess.Popen, command, env=environment, stdout=log, stderr=log, start_new_session=True
            ).result()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """A signal to it and everything it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    @property
    def has_died(self) -> bool:
        """Whether it ended, and nobody here ended it."""
        return self._process is not None and self._process.poll() is not None

    def kill(self) -> None:
        """SIGKILL for it and everything it started; nobody has time to say goodbye."""
        if self._process is not None:
            self.send(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """SIGTERM for itself alone, and wait until it has ended its work."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(timeout=60)
        self._process = None


class Site:
    """Holdfast and its gateway on free ports, over the database and the cache that `settings` name."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.gateway_url = f"http://127.0.0.1:{free_port()}"
        self._worker_ready = folder / "worker-ready"
        environment = {
            **os.environ,
            "SITE_URL": self.url,
            "SECURE": "0",
            "EMAIL_FILE_PATH": str(folder / "mail"),
            "WORKER_READY_FILE": str(self._worker_ready),
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
            **self.gateway_settings,
        }
        for name in ("PYTEST_XDIST_WORKER", "REDIS_LOCKS_URL", "PYTHONDONTWRITEBYTECODE"):
            environment.pop(name, None)
        environment |= settings
        stand_in = ["-m", "tests.gateways.strict_stripe", "--port", self.gateway_url.rpartition(":")[2]]
        stand_in += [
            "--webhook-url",
            f"{self.url}/api/v1/webhooks/payments/stripe/",
            "--webhook-secret",
            "whsec_kill",
        ]
        web = [*GRANIAN, "--port", str(self.port), "--log-level", "error"]
        worker = [*CELERY, "--schedule", str(folder / "schedule"), "--loglevel", "warning"]
        self.folder, self.environment = folder, environment
        self.gateway = self.program("gateway", stand_in)
        self.web = self.program("web", [*web, "ticketing.wsgi:application"])
        self.worker = self.program("worker", worker)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def programs(self) -> list[Program]:
        return [self.gateway, self.web, self.worker]

    def program(self, name: str, command: list[str], **settings: str) -> Program:
        return Program(name, command, {**self.environment, **settings}, self.folder)

    @property
    def gateway_settings(self) -> dict[str, str]:
        return {
            "PAYMENT_GATEWAY": "stripe",
            "STRIPE_SECRET_KEY": "sk_test_strict",
            "STRIPE_WEBHOOK_SECRET": "whsec_kill",
            "STRIPE_API_BASE": self.gateway_url,
        }

    @contextlib.contextmanager
    def running(self) -> Iterator[Site]:
        try:
            for program in self.programs:
                program.start()
            self.wait_for_web()
            self.wait_for_worker()
            yield self
        finally:
            for program in self.programs:
                program.kill()

    def kill_and_start(self, program: Program) -> None:
        """Back only once it works again: who is killed while it starts has no money in its hands."""
        program.kill()
        program.kills += 1
        if program is self.worker:
            self._worker_ready.unlink()
        program.start()
        if program is self.worker:
            self.wait_for_worker()
        else:
            self.wait_for_web()

    def wait_for_worker(self, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not self._worker_ready.exists():
            assert time.monotonic() < deadline, "the worker does not start"
            time.sleep(0.1)

    def wait_for_web(self, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/robots.txt", timeout=2).is_success:
                    return
            assert time.monotonic() < deadline, "the web server does not answer"
            time.sleep(0.1)

    def tell_gateway(self, name: str, **told: object) -> object:
        """Set one of the stand-in's controls."""
        return httpx.post(f"{self.gateway_url}/_control/{name}", json=told, timeout=30).json()

    def ledger(self) -> list[dict]:
        return httpx.get(f"{self.gateway_url}/_control/ledger", timeout=60).json()
