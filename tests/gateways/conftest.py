"""The stand-in for Stripe, and our adapter pointed at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bookings.gateways import get_gateway
from bookings.gateways.stripe.gateway import StripeGateway
from tests.gateways.strict_stripe.client import API_KEY, WEBHOOK_SECRET, StrictStripeProcess


@pytest.fixture(scope="session")
def strict_stripe_process() -> Iterator[StrictStripeProcess]:
    process = StrictStripeProcess()
    yield process
    process.stop()


@pytest.fixture
def strict_stripe(strict_stripe_process: StrictStripeProcess) -> StrictStripeProcess:
    """A new, empty account at the stand-in, which runs in a process of its own."""
    strict_stripe_process.tell("reset")
    return strict_stripe_process


@pytest.fixture
def stripe_settings(settings, strict_stripe: StrictStripeProcess) -> Iterator[None]:
    """Payments go to the stand-in."""
    settings.STRIPE_SECRET_KEY = API_KEY
    settings.STRIPE_WEBHOOK_SECRET = WEBHOOK_SECRET
    settings.STRIPE_API_BASE = strict_stripe.url
    settings.PAYMENT_GATEWAYS = {
        **settings.PAYMENT_GATEWAYS,
        "stripe": "bookings.gateways.stripe.gateway.StripeGateway",
    }
    settings.PAYMENT_GATEWAY = "stripe"
    get_gateway.cache_clear()
    yield
    gateway = get_gateway("stripe")
    assert isinstance(gateway, StripeGateway)
    gateway.close()
    get_gateway.cache_clear()


@pytest.fixture
def gateway(stripe_settings: None) -> StripeGateway:
    """The one that the box office uses too."""
    found = get_gateway("stripe")
    assert isinstance(found, StripeGateway)
    return found
