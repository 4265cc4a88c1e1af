"""A box office that keeps the contract's shapes but not its promises: it gives everybody the same ticket."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

TIER = 7


class StandIn(BaseHTTPRequestHandler):
    """Has one seat of one price tier, always free. `pays_at` is where buyers are sent to pay."""

    protocol_version = "HTTP/1.1"
    seats = [1]
    pays_at = "/sandbox/pay/sbx_1/"
    # By method and the end of the path: after so many usual answers, another one.
    instead: dict[tuple[str, str], tuple[int, tuple[int, str, Any]]] = {}
    asked: Counter[tuple[str, str]]

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server looks for these names.

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        sent = self.rfile.read(length)
        path = self.path.partition("?")[0]
        for (method, end), (spared, answer) in self.instead.items():
            if self.command == method and path.endswith(end):
                self.asked[method, end] += 1
                if self.asked[method, end] > spared:
                    return self._send(*answer)
        if not path.startswith("/api/v1/"):
            return self._send(200, "text/html", {})
        return self._send(*self._api(path.removeprefix("/api/v1"), sent))

    def _api(self, path: str, sent: bytes) -> tuple[int, str, Any]:
        match self.command, path.strip("/").split("/"):
            case "GET", ["events", slug]:
                return 200, "application/json", self._event(slug)
            case "GET", ["events", _slug, "tickets"]:
                return 200, "application/json", {"next": None, "results": [self._ticket()]}
            case "GET", ["events", _slug, "availability"]:
                tiers = [{"id": TIER, "available": 1}]
                return 200, "application/json", {"version": "1", "statuses": "AA==", "price_tiers": tiers}
            case "POST", ["bookings"]:
                return 201, "application/json", self._booking(str(uuid4()), "reserved", access_token="secret")
            case "POST", ["bookings", _id, "payments"]:
                page = self.pays_at if "//" in self.pays_at else self._origin + self.pays_at
                return 201, "application/json", {"redirect_url": page}
            case "DELETE", ["bookings", _id]:
                return 204, "application/json", None
            case "PATCH", ["bookings", booking]:
                return 200, "application/json", self._booking(booking, "reserved")
            case "GET", ["bookings", booking]:
                return 200, "application/json", self._booking(booking, "booked")
        return 404, "application/problem+json", {"code": "not_found"}

    def _event(self, slug: str) -> dict[str, Any]:
        tier = {"id": TIER, "price": "10.00", "seated": True, "available": 1}
        return {
            "slug": slug,
            "title": "One seat \x1b[31mfor all",
            "sale_state": "on_sale",
            "max_tickets_per_booking": 1,
            "price_tiers": [tier],
            "availability": {"available": 1},
        }

    def _ticket(self) -> dict[str, Any]:
        return {"id": 1, "position": 0, "price_tier": TIER, "seat": "1"}

    def _booking(self, booking: str, status: str, **more: str) -> dict[str, Any]:
        times = {"server_time": "2026-01-01T10:00:00+00:00", "expires_at": "2026-01-01T10:10:00+00:00"}
        return {"id": booking, "status": status, "tickets": [{"id": 1}], **times, **more}

    @property
    def _origin(self) -> str:
        return f"http://{self.headers['Host']}"

    def _send(self, status: int, kind: str, told: Any) -> None:
        body = b"" if told is None else json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("RateLimit-Policy", f'"{"reads" if self.command == "GET" else "writes"}";q=30;w=60')
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_facts: Any) -> None:
        """Nobody reads it."""


@contextmanager
def standing_in(**told: Any) -> Iterator[str]:
    """The address of a stand-in with these facts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Told", (StandIn,), {"asked": Counter(), **told}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
