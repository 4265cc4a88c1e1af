"""Who buys: accounts and their keys, bookings, the money for them, and the answers given to programs."""

from bookings.models.accounts import ApiKey, User, UserManager, hash_secret
from bookings.models.bookings import (
    REFERENCE_ALPHABET,
    Booking,
    BookingItem,
    make_access_token,
    make_code,
    make_reference,
)
from bookings.models.cancellations import CancellationProblem, EventCancellation
from bookings.models.idempotency import IDEMPOTENCY_LIFETIME, IdempotencyKey
from bookings.models.money import Payment, PaymentEntry, PaymentNotice, Refund

__all__ = [
    "IDEMPOTENCY_LIFETIME",
    "REFERENCE_ALPHABET",
    "ApiKey",
    "Booking",
    "BookingItem",
    "CancellationProblem",
    "EventCancellation",
    "IdempotencyKey",
    "Payment",
    "PaymentEntry",
    "PaymentNotice",
    "Refund",
    "User",
    "UserManager",
    "hash_secret",
    "make_access_token",
    "make_code",
    "make_reference",
]
