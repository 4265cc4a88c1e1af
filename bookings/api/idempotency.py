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

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from bookings.exceptions import BoxOfficeError, GatewayUnavailable, InvalidTickets
from bookings.models import IDEMPOTENCY_LIFETIME, IdempotencyKey
from events.api.parameters import InvalidParameter

HEADER = "Idempotency-Key"
PRINTABLE = re.compile(r"[\x20-\x7e]{1,255}")
# The draft standard writes the key as a quoted string; most callers leave the quotes out.
QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')

# Not kept: the first was found wrong before anything was tried, the second may go well next time.
NOT_KEPT = (InvalidTickets, GatewayUnavailable)

# A claim whose request has not answered by then is taken to be of one that died.
CLAIM = timedelta(seconds=30)

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
    `BoxOfficeError`, whose own work is rolled back before the refusal is stored.
    """
    key = read_key(request)
    if key is None:
        return perform()
    with transaction.atomic():
        if (first := _locked_first_answer(request, caller, key)) is not None:
            return first
        return _answer_and_keep(request, caller, key, transaction.atomic()(perform), refuse)


def answer_again(request: Request, *, caller: str, perform: Perform, refuse: Refuse) -> Response:
    """Like `answer_once`, for work that calls a gateway and so may not run inside a transaction.

    The key is claimed first, in a transaction of its own. `perform` must be safe to run twice by
    itself: a claim whose request died is taken over by the next.
    """
    key = read_key(request)
    if key is None:
        return perform()
    with transaction.atomic():
        if (first := _locked_first_answer(request, caller, key)) is not None:
            return first
        claim = keep_answer(request, caller, key)
    try:
        return _answer_and_keep(request, caller, key, perform, refuse)
    except BaseException:
        # Nothing to say again: the same key may be tried anew.
        IdempotencyKey.objects.filter(pk=claim.pk, status_code=None).delete()
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
    value = request.headers.get(HEADER)
    if value is None:
        return None
    if quoted := QUOTED.fullmatch(value):
        value = re.sub(r"\\(.)", r"\1", quoted[1])
    if not PRINTABLE.fullmatch(value):
        raise InvalidParameter(HEADER, _t("Must be 1 to 255 printable ASCII characters."))
    return value


def _locked_first_answer(request: Request, caller: str, key: str) -> Response | None:
    """`first_answer`, with the key locked until the transaction ends.

    Raises `RequestInProgress` where another request has it, and as `first_answer`.
    """
    if not _lock(caller, key):
        raise RequestInProgress
    return first_answer(request, caller, key)


def first_answer(request: Request, caller: str, key: str) -> Response | None:
    """What was answered the first time; None where there was none within the key's lifetime.

    Raises `KeyReused` where the key stands for another request, and `RequestInProgress` where
    that is still being answered.
    """
    kept = IdempotencyKey.objects.filter(
        caller=caller, key=key, created_at__gt=Now() - IDEMPOTENCY_LIFETIME
    ).first()
    if kept is None:
        return None
    if kept.fingerprint != fingerprint(request):
        raise KeyReused
    if kept.status_code is None:
        if timezone.now() - kept.created_at < CLAIM:
            raise RequestInProgress
        return None
    content_type = "application/problem+json" if kept.status_code >= 400 else None
    return Response(
        kept.body,
        status=kept.status_code,
        headers={"Idempotent-Replayed": "true"},
        content_type=content_type,
    )


def keep_answer(request: Request, caller: str, key: str, answer: Response | None = None) -> IdempotencyKey:
    """Store the answer under the key; without one, the claim that it is being worked on."""
    kept = IdempotencyKey(
        caller=caller,
        key=key,
        fingerprint=fingerprint(request),
        status_code=None if answer is None else answer.status_code,
        # As it was sent, to the last digit of its times.
        body=None if answer is None else json.loads(JSONRenderer().render(answer.data)),
        created_at=timezone.now(),
    )
    # One statement; over the claim, or over a key whose day is past.
    return IdempotencyKey.objects.bulk_create(
        [kept],
        update_conflicts=True,
        unique_fields=["caller", "key"],
        update_fields=["fingerprint", "status_code", "body", "created_at"],
    )[0]


def fingerprint(request: Request) -> str:
    """A hash of what is asked: method, address and body, in whatever order its members come."""
    body = json.dumps(request.data, sort_keys=True, separators=(",", ":"))
    words = f"{request.method} {request.get_full_path()}\n{body}"
    return hashlib.sha256(words.encode()).hexdigest()


def _lock(caller: str, key: str) -> bool:
    """Take the key's lock until the transaction ends; False when another request has it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"idempotency:{caller}:{key}"]
        )
        return bool(cursor.fetchone()[0])
