"""Each gateway with what the contract needs besides the protocol: a buyer, and notices.

A third gateway joins the contract with a class here and a line in `HOUSES`; see docs/gateways.md.
"""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Protocol
from uuid import uuid4

import stripe
from django.test import Client

from bookings.gateways import GatewayPayment, PaymentGateway, PaymentOrder, get_gateway
from bookings.sandbox.gateway import SandboxGateway
from bookings.sandbox.signing import sign
from tests.gateways.strict_stripe.client import WEBHOOK_SECRET, StrictStripeProcess
from tests.gateways.strict_stripe.shapes import make_event

GOOD_CARD = "4242424242424242"
DECLINED_CARD = "4000000000000002"
NO_FUNDS_CARD = "4000000000009995"
ASKING_CARD = "4000000000003220"


def make_order(*, amount: str = "49.90", currency: str = "EUR", **fields: str) -> PaymentOrder:
    facts = {
        "key": str(uuid4()),
        "booking": str(uuid4()),
        "description": "Holdfast K7M2QX",
        "email": "buyer@example.org",
        "return_url": "http://127.0.0.1:9/back/",
    }
    return PaymentOrder(amount=Decimal(amount), currency=currency, **facts | fields)


class House(Protocol):
    """A gateway, and the buyer at its page."""

    gateway: PaymentGateway

    def pay(self, payment: GatewayPayment, card: str = GOOD_CARD) -> None:
        """Give a card on the payment's page."""

    def confirm(self, payment: GatewayPayment) -> None:
        """Say yes to the bank, which asked."""

    def write_notice(self, payment: GatewayPayment, *, sent_at: float) -> tuple[bytes, dict[str, str]]:
        """A notice about the payment as the gateway would send it: body and headers."""


class SandboxHouse:
    def __init__(self) -> None:
        self.gateway = SandboxGateway()

    def pay(self, payment: GatewayPayment, card: str = GOOD_CARD) -> None:
        Client().post(payment.redirect_url, {"card_number": card})

    def confirm(self, payment: GatewayPayment) -> None:
        Client().post(payment.redirect_url, {"confirmation": "accept"})

    def write_notice(self, payment: GatewayPayment, *, sent_at: float) -> tuple[bytes, dict[str, str]]:
        told = {"id": "evt_1", "type": "payment.authorised", "payment": payment.reference}
        body = json.dumps(told).encode()
        return body, {"Sandbox-Signature": sign(body, timestamp=int(sent_at))}


class StripeHouse:
    """Stripe's rules, kept by the stand-in."""

    def __init__(self, strict_stripe: StrictStripeProcess) -> None:
        self.gateway = get_gateway("stripe")
        self.strict_stripe = strict_stripe

    def pay(self, payment: GatewayPayment, card: str = GOOD_CARD) -> None:
        self.strict_stripe.pay(payment.reference, card)

    def confirm(self, payment: GatewayPayment) -> None:
        self.strict_stripe.tell("answer_bank", session=payment.reference, yes=True)

    def write_notice(self, payment: GatewayPayment, *, sent_at: float) -> tuple[bytes, dict[str, str]]:
        about = {
            "id": payment.reference,
            "object": "checkout.session",
            "metadata": {"payment": payment.key},
        }
        body = json.dumps(make_event("checkout.session.completed", about, None))
        return body.encode(), sign_as_stripe(body, sent_at=sent_at)


def sign_as_stripe(
    body: str, *, sent_at: float | None = None, secret: str = WEBHOOK_SECRET
) -> dict[str, str]:
    stamp = int(time.time() if sent_at is None else sent_at)
    return {"Stripe-Signature": stripe.WebhookSignature.generate_signature_header(body, secret, stamp)}


HOUSES = ["sandbox", "stripe"]


def open_house(name: str, strict_stripe: StrictStripeProcess) -> House:
    return SandboxHouse() if name == "sandbox" else StripeHouse(strict_stripe)
