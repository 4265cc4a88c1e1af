"""What a payment gateway must be able to do, and which one a payment belongs to.

A gateway authorises first; the money is captured once the tickets are booked, or the
authorisation is voided. Every call may be made twice with the same key and acts once.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Protocol

from django.conf import settings
from django.utils.module_loading import import_string


class GatewayState(enum.Enum):
    """What the gateway has done with the money."""

    OPEN = "open"
    AUTHORISED = "authorised"
    CAPTURED = "captured"
    DECLINED = "declined"
    VOIDED = "voided"
    REFUNDED = "refunded"


@dataclass(frozen=True)
class GatewayPayment:
    """A payment as the gateway records it."""

    reference: str
    state: GatewayState
    amount: Decimal
    currency: str
    redirect_url: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Notice:
    """A notice whose signature was right. `payload` is kept as it came."""

    provider_id: str
    reference: str
    payload: dict[str, Any]


class GatewayError(Exception):
    """The gateway refused, or did not answer: whether it acted is unknown, so ask it again."""


class PaymentGateway(Protocol):
    """A way to take money. Methods raise `GatewayError`; none may run in a transaction."""

    def create(
        self, *, key: str, amount: Decimal, currency: str, description: str, return_url: str
    ) -> GatewayPayment:
        """Begin a payment on the gateway's own page, at the answer's `redirect_url`."""

    def retrieve(self, reference: str) -> GatewayPayment:
        """Ask what became of a payment."""

    def capture(self, reference: str, *, key: str) -> GatewayPayment:
        """Take money that was authorised."""

    def void(self, reference: str, *, key: str) -> GatewayPayment:
        """Give back money that was authorised, or close a payment that nobody made."""

    def refund(self, reference: str, *, amount: Decimal, key: str) -> GatewayPayment:
        """Give back money that was captured."""

    def read_notice(self, body: bytes, headers: Mapping[str, str]) -> Notice:
        """Check a notice's signature and age, then read it. Raises `InvalidNotice`."""


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
