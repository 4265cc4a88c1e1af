"""Who may see or change a booking: its account, staff who are allowed to, or who has its token.

Pages and API ask here alike. A booking outside what somebody may see does not exist for them.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Q
from django.http import HttpRequest

from bookings.models import Booking, User, hash_secret
from bookings.querysets import BookingQuerySet

TOKEN_HEADER = "X-Booking-Token"  # noqa: S105  # The name of a header.
SESSION_TOKENS = "booking_tokens"
# Django's own right to add a row, here to give money back.
REFUND_RIGHT = "bookings.add_refund"


def bookings_visible_to(
    account: AbstractBaseUser | AnonymousUser, tokens: Iterable[str] = (), *, to_change: bool = False
) -> BookingQuerySet:
    """The bookings that somebody may see, or with `to_change` may change."""
    right = "bookings.change_booking" if to_change else "bookings.view_booking"
    return _own_or_all(account, tokens, is_staff_for=right)


def bookings_refundable_by(
    account: AbstractBaseUser | AnonymousUser, tokens: Iterable[str] = ()
) -> BookingQuerySet:
    """The bookings for which somebody may ask for money back; whether any is given is another question."""
    return _own_or_all(account, tokens, is_staff_for=REFUND_RIGHT)


def may_refund_any(account: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether somebody gives money back as staff does: at any time, without a fee."""
    return isinstance(account, User) and account.has_perm(REFUND_RIGHT)


def _own_or_all(
    account: AbstractBaseUser | AnonymousUser, tokens: Iterable[str], *, is_staff_for: str
) -> BookingQuerySet:
    wanted = Q(access_token_hash__in=[hash_secret(token) for token in tokens])
    if isinstance(account, User):
        if account.has_perm(is_staff_for):
            return Booking.objects.all()
        wanted |= Q(account=account)
    return Booking.objects.filter(wanted)


def booking_tokens(request: HttpRequest) -> list[str]:
    """The access tokens that a request shows: in its header, and in the session of a guest."""
    header = request.headers.get(TOKEN_HEADER)
    remembered: dict[str, str] = request.session.get(SESSION_TOKENS, {})
    return [token for token in [header, *remembered.values()] if token]
