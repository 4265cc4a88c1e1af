"""What both runs of the machine need: its gateway, and nothing else on the database."""

from __future__ import annotations

import logging

import pytest

from bookings.gateways import get_gateway
from tests.proof import world


@pytest.fixture
def _unreliable_gateway():
    """Payments go through the gateway that fails; the box office's warnings of it are no news."""
    logging.disable(logging.WARNING)
    with world.use_gateway("tests.proof.gateway.UnreliableGateway"):
        yield
    get_gateway.cache_clear()
    logging.disable(logging.NOTSET)
