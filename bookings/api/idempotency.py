"""The same key, the same answer: a request that is sent twice is carried out once.

A key belongs to its caller and stands for one request for 24 hours. As at Stripe, an answer is
kept once the work has begun: what was made, and refusals such as tickets that are gone. What
is found wrong before that, and what is nobody's fault (429, 503), is not kept, so that the
request can be put right or tried again with the same key.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from datetime import timedelta

from django.db import transaction
from django.http.request import HttpHeaders
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from bookings.exceptions import BoxOfficeError, GatewayUnavailable, InvalidTickets
from bookings.models import IDEMPOTENCY_LIFETIME, IdempotencyKey
from events.api.parameters import InvalidParameter
from events.api.views import as_json
from events.statements import execute

HEADER = "Idempotency-Key"
# `request.headers` reads all of them to give one.
HEADER_IN_META = HttpHeaders.to_wsgi_name(HEADER)
PRINTABLE = re.compile(r"[\x20-\x7e]{1,255}")
# The draft standard writes the key as a quoted string; most callers leave the quotes out.
QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')

# Not kept: the first was found wrong before anything was tried, the second may go well next time.
NOT_KEPT = (InvalidTickets, GatewayUnavailable)

# A claim whose request has not answered by then is taken to be of one that died.
CLAIM = timedelta(seconds=30)

IS_IN_FORCE = f"kept.created_at > statement_timestamp() - interval '{IDEMPOTENCY_LIFETIME.total_seconds()} s'"
IS_RECENT = f"kept.created_at > statement_timestamp() - interval '{CLAIM.total_seconds()} s'"
# Takes the key's lock until the transaction ends, and says what is kept. What another request kept
# between this statement's beginning and its lock it does not see; `KEEP` leaves that alone.
LOCK_AND_FIND = f"""
    SELECT is_ours, kept.fingerprint, kept.status_code, kept.body, {IS_RECENT}
    FROM pg_try_advisory_xact_lock(hashtextextended(%(lock)s, 0)) AS is_ours
    LEFT JOIN bookings_idempotencykey AS kept
        ON kept.caller = %(caller)s AND kept.key = %(key)s AND {IS_IN_FORCE}
"""  # noqa: S608  # Constants, as below.
# An answer over its claim, a claim over one whose request died, and anything over what is past its day.
KEEP = f"""
    INSERT INTO bookings_idempotencykey AS kept (caller, key, fingerprint, status_code, body, created_at)
    VALUES (%(caller)s, %(key)s, %(fingerprint)s, %(status)s::smallint, %(body)s::jsonb, clock_timestamp())
    ON CONFLICT (caller, key) DO UPDATE SET (fingerprint, status_code, body, created_at)
        = (excluded.fingerprint, excluded.status_code, excluded.body, excluded.created_at)
    WHERE NOT {IS_IN_FORCE}
        OR kept.status_code IS NULL AND (excluded.status_code IS NOT NULL OR NOT {IS_RECENT})
    RETURNING id
