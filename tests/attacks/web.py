"""The web server as production runs it: granian in a process of its own, over the test's database."""

from __future__ import annotations

import os
import time
from pathlib import Path

import httpx
from django.db import connection

from tests.proof.processes import GRANIAN, Program, free_port

MANY = 1_000_000


class Web:
    """One granian. `kill()` ends it; what it said is in `log`."""

    def __init__(self, folder: Path, *, name: str = "web", calls_per_minute: int = MANY, **more: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = folder / f"{name}.log"
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.attacks.web_settings",
            "WORKER_DATABASE_NAME": connection.settings_dict["NAME"],
            "SITE_URL": self.url,
            "SECURE": "0",
            "ATTACK_CALLS_PER_MINUTE": str(calls_per_minute),
            "EMAIL_FILE_PATH": str(folder / "mail"),
            **more,
        }
        port = self.url.rpartition(":")[2]
        command = [*GRANIAN, "--port", port, "--log-level", "error", "ticketing.wsgi:application"]
        self._program = Program(name, command, environment, folder)

    def start(self) -> Web:
        self._program.start()
        deadline = time.monotonic() + 120
        while not self._answers():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        return self

    def kill(self) -> None:
        self._program.kill()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/robots.txt", timeout=5).is_success
        except httpx.HTTPError:
            return False
