"""The admin of bookings, the money for them, and accounts."""

from bookings.admin import accounts, bookings, money

__all__ = ["accounts", "bookings", "money"]
