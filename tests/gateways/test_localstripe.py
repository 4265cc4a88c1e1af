"""Our adapter against localstripe, which others wrote: do we speak the same language?

It knows intents, cards and refunds, and signs its notices, but no Checkout and no idempotency keys, and
it lets through what Stripe refuses; the rules are tested with our own stand-in.
"""

from __future__ import annotations

import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from uuid import uuid4

import httpx
import pytest

from bookings.exceptions import InvalidNotice
from bookings.gateways import GatewayRefused, GatewayState, RefundState
from bookings.gateways.stripe.gateway import StripeGateway

# As `localstripe --from-scratch`, but on this machine's own address alone, and leaving no file behind.
START = """
import sys
from aiohttp import web
from localstripe import server
server.store.dump_to_disk = lambda: None
web.run_app(server.app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""
API_KEY = "sk_test_12345"
SECRET = "whsec_local"
GOOD_CARD, DECLINED_CARD, ASKING_CARD = "4242424242424242", "4000000000000341", "4000002500003155"


@pytest.fixture(scope="module")
def localstripe() -> Iterator[httpx.Client]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", START, str(port)], stderr=subprocess.DEVNULL
    )
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=(API_KEY, ""), timeout=10)
    for _ in range(200):
        try:
            client.get("/v1/balance").raise_for_status()
            break
        except httpx.HTTPError:
            time.sleep(0.1)
    yield client
    client.close()
    process.kill()
    process.wait(timeout=10)


@pytest.fixture
def gateway(localstripe, settings) -> Iterator[StripeGateway]:
    settings.STRIPE_SECRET_KEY = API_KEY
    settings.STRIPE_WEBHOOK_SECRET = SECRET
    settings.STRIPE_API_BASE = str(localstripe.base_url).rstrip("/")
    made = StripeGateway()
    yield made
    made.close()


@pytest.fixture
def mailbox(localstripe) -> Iterator[queue.Queue[tuple[bytes, dict[str, str]]]]:
    """What localstripe posts to an address of ours: bodies and headers."""
    received: queue.Queue[tuple[bytes, dict[str, str]]] = queue.Queue()

    class Mailbox(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.put((body, {"Stripe-Signature": self.headers["Stripe-Signature"]}))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Mailbox)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    told = {"url": f"http://127.0.0.1:{server.server_port}/", "secret": SECRET}
    localstripe.post("/_config/webhooks/ours", data=told).raise_for_status()
    yield received
    server.shutdown()
    thread.join()
    server.server_close()


def make_intent(localstripe: httpx.Client, card: str = GOOD_CARD) -> dict[str, Any]:
    """An intent as Checkout makes one when a buyer gives a card."""
    told = {"number": card, "exp_month": "12", "exp_year": "2040", "cvc": "123"}
    fields = {f"card[{name}]": value for name, value in told.items()}
    method = localstripe.post("/v1/payment_methods", data={"type": "card", **fields}).json()
    made = localstripe.post(
        "/v1/payment_intents",
        data={
            "amount": "4990",
            "currency": "eur",
            "capture_method": "manual",
            "payment_method": method["id"],
            "metadata[payment]": str(uuid4()),
        },
    )
    intent: dict[str, Any] = made.raise_for_status().json()
    confirmed = localstripe.post(f"/v1/payment_intents/{intent['id']}/confirm")
    assert confirmed.status_code == (402 if card == DECLINED_CARD else 200)
    return intent


def test_authorised_intent_is_captured_and_given_back_in_parts(gateway, localstripe):
    intent = make_intent(localstripe)
    found = gateway.retrieve(intent["id"])
    captured = gateway.capture(intent["id"], key="capture-1")
    part = gateway.refund(intent["id"], amount=Decimal("9.90"), currency="EUR", key="r1")
    after = gateway.retrieve(intent["id"])

    assert (found.state, found.amount, found.currency) == (GatewayState.AUTHORISED, Decimal("49.90"), "EUR")
    assert found.key == intent["metadata"]["payment"]
    assert (captured.state, captured.amount) == (GatewayState.CAPTURED, Decimal("49.90"))
    assert (part.key, part.state, part.amount) == ("r1", RefundState.DONE, Decimal("9.90"))
    assert gateway.refunds(intent["id"]) == [part]
    assert (after.state, after.refunded) == (GatewayState.CAPTURED, Decimal("9.90"))


def test_authorised_intent_is_voided_and_then_takes_no_money(gateway, localstripe):
    intent = make_intent(localstripe)

    assert gateway.void(intent["id"], key="void-1").state is GatewayState.VOIDED
    with pytest.raises(GatewayRefused):
        gateway.capture(intent["id"], key="capture-1")
    assert gateway.retrieve(intent["id"]).state is GatewayState.VOIDED


def test_declined_card_leaves_the_intent_open_and_says_why(gateway, localstripe):
    intent = make_intent(localstripe, DECLINED_CARD)

    found = gateway.retrieve(intent["id"])

    assert (found.state, found.reason) == (GatewayState.OPEN, "Your card was declined.")


@pytest.mark.parametrize(
    ("answer", "state"), [("true", GatewayState.AUTHORISED), ("false", GatewayState.OPEN)]
)
def test_bank_that_asks_is_waited_for(gateway, localstripe, answer: str, state: GatewayState):
    intent = make_intent(localstripe, ASKING_CARD)
    before = gateway.retrieve(intent["id"]).state
    told = {"client_secret": intent["client_secret"], "success": answer}
    localstripe.post(f"/v1/payment_intents/{intent['id']}/_authenticate", data=told).raise_for_status()

    assert (before, gateway.retrieve(intent["id"]).state) == (GatewayState.OPEN, state)


def test_intent_that_nobody_paid_is_voided(gateway, localstripe):
    intent = make_intent(localstripe, ASKING_CARD)

    assert gateway.void(intent["id"], key="void-1").state is GatewayState.VOIDED


def test_intent_that_does_not_exist_is_refused(gateway):
    with pytest.raises(GatewayRefused):
        gateway.retrieve("pi_unknown")


def test_notice_of_theirs_is_believed_and_names_our_payment(gateway, localstripe, mailbox, settings):
    intent = make_intent(localstripe)
    gateway.capture(intent["id"], key="capture-1")

    # It sends a second late, so that those of earlier intents may come first.
    letters = iter(lambda: mailbox.get(timeout=10), None)
    body, headers = next(letter for letter in letters if intent["id"].encode() in letter[0])
    notice = gateway.read_notice(body, headers)

    assert (notice.kind, notice.key) == ("payment_intent.succeeded", intent["metadata"]["payment"])
    settings.STRIPE_WEBHOOK_SECRET = "whsec_other"
    with pytest.raises(InvalidNotice):
        gateway.read_notice(body, headers)
