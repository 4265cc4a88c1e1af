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


def bookings_visible_to(
    account: AbstractBaseUser | AnonymousUser, tokens: Iterable[str] = (), *, to_change: bool = False
) -> BookingQuerySet:
    """The bookings that somebody may see, or with `to_change` may change."""
    wanted = Q(access_token_hash__in=[hash_secret(token) for token in tokens])
    if isinstance(account, User):
        if account.has_perm("bookings.change_booking" if to_change else "bookings.view_booking"):
            return Booking.objects.all()
        wanted |= Q(account=account)
    return Booking.objects.filter(wanted)


def booking_tokens(request: HttpRequest) -> list[str]:
    """The access tokens that a request shows: in its header, and in the session of a guest."""
    header = request.headers.get(TOKEN_HEADER)
    remembered: dict[str, str] = request.session.get(SESSION_TOKENS, {})
    return [token for token in [header, *remembered.values()] if token]
