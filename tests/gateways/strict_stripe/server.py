"""The stand-in over HTTP: Stripe's API, the page where the buyer pays, and the controls.

Controls, all with JSON, at `/_control/`:
    POST configure  {"webhook_url", "webhook_secret", "notices", "notice_delay", "refunds"}, each optional
    POST fault      the fields of `faults.Fault`
    POST calm       no more faults
    POST forget_keys  the idempotency keys so far, as Stripe does after a day
    POST reset      a new, empty account without faults, and notices that are kept
    POST pay        {"session", "card"} as the buyer would; POST answer_bank {"session", "yes"}
    POST expire     {"session"} as time would; POST settle_refund {"refund", "status"}
    POST send_kept  the notices that were kept back
    GET  ledger     every intent with what was captured and refunded
    GET  requests   every request to the API: method, path, idempotency key, status
    GET  notices    {"kept": how many, "taken": the ids that were taken}
"""

from __future__ import annotations

import html
import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.gateways.strict_stripe.account import Account, Refusal
from tests.gateways.strict_stripe.faults import KINDS, Fault, Faults
from tests.gateways.strict_stripe.notices import Post
from tests.gateways.strict_stripe.parameters import check, parse
from tests.gateways.strict_stripe.shapes import new_id

ROUTES = [
    ("POST", r"/v1/checkout/sessions", "create_session"),
    ("GET", r"/v1/checkout/sessions", "list_sessions"),
    ("GET", r"/v1/checkout/sessions/(\w+)", "retrieve_session"),
    ("POST", r"/v1/checkout/sessions/(\w+)/expire", "expire_session"),
    ("GET", r"/v1/payment_intents", "list_intents"),
    ("GET", r"/v1/payment_intents/(\w+)", "retrieve_intent"),
    ("POST", r"/v1/payment_intents/(\w+)/capture", "capture_intent"),
    ("POST", r"/v1/payment_intents/(\w+)/cancel", "cancel_intent"),
    ("POST", r"/v1/refunds", "create_refund"),
    ("GET", r"/v1/refunds", "list_refunds"),
]
PAGE = """<!doctype html><html lang="en"><title>Pay</title><h1>{amount}</h1><p id="said">{said}</p>
<form method="post"><label>Card <input name="card_number"></label><button>Pay</button></form>
<form method="post"><button name="confirm" value="yes">Yes</button>
<button name="confirm" value="no">No</button></form></html>"""

Answer = tuple[int, dict[str, Any]]
SERVER_ERROR: Answer = (500, {"error": {"type": "api_error", "message": "Something went wrong at our end."}})


class HangUp(Exception):
    """Close the connection without an answer."""


class StrictStripe(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, *, api_key: str, post: Post) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.api_key = api_key
        self.post = post
        self.lock = threading.RLock()
        self.empty()

    def empty(self) -> None:
        self.faults = Faults()
        self.account = Account(url=f"http://127.0.0.1:{self.server_port}", on_event=self.post.add)
        self.requests: list[dict[str, Any]] = []
        # The answer for each idempotency key, with the request that it belongs to.
        self.answers: dict[str, tuple[str, Answer]] = {}

    def reset(self, _told: dict[str, Any]) -> None:
        self.post.forget()
        self.empty()

    # --- The API --------------------------------------------------------------------------

    def answer(self, method: str, path: str, form: str, key: str | None) -> tuple[Answer, bool]:
        """An answer, and whether it is an earlier one told again.

        As with Stripe, an answer is kept for its key once the request has begun to be worked on,
        also if it is a 500; parameters that are refused, and a wrong key, are not.
        """
        account = self.account
        fault = self.faults.take(method, path, kinds=KINDS - {"drip"})
        if fault:
            self._fail_before(fault)
        with self.lock:
            if self.account is not account:
                # While this was slow, another test began.
                raise HangUp
            if key and key in self.answers:
                answer, is_told_again = self._tell_again(key, f"{method} {path} {form}"), True
            else:
                answer, is_told_again = self._work(method, path, form, key, fault), False
        if fault and fault.kind in {"drop", "bad_gateway"}:
            if fault.kind == "drop":
                raise HangUp
            return (502, {}), False
        return answer, is_told_again

    def _fail_before(self, fault: Fault) -> None:
        if fault.kind == "lag":
            time.sleep(fault.seconds)
        elif fault.kind == "refuse":
            raise HangUp
        elif fault.kind == "error_before":
            raise Refusal(500, "", "Something went wrong at our end.", kind="api_error")
        elif fault.kind == "rate_limit":
            raise Refusal(429, "rate_limit", "Too many requests.")
        elif fault.kind == "conflict":
            message = "There is a request in progress with this key."
            raise Refusal(409, "idempotency_key_in_use", message, kind="idempotency_error")

    def _tell_again(self, key: str, request: str) -> Answer:
        earlier, answer = self.answers[key]
        if earlier != request:
            raise Refusal(
                400, "", "Keys may only be used with the same parameters.", kind="idempotency_error"
            )
        return answer

    def _work(self, method: str, path: str, form: str, key: str | None, fault: Fault | None) -> Answer:
        action, ids = _route(method, path)
        params = parse(form)
        check(action, params)
        expand = params.pop("expand", [])
        self.account.idempotency_key = key
        kind = fault.kind if fault else ""
        try:
            found = {} if kind == "error_kept" else getattr(self.account, action)(params, *ids)
            answer = (200, self.account.expand(found, [] if kind == "error_kept" else expand))
        except Refusal as refusal:
            answer = (refusal.status, refusal.body)
        if kind in {"error_kept", "error_after"}:
            answer = SERVER_ERROR
        if key and method == "POST":
            self.answers[key] = (f"{method} {path} {form}", answer)
        return answer

    # --- The controls ---------------------------------------------------------------------

    def control(self, name: str, told: dict[str, Any]) -> Any:
        with self.lock:
            return CONTROLS[name](self, told)

    def configure(self, told: dict[str, Any]) -> None:
        self.post.url = told.get("webhook_url", self.post.url)
        self.post.secret = told.get("webhook_secret", self.post.secret)
        self.post.mode = told.get("notices", self.post.mode)
        self.post.delay = told.get("notice_delay", self.post.delay)
        self.account.refunds_become = told.get("refunds", self.account.refunds_become)


