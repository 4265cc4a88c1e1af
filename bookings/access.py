"""Who may see a booking in the browser: its account, or a session that was shown a proof.

A session keeps proofs: the guest's own token (`booking_tokens`), and bookings that were opened by a
link from a mail or by “find my booking” (`found_bookings`), where the token itself is not known,
as only its hash is kept.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.contrib.sessions.backends.base import SessionBase
from django.core import signing
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse

from bookings.buyers import Buyer
from bookings.models import Booking, User
from bookings.permissions import (
    SESSION_TOKENS,
    booking_tokens,
    bookings_refundable_by,
    bookings_visible_to,
)
from bookings.querysets import BookingQuerySet
from bookings.services import HeldBooking
from events.requests import network_of

LINK_SALT = "bookings.access.link"


class AccountRequest(HttpRequest):
    """A request that `login_required` let through."""

    user: User


def buyer_of(request: HttpRequest) -> Buyer:
    """Who is buying, and from which network address."""
    account = request.user if isinstance(request.user, User) else None
    email = account.email if account else ""
    return Buyer(account=account, email=email, address=network_of(request))


def remember_hold(request: HttpRequest, held: HeldBooking) -> None:
    """Give this browser's session the proof that the new hold is its own."""
    tokens = request.session.get(SESSION_TOKENS, {})
    tokens[str(held.booking.pk)] = held.access_token
    request.session[SESSION_TOKENS] = tokens
    show_hold_everywhere(request.session, held.booking)


def show_hold_everywhere(session: SessionBase, booking: Booking) -> None:
    """Let every page say that these tickets are waiting, without asking the database."""
    session["open_hold"] = {
        "url": reverse("bookings:detail", args=[booking.pk]),
        "title": booking.event.title,
        "expires_at": booking.expires_at.isoformat(),
    }


def forget_hold(session: SessionBase, booking_id: UUID) -> None:
    """Stop saying so, where it is this booking that is spoken of."""
    if session.get("open_hold", {}).get("url") == reverse("bookings:detail", args=[booking_id]):
        del session["open_hold"]


def open_hold(request: HttpRequest, now: datetime) -> dict[str, str] | None:
    """The session's hold that has not run out, as `show_hold_everywhere` wrote it."""
    # An error page may be for a request that never got as far as its session.
    session = getattr(request, "session", {})
    hold: dict[str, str] | None = session.get("open_hold")
    if hold is None or datetime.fromisoformat(hold["expires_at"]) <= now:
        return None
    return hold


def grant(request: HttpRequest, booking_id: UUID) -> None:
    """Let this session see the booking from now on."""
    found = request.session.get("found_bookings", [])
    if str(booking_id) not in found:
        request.session["found_bookings"] = [*found, str(booking_id)]


def access_link(booking: Booking) -> str:
    """The path, with its proof, that a mail to the buyer leads to. It ends with the address it was for."""
    token = signing.dumps([str(booking.pk), booking.email], salt=LINK_SALT)
    return f"{booking.get_absolute_url()}?token={token}"


def is_proof(booking: Booking, token: str) -> bool:
    """Whether `token` is the booking's own token or the one of a mail's link."""
    if booking.has_access_token(token):
        return True
    try:
        return bool(signing.loads(token, salt=LINK_SALT) == [str(booking.pk), booking.email])
    except signing.BadSignature:
        return False


def get_booking(request: HttpRequest, booking_id: UUID, *, to_change: bool = False) -> Booking:
    """The booking with its details, or `Http404` where it is someone else's."""
    visible = bookings_visible_to(request.user, booking_tokens(request), to_change=to_change)
    return _get_among(visible, request, booking_id)


def get_booking_to_refund(request: HttpRequest, booking_id: UUID) -> Booking:
    """The same for somebody who wants to give tickets back."""
    return _get_among(bookings_refundable_by(request.user, booking_tokens(request)), request, booking_id)


def _get_among(visible: BookingQuerySet, request: HttpRequest, booking_id: UUID) -> Booking:
    if str(booking_id) in request.session.get("found_bookings", []):
        visible = Booking.objects.all()
    return get_object_or_404(visible.with_details(), pk=booking_id)
