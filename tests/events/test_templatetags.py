"""Money, days and clocks as people write them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from events.templatetags.box_office import money


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("20.00", "EUR", "€20.00"),
        ("3000", "JPY", "JP¥3,000"),
        ("400.00", "CZK", "CZK\N{NO-BREAK SPACE}400.00"),
        ("18.5", "USD", "US$18.50"),
    ],
)
def test_money_is_written_with_its_currency(amount, currency, text):
    assert money(Decimal(amount), currency) == text


def test_money_of_no_amount_is_nothing():
    assert money(None, "EUR") == ""
