"""Amounts as Stripe writes them: whole numbers of a currency's smallest unit.

The rules are those of https://docs.stripe.com/currencies ("Minor units in API amounts", "Zero-decimal
currencies", "Three-decimal currencies" and "Special cases").
"""

from __future__ import annotations

from decimal import Decimal

from bookings.gateways import GatewayRefused

ZERO_DECIMAL = {
    *("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA"),
    *("PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"),
}
THREE_DECIMAL = {"BHD", "JOD", "KWD", "OMR", "TND"}
# Written with two decimals for the sake of old programs, though there are no such coins any more:
# 5 kronur are 500, and 501 is refused. Stripe also calls HUF and TWD special, but for payouts
# alone: a charge in them may have two decimals.
WHOLE_UNITS_WITH_TWO_DECIMALS = {"ISK", "UGX"}


def to_minor(amount: Decimal, currency: str) -> int:
    """Raises `GatewayRefused` for an amount that cannot be paid in the currency."""
    minor = amount.scaleb(_decimals(currency))
    if minor % _smallest(currency):
        raise GatewayRefused(f"{amount} {currency} cannot be paid: there is no such coin")
    return int(minor)


def from_minor(minor: int, currency: str) -> Decimal:
    return Decimal(minor).scaleb(-_decimals(currency))


def _decimals(currency: str) -> int:
    if currency.upper() in ZERO_DECIMAL:
        return 0
    return 3 if currency.upper() in THREE_DECIMAL else 2


def _smallest(currency: str) -> int:
    if currency.upper() in WHOLE_UNITS_WITH_TWO_DECIMALS:
        return 100
    # The last of three decimals has to be 0: card networks know no thousandths.
    return 10 if currency.upper() in THREE_DECIMAL else 1
