"""A buyer paying at the sandbox, without a browser."""

from __future__ import annotations

import pytest
from django.test import Client

from bookings.models import Payment


@pytest.fixture
def pay_with_card(client: Client):
    """Post a card to a payment's page, as a buyer or a program does; returns the response."""

    def pay(payment: Payment, card: str = "4242424242424242", **fields: str):
        return client.post(payment.redirect_url, {"card_number": card, **fields})

    return pay
