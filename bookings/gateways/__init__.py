"""What a payment gateway must be able to do, and which one a payment belongs to.

A gateway authorises first; the money is captured once the tickets are booked, or the
authorisation is voided. `docs/gateways.md` walks through writing one.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Protocol
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string


class GatewayState(enum.Enum):
    """What the gateway has done with the money. Money given back later is still captured."""

    OPEN = "open"
    AUTHORISED = "authorised"
    CAPTURED = "captured"
    DECLINED = "declined"
    VOIDED = "voided"


class RefundState(enum.Enum):
    """What the gateway has done with a refund."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class PaymentOrder:
    """What the gateway is to ask a buyer for. `key` is our payment's id: the same order twice is one."""

    key: str
    booking: str
    amount: Decimal
    currency: str
    description: str
    email: str
    return_url: str


@dataclass(frozen=True)
class GatewayPayment:
    """A payment as the gateway records it; `amount` is what was authorised or is to be."""

    reference: str
    state: GatewayState
    amount: Decimal
    currency: str
    # Our payment's id, as the gateway was told it; empty for a payment that is none of ours.
    key: str = ""
    refunded: Decimal = Decimal(0)
    redirect_url: str = ""
    reason: str = ""


@dataclass(frozen=True)
class GatewayRefund:
    """A refund as the gateway records it. `key` is our refund's id, as the gateway was told it."""

    key: str
    state: RefundState
    amount: Decimal
    reason: str = ""


@dataclass(frozen=True)
class Notice:
    """A notice whose signature was right. `payload` is kept as it came.

    It is about the payment that `key` names (ours) or `reference` (the gateway's); with neither it
    is about nothing of ours.
    """

    provider_id: str
    kind: str
    payload: dict[str, Any]
    key: str = ""
    reference: str = ""


class GatewayError(Exception):
    """The gateway did not answer, or failed: whether it acted is unknown, so ask it again."""


class GatewayRefused(GatewayError):
    """The gateway understood, and said no: asking the same again will not change its mind."""


class PaymentGateway(Protocol):
    """A way to take money. Methods raise `GatewayError`; none may run in a transaction.

    Each call ends within a few seconds, whatever the network does. Every write carries a key, and
    the same key acts once; after a day a gateway may have forgotten it, so `payments.py` reads
    before it writes again.
    """

    def create(self, order: PaymentOrder) -> GatewayPayment:
        """Begin a payment on the gateway's own page, at the answer's `redirect_url`."""

    def retrieve(self, reference: str) -> GatewayPayment:
        """Ask what became of a payment."""

    def capture(self, reference: str, *, key: str) -> GatewayPayment:
        """Take money that was authorised."""

    def void(self, reference: str, *, key: str) -> GatewayPayment:
        """Let go of money that was authorised, or close a payment that nobody made."""

    def refund(self, reference: str, *, amount: Decimal, currency: str, key: str) -> GatewayRefund:
        """Give back money that was captured, or a part of it."""

    def refunds(self, reference: str) -> Sequence[GatewayRefund]:
        """Every refund of a payment."""

    def payments_since(self, start: datetime) -> Iterator[GatewayPayment]:
        """Every payment that was begun at `start` or later, for comparing the books."""

    def read_notice(self, body: bytes, headers: Mapping[str, str]) -> Notice:
        """Check a notice's signature and age, then read it. Raises `InvalidNotice`."""


def as_uuid(key: str) -> UUID | None:
    """The id of our row that a gateway was told as `key`; None for what cannot be one."""
    try:
        return UUID(key)
    except ValueError:
        return None


@cache
def get_gateway(name: str) -> PaymentGateway:
    """The gateway of that name.

    Raises `GatewayError` if the settings know none: what was begun with it waits until they do.
    """
    try:
        path = settings.PAYMENT_GATEWAYS[name]
    except KeyError:
        raise GatewayError(f"there is no payment gateway “{name}” in the settings") from None
    gateway: PaymentGateway = import_string(path)()
    return gateway
