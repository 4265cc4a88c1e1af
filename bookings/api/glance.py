"""A guest who wants a ticket that is locked is refused after one look into the cache.

In the first minutes of a sale most requests want what somebody just took. They cost the database
nothing: the lock says who was first, the kept picture of the hall has what is free nearby, and the
refusal is remembered under the request's key beside the locks. The database still decides every
hold; here it is only not asked about one that is lost. For what differs, see ADR 8.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple, cast

from redis import Redis
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from bookings.api.idempotency import Perform, Refuse, fingerprint, read_key, replay
from bookings.api.serializers import HOLD
from bookings.exceptions import TicketsUnavailable
from bookings.models import IDEMPOTENCY_LIFETIME
from bookings.services import suggest_near
from events import locks
from events.pictures import Picture, kept_picture_of

LIFETIME_SECONDS = int(IDEMPOTENCY_LIFETIME.total_seconds())
# What is known of a key whose request went to the database, which alone can answer it again.
IN_THE_DATABASE = b"in the database"
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
    seen = locks.ask(lambda client: _look(client, name, wish))
    if seen is None:
        # The cache may be back before this very hold's locks are kept in it, or just after.
        _remember(name, IN_THE_DATABASE)
        answer = otherwise()
        _remember(name, IN_THE_DATABASE)
        return answer
    known, taken = seen
    if known is None and not _is_valid(request):
        # Says what is wrong, and keeps nothing.
        return otherwise()
    if known is None and wish is not None and taken and _can_refuse(wish, taken):
        suggestion = suggest_near(wish.picture, len(wish.tickets), taken)
        answer = refuse(TicketsUnavailable(unavailable=taken, suggestion=suggestion))
        known = _remember(name, _note(request, answer))
        if known is None:
            return answer
    elif known is None:
        known = _remember(name, IN_THE_DATABASE)
    return otherwise() if known in {None, IN_THE_DATABASE} else _replay(request, known)


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


def _can_refuse(wish: Wish, taken: list[int]) -> bool:
    """Whether the picture has all that the refusal needs, and nothing else comes before it."""
    is_seated = wish.picture.seat_of(taken[0]) is not None
    return is_seated and len(wish.tickets) <= wish.picture.max_tickets_per_booking


def _look(client: Redis, name: str | None, wish: Wish | None) -> tuple[bytes | None, list[int]]:
    """What is known of the key, and which of the tickets are locked, in one round trip."""
    pipeline = client.pipeline(transaction=False)
    # A name that nothing has is as good as none.
    pipeline.get(name or "")
    if wish is None:
        return pipeline.execute()[0], []
    pipeline.hmget(locks.lock_key(wish.picture.event_id), [str(ticket) for ticket in wish.tickets])
    known, owners = pipeline.execute()
    taken = [ticket for ticket, owner in zip(wish.tickets, owners, strict=True) if owner is not None]
    return known, sorted(taken)


def _name(caller: str, key: str) -> str:
    """Where it says what is known of a key."""
    return f"answer:1:{hashlib.sha256(f'{caller}:{key}'.encode()).hexdigest()}"


def _remember(name: str | None, what: bytes) -> bytes | None:
    """Remember it of the key; what was known before, which then stays."""
    if name is None:
        return None
    known: Any = locks.ask(lambda client: client.set(name, what, ex=LIFETIME_SECONDS, nx=True, get=True))
    return known if isinstance(known, bytes) else None


def _note(request: Request, answer: Response) -> bytes:
    """The refusal, and what it was the answer to."""
    rendered: bytes = JSONRenderer().render(answer.data)
    return fingerprint(request).encode() + rendered


def _replay(request: Request, note: bytes) -> Response:
    kept_for, body = note[:FINGERPRINT_LENGTH].decode(), note[FINGERPRINT_LENGTH:].decode()
    return replay(request, kept_for, status=409, body=body)
