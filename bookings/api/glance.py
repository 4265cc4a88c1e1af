"""A guest who wants a ticket that is locked is refused after a look into the cache.

In the first minutes of a sale most requests want what somebody just took. They cost the database
nothing: the lock says who was first, the kept picture of the hall has what is free nearby, and the
refusal is remembered under the request's key beside the locks. The database still decides every
hold; here it is only not asked about one that is lost. For what differs, see ADR 8.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple, cast

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from bookings.api.idempotency import Perform, Refuse, fingerprint, read_key, replay
from bookings.api.serializers import HOLD
from bookings.exceptions import TicketsUnavailable
from bookings.models import IDEMPOTENCY_LIFETIME
from bookings.services import suggest_near
from events import locks
from events.api.views import as_json
from events.pictures import Picture, kept_picture_of

LIFETIME_SECONDS = int(IDEMPOTENCY_LIFETIME.total_seconds())
# What is known of a key whose request went to the database, which alone can answer it again.
IN_THE_DATABASE = b"in the database"
# Where the cache does not say.
UNKNOWN = b""
FINGERPRINT_LENGTH = 64


class Wish(NamedTuple):
    """Tickets that somebody wants of an event, before anything about it is checked."""

    picture: Picture
    tickets: list[int]


def refuse_or(request: Request, *, caller: str, refuse: Refuse, otherwise: Perform) -> Response:
    """The refusal of a request whose tickets are locked; what `otherwise` answers where none is.

    `refuse` makes the answer for a `TicketsUnavailable`; `otherwise` asks the database, and keeps its
    answer there. Raises `KeyReused` and `InvalidParameter` as that does.
    """
    key = read_key(request)
    name = None if key is None else _name(caller, key)
    wish = _wish_of(request)
    if name is None and wish is None:
        return otherwise()
    if not _is_valid(request):
        # The database says what is wrong, and nothing is kept.
        return _answer_for(request, _recall(name), otherwise)
    refusal = None if wish is None else _refusal_of(wish, refuse)
    known = _remember(name, IN_THE_DATABASE if refusal is None else _note(request, refusal))
    if refusal is not None and known is None:
        return refusal
    # Where the key may stand for a hold whose own locks were seen, the database says.
    answer = _answer_for(request, known, otherwise)
    if known == UNKNOWN:
        # The cache may be back by now, before this very hold's locks are kept in it or just after. Also
        # over what it may have taken in without a word: the answer that was given is the database's.
        locks.ask(lambda client: client.set(str(name), IN_THE_DATABASE, ex=LIFETIME_SECONDS))
    return answer


def _answer_for(request: Request, known: bytes | None, otherwise: Perform) -> Response:
    """The refusal that is known of the request's key, or the database's answer."""
    return otherwise() if known in {None, UNKNOWN, IN_THE_DATABASE} else _replay(request, known)


def _wish_of(request: Request) -> Wish | None:
    """The event and the tickets that are wanted; None where that is not what the body has.

    None too where no picture of the event is kept: asking the database then takes one for all
    who come after. Whatever else is wrong with the body is told later.
    """
    body = cast("dict[str, Any]", request.data)
    slug, tickets = body.get("event"), body.get("tickets")
    if not isinstance(slug, str) or not isinstance(tickets, list) or not tickets:
        return None
    if any(type(ticket) is not int for ticket in tickets):
        return None
    picture = kept_picture_of(slug)
    return None if picture is None else Wish(picture, tickets)


def _is_valid(request: Request) -> bool:
    try:
        HOLD.run_validation(request.data)
    except ValidationError:
        return False
    return True


def _refusal_of(wish: Wish, refuse: Refuse) -> Response | None:
    """The refusal for what is locked; None where nothing is, or something comes before it.

    Written out here, once for the caller and for whoever asks again.
    """
    picture, quantity = wish.picture, len(wish.tickets)
    taken = sorted(locks.locked_among(picture.event_id, wish.tickets))
    seat = picture.seat_of(taken[0]) if taken else None
    if seat is None or quantity > picture.max_tickets_per_booking:
        return None
    suggestion = suggest_near(picture, seat, quantity, taken)
    answer = refuse(TicketsUnavailable(unavailable=taken, suggestion=suggestion))
    answer.content = as_json(answer.data)
    answer.headers["Content-Type"] = str(answer.content_type)
    return answer


def _name(caller: str, key: str) -> str:
    """Where it says what is known of a key."""
    return f"answer:1:{hashlib.sha256(f'{caller}:{key}'.encode()).hexdigest()}"


def _recall(name: str | None) -> bytes | None:
    """What is known of the key, if anything is."""
    return None if name is None else locks.ask(lambda client: cast("bytes | None", client.get(name)))


def _remember(name: str | None, what: bytes) -> bytes | None:
    """Remember it of the key; what was known before, which then stays, or `UNKNOWN`."""
    if name is None:
        return None
    known = locks.ask(lambda client: (client.set(name, what, ex=LIFETIME_SECONDS, nx=True, get=True),))
    return UNKNOWN if known is None else cast("bytes | None", known[0])


def _note(request: Request, refusal: Response) -> bytes:
    """The refusal, and what it was the answer to."""
    return fingerprint(request).encode() + bytes(refusal.content)


def _replay(request: Request, note: bytes) -> Response:
    kept_for, body = note[:FINGERPRINT_LENGTH].decode(), note[FINGERPRINT_LENGTH:].decode()
    return replay(request, kept_for, status=409, body=body)
