"""The admin of bookings, the money for them, accounts, and what an event's bookings hang on."""

from bookings.admin import accounts, bookings, events, money

__all__ = ["accounts", "bookings", "events", "money"]