"""  # noqa: S608

Perform = Callable[[], Response]
Refuse = Callable[[Exception], Response]


class RequestInProgress(APIException):
    """The first request with this key is still running."""

    status_code = 409
    default_code = "request_in_progress"
    default_detail = _("Ask again in a moment with the same key.")


class KeyReused(APIException):
    """The key already stands for another request of the same caller."""

    status_code = 422
    default_code = "idempotency_key_reused"
    default_detail = _("This key was used for another request. Make a new one.")


def answer_once(request: Request, *, caller: str, perform: Perform, refuse: Refuse) -> Response:
    """The answer of `perform`, or the first answer again where the request names a key it had before.

    One transaction holds the key's lock, the work and the stored answer: a crash leaves all of it
    or nothing, and after an unknown COMMIT asking again tells. `refuse` makes the answer for a
    `BoxOfficeError`, which `perform` raises only where it has written nothing, or undone it.
    """
    key = read_key(request)
    if key is None:
        return perform()
    with transaction.atomic():
        if (first := _first_answer(request, caller, key)) is not None:
            return first
        return _answer_and_keep(request, caller, key, perform, refuse)


def answer_again(request: Request, *, caller: str, perform: Perform, refuse: Refuse) -> Response:
    """Like `answer_once`, for work that calls a gateway and so may not run inside a transaction.

    The key is claimed first, in a transaction of its own. `perform` must be safe to run twice by
    itself: a claim whose request died is taken over by the next.
    """
    key = read_key(request)
    if key is None:
        return perform()
    with transaction.atomic():
        if (first := _first_answer(request, caller, key)) is not None:
            return first
        claimed = keep_answer(request, caller, key)
    try:
        return _answer_and_keep(request, caller, key, perform, refuse)
    except BaseException:
        # Nothing to say again: the same key may be tried anew.
        IdempotencyKey.objects.filter(pk=claimed, status_code=None).delete()
        raise


def _answer_and_keep(request: Request, caller: str, key: str, perform: Perform, refuse: Refuse) -> Response:
    """What `perform` answers, or `refuse` for it, kept for whoever asks again."""
    try:
        answer = perform()
    except NOT_KEPT:
        raise
    except BoxOfficeError as refusal:
        answer = refuse(refusal)
    keep_answer(request, caller, key, answer)
    return answer


def read_key(request: Request) -> str | None:
    """The request's key. Raises `InvalidParameter` unless it is 1 to 255 printable characters."""
    value = request.META.get(HEADER_IN_META)
    if value is None:
        return None
    if quoted := QUOTED.fullmatch(value):
        value = re.sub(r"\\(.)", r"\1", quoted[1])
    if not PRINTABLE.fullmatch(value):
        raise InvalidParameter(HEADER, _t("Must be 1 to 255 printable ASCII characters."))
    return value


def _first_answer(request: Request, caller: str, key: str) -> Response | None:
    """What was answered the first time; None where there was none within the key's lifetime.

    Locks the key until the transaction ends. Raises `RequestInProgress` where another request has
    it or is still being answered, and `KeyReused` where the key stands for another request.
    """
    values = {"lock": f"idempotency:{caller}:{key}", "caller": caller, "key": key}
    is_ours, kept_for, status, body, is_recent = execute(LOCK_AND_FIND, values).fetchone()
    if not is_ours:
        raise RequestInProgress
    if kept_for is None:
        return None
    if status is not None:
        return replay(request, kept_for, status=status, body=body)
    _refuse_another(request, kept_for)
    if is_recent:
        raise RequestInProgress
    return None


def replay(request: Request, kept_for: str, *, status: int, body: str) -> Response:
    """The kept answer, again. Raises `KeyReused` where it was for a request of another fingerprint."""
    _refuse_another(request, kept_for)
    content_type = "application/problem+json" if status >= 400 else None
    return Response(
        json.loads(body), status=status, headers={"Idempotent-Replayed": "true"}, content_type=content_type
    )


def _refuse_another(request: Request, kept_for: str) -> None:
    """Raise `KeyReused` unless the request has the fingerprint that its key is kept for."""
    if kept_for != fingerprint(request):
        raise KeyReused


def keep_answer(request: Request, caller: str, key: str, answer: Response | None = None) -> int:
    """Store the answer under the key; without one, the claim that it is being worked on. Gives its id.

    Raises `RequestInProgress` where another request was quicker: what this one did is undone with its
    transaction, or was safe to do twice, and asking again tells the answer.
    """
    values = {
        "caller": caller,
        "key": key,
        "fingerprint": fingerprint(request),
        "status": None if answer is None else str(answer.status_code),
        # As it was sent, to the last digit of its times.
        "body": None if answer is None else as_json(answer.data).decode(),
    }
    kept = execute(KEEP, values).fetchone()
    if kept is None:
        raise RequestInProgress
    return int(kept[0])


def fingerprint(request: Request) -> str:
    """A hash of what is asked: method, address and body, in whatever order its members come."""
    body = json.dumps(request.data, sort_keys=True, separators=(",", ":"))
    words = f"{request.method} {request.get_full_path()}\n{body}"
    return hashlib.sha256(words.encode()).hexdigest()
