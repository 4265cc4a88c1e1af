"""Starting the stand-in from a test, and talking to its controls."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[3]
API_KEY = "sk_test_strict"
WEBHOOK_SECRET = "whsec_strict"


class StrictStripeProcess:
    """The stand-in in a process of its own, on a free port."""

    def __init__(self, *, webhook_url: str = "") -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.gateways.strict_stripe"),
                *("--api-key", API_KEY, "--webhook-secret", WEBHOOK_SECRET, "--webhook-url", webhook_url),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        self._client = httpx.Client(base_url=self.url, timeout=30)

    def stop(self) -> None:
        self._client.close()
        self._process.kill()
        self._process.wait(timeout=10)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def tell(self, control: str, **told: Any) -> Any:
        """Use a control; `server.py` lists them."""
        return self._client.post(f"/_control/{control}", json=told).raise_for_status().json()

    def fail(self, kind: str, **told: Any) -> None:
        """Let something go wrong; `faults.py` lists what can."""
        self.tell("fault", kind=kind, **told)

    def pay(self, session_id: str, card: str = "4242424242424242") -> str:
        """Play the buyer; returns what became of the card."""
        return str(self.tell("pay", session=session_id, card=card))

    def ledger(self) -> list[dict[str, Any]]:
        """A line for each intent: payment, booking, status, amount, captured, refunded, …"""
        return list(self.tell("ledger"))

    def requests(self, *, path: str = "", method: str = "") -> list[dict[str, Any]]:
        """The requests so far whose path has this in it."""
        return [one for one in self.tell("requests") if path in one["path"] and method in {"", one["method"]}]