CONTROLS: dict[str, Callable[[StrictStripe, dict[str, Any]], Any]] = {
    "configure": StrictStripe.configure,
    "reset": StrictStripe.reset,
    "forget_keys": lambda server, _told: server.answers.clear(),
    "fault": lambda server, told: server.faults.waiting.append(Fault(**told)),
    "calm": lambda server, _told: server.faults.waiting.clear(),
    "pay": lambda server, told: server.account.pay(told["session"], told["card"]),
    "answer_bank": lambda server, told: server.account.answer_bank(told["session"], yes=told["yes"]),
    "expire": lambda server, told: server.account.expire_session({}, told["session"]),
    "settle_refund": lambda server, told: server.account.settle_refund(told["refund"], told["status"]),
    "send_kept": lambda server, _told: server.post.send_kept(),
    "ledger": lambda server, _told: server.account.ledger(),
    "requests": lambda server, _told: server.requests,
    "notices": lambda server, _told: {"kept": len(server.post.kept), "taken": server.post.taken},
}


def _route(method: str, path: str) -> tuple[str, tuple[str, ...]]:
    for verb, pattern, action in ROUTES:
        if verb == method and (match := re.fullmatch(pattern, path)):
            return action, match.groups()
    raise Refusal(404, "", f"Unrecognized request URL ({method}: {path}).")


class Handler(BaseHTTPRequestHandler):
    server: StrictStripe
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._handle(urlsplit(self.path).query)

    def do_POST(self) -> None:
        self._handle(self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode())

    def _handle(self, form: str) -> None:
        path = urlsplit(self.path).path
        try:
            if path.startswith("/_control/"):
                told = json.loads(form) if self.command == "POST" and form else {}
                self._send_json(200, self.server.control(path.removeprefix("/_control/"), told))
            elif path.startswith("/pay/"):
                self._serve_page(path.removeprefix("/pay/"), parse_qs(form))
            else:
                self._serve_api(path, form)
        except Refusal as refusal:
            self._send_json(refusal.status, refusal.body)
        except HangUp:
            self.close_connection = True

    def _serve_api(self, path: str, form: str) -> None:
        key = self.headers.get("Idempotency-Key")
        noted = {"method": self.command, "path": path, "key": key, "form": form, "status": None}
        self.server.requests.append(noted)
        if self.headers.get("Authorization") != f"Bearer {self.server.api_key}":
            noted["status"] = 401
            raise Refusal(401, "", "Invalid API Key provided.")
        try:
            (status, body), is_told_again = self.server.answer(self.command, path, form, key)
        except Refusal as refusal:
            noted["status"] = refusal.status
            raise
        noted["status"] = status
        headers = {"Request-Id": new_id("req")}
        if key:
            headers["Idempotency-Key"] = key
        if is_told_again:
            headers["Idempotent-Replayed"] = "true"
        self._send_json(status, body, headers)

    def _serve_page(self, session_id: str, told: dict[str, list[str]]) -> None:
        session = self.server.account.retrieve_session({}, session_id)
        said = ""
        with self.server.lock:
            if "card_number" in told:
                said = self.server.account.pay(session_id, told["card_number"][0].replace(" ", ""))
            elif "confirm" in told:
                said = self.server.account.answer_bank(session_id, yes=told["confirm"][0] == "yes")
        if said == "authorise":
            self._send(303, b"", {"Location": session["success_url"]})
            return
        amount = f"{session['amount_total']} {session['currency']}"
        page = PAGE.format(amount=html.escape(amount), said=html.escape(said))
        self._send(402 if said not in {"", "ask"} else 200, page.encode(), {"Content-Type": "text/html"})

    def _send_json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        fault = self.server.faults.take(self.command, self.path, kinds={"drip"})
        data = json.dumps(body, indent=2).encode()
        self._send(status, data, {"Content-Type": "application/json", **(headers or {})}, fault)

    def _send(self, status: int, data: bytes, headers: dict[str, str], fault: Fault | None = None) -> None:
        head = [f"HTTP/1.1 {status} {self.responses[status][0]}", f"Content-Length: {len(data)}"]
        head += [f"{name}: {value}" for name, value in headers.items()]
        whole = "\r\n".join([*head, "", ""]).encode() + data
        try:
            if fault is None:
                self.wfile.write(whole)
                return
            for byte in whole:
                self.wfile.write(bytes([byte]))
                time.sleep(fault.seconds or 0.2)
        except OSError:
            # Whoever asked did not wait.
            self.close_connection = True

    def log_message(self, *args: Any) -> None:
        """Nothing: the requests are told at `/_control/requests`."""
