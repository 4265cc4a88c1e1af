"""Every error of the API as one RFC 9457 problem document."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DataError
from django.http import Http404, HttpRequest, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions
from rest_framework.response import Response

from bookings import exceptions as box_office
from events.api.parameters import InvalidParameter
from ticketing.database_away import RETRY_AFTER, is_database_away, note_database_away

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

CONTENT_TYPE = "application/problem+json"


class Problem(NamedTuple):
    """What a code stands for: the HTTP status, a title, and what the caller can do about it."""

    status: int
    title: StrPromise
    advice: StrPromise


# The page at /problems/{code}/ shows each.
PROBLEMS: dict[str, Problem] = {
    "validation_error": Problem(
        400,
        _("The request is not valid"),
        _("“errors” names each member of the body that is wrong, and why."),
    ),
    "invalid_parameter": Problem(
        400,
        _("A parameter is not valid"),
        _("“errors” names each query parameter or header that is unknown or malformed, and why."),
    ),
    "malformed_json": Problem(
        400, _("The body is not valid JSON"), _("Send one JSON object in UTF-8, nested at most twenty deep.")
    ),
    "not_authenticated": Problem(
        401,
        _("Sign in first"),
        _("Send “Authorization: Token KEY” with a key from your account’s page, or sign in to the site."),
    ),
    "permission_denied": Problem(
        403,
        _("Not allowed"),
        _("You are known, but may not do this. With the site’s session, send its CSRF token too."),
    ),
    "waiting_room": Problem(
        403,
        _("There is a queue for this event"),
        _("Wait at “queue_url”; it lets you in when it is your turn."),
    ),
    "not_found": Problem(
        404,
        _("Not found"),
        _("There is nothing here, or it is someone else’s; a guest shows “X-Booking-Token” for a booking."),
    ),
    "method_not_allowed": Problem(
        405, _("This address does not take this method"), _("The “Allow” header lists the methods it takes.")
    ),
    "not_acceptable": Problem(
        406, _("Only JSON is served here"), _("Let “Accept” allow application/json, or leave it out.")
    ),
    "tickets_unavailable": Problem(
        409,
        _("The tickets are gone"),
        _(
            "Nothing is held. “unavailable” lists the tickets that are taken, or “available” says how many "
            "the tier has left; “suggestion”, where there is one, lists others that are free."
        ),
    ),
    "not_on_sale": Problem(
        409,
        _("The event is not on sale"),
        _("“on_sale_at” says when its sale begins, where that is still to come."),
    ),
    "hold_expired": Problem(
        409,
        _("The hold has ended"),
        _(
            "The hold’s time is over: hold tickets anew. A payment that was already under way ends with these"
            " tickets, or with the money given back."
        ),
    ),
    "extension_limit": Problem(
        409,
        _("The hold cannot be extended again"),
        _("Pay before “expires_at”, or the tickets are on sale again."),
    ),
    "already_booked": Problem(
        409, _("The booking is paid for already"), _("There is nothing left to pay, change or give back.")
    ),
    "not_admitted": Problem(
        409,
        _("This scan let nobody in"),
        _("Only an admission can be undone. There is nothing to take back."),
    ),
    "booking_closed": Problem(
        409, _("The booking has ended"), _("“booking_status” says how. Hold tickets again to go on.")
    ),
    "request_in_progress": Problem(
        409,
        _("The first request with this key is still running"),
        _("Ask again in a moment with the same “Idempotency-Key”: the first answer is waiting for you then."),
    ),
    "body_too_large": Problem(413, _("The body is too large"), _("No request here needs more than 64 KB.")),
    "unsupported_media_type": Problem(
        415, _("Only JSON is read here"), _("Send “Content-Type: application/json”.")
    ),
    "limit_exceeded": Problem(
        422,
        _("More tickets than one buyer may have"),
        _("“limit” is the most that one buyer may have of this event, over all their bookings."),
    ),
    "idempotency_key_reused": Problem(
        422,
        _("The idempotency key belongs to another request"),
        _("For 24 hours a key stands for one request, body included. Make a new key for a new request."),
    ),
    "rate_limited": Problem(
        429,
        _("Too many requests"),
        _("Wait as many seconds as “Retry-After” says. “RateLimit” tells what is left."),
    ),
    "internal_error": Problem(
        500,
        _("Something went wrong on our side"),
        _("It is in our log. Ask again with the same “Idempotency-Key”."),
    ),
    "temporarily_unavailable": Problem(
        503,
        _("Try again in a moment"),
        _("The database is away or busy, or the payment provider does not answer. Nothing was half done."),
    ),
}

CODES_BY_STATUS = {
    401: "not_authenticated",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "body_too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
}


# Of Django's own, in the order in which they are looked for.
CODES_BY_ERROR: dict[type[Exception], str] = {
    Http404: "not_found",
    PermissionDenied: "permission_denied",
    RequestDataTooBig: "body_too_large",
}

GATEWAY_RETRY_AFTER = "5"


@functools.cache
def _address_of(code: str) -> str:
    """Of the page that explains the problem. It never changes, as the site is at the root of its host."""
    return reverse("problem", args=[code])


def problem(code: str, detail: str | StrPromise = "", **members: Any) -> dict[str, Any]:
    """The problem document for `code`, with the further members that the contract names."""
    status, title, advice = PROBLEMS[code]
    return {
        "type": _address_of(code),
        "title": title,
        "status": status,
        "detail": detail or advice,
        "code": code,
        **members,
    }


def problem_json(code: str, detail: str | StrPromise = "", **members: Any) -> JsonResponse:
    """A plain Django response with the problem, for code outside the API's views."""
    body = problem(code, detail, **members)
    return JsonResponse(body, status=body["status"], content_type=CONTENT_TYPE)


def problem_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. Returns None for a bug, which then becomes a logged 500."""
    body, headers = _describe(error)
    if body is None:
        return None
    return Response(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


def _describe(error: Exception) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """The problem document for an exception, and the headers that go with it."""
    if is_database_away(error):
        note_database_away(error)
        return problem("temporarily_unavailable", _("Nothing was half done.")), {"Retry-After": RETRY_AFTER}
    if isinstance(error, exceptions.APIException):
        return _describe_http_error(error)
    if isinstance(error, box_office.GatewayUnavailable):
        detail = _("The payment provider does not answer. The hold stands.")
        return problem(error.code, detail), {"Retry-After": GATEWAY_RETRY_AFTER}
    if isinstance(error, box_office.BoxOfficeError):
        return _describe_refusal(error), {}
    for kind, code in CODES_BY_ERROR.items():
        if isinstance(error, kind):
            return problem(code), {}
    if isinstance(error, DataError | DjangoValidationError | RecursionError):
        return problem("validation_error", _("A value cannot be understood."), errors=[]), {}
    return None, {}


def _describe_http_error(error: exceptions.APIException) -> tuple[dict[str, Any], dict[str, str]]:
    match error:
        case exceptions.ValidationError():
            return problem("validation_error", errors=field_errors(error.get_full_details())), {}
        case InvalidParameter():
            return problem("invalid_parameter", str(error.detail), errors=error.errors), {}
        case exceptions.ParseError():
            detail = str(error.detail)
            errors = [{"field": "", "code": "malformed_json", "detail": detail}]
            return problem("malformed_json", detail, errors=errors), {}
        case exceptions.Throttled():
            seconds = getattr(error, "wait", None) or 1
            return problem("rate_limited"), {"Retry-After": str(int(seconds))}
    own = getattr(error.detail, "code", None)
    code = own if own in PROBLEMS else CODES_BY_STATUS.get(error.status_code, "internal_error")
    # Without words of its own an error says what the caller can do about it.
    detail = "" if str(error.detail) == str(error.default_detail) else str(error.detail)
    auth_header = getattr(error, "auth_header", None)
    return problem(code, detail), {"WWW-Authenticate": auth_header} if auth_header else {}


def _describe_refusal(error: box_office.BoxOfficeError) -> dict[str, Any]:
    match error:
        case box_office.TicketsUnavailable():
            members = {
                "unavailable": error.unavailable or None,
                "available": error.available,
                "suggestion": error.suggestion or None,
            }
            told = {name: value for name, value in members.items() if value is not None}
            return problem(error.code, _("Nothing is held."), **told)
        case box_office.NotOnSale():
            return problem(error.code, on_sale_at=error.on_sale_at)
        case box_office.LimitExceeded():
            return problem(
                error.code, _("At most %(limit)s tickets.") % {"limit": error.limit}, limit=error.limit
            )
        case box_office.BookingClosed():
            # Not `status`, which RFC 9457 keeps for the HTTP status.
            detail = _("The booking is %(status)s.") % {"status": error.status}
            return problem(error.code, detail, booking_status=error.status)
        case box_office.NotRefundable():
            return problem(error.code, error.reason)
        case box_office.AlreadyBooked():
            return problem(error.code, booking_status="booked")
        case box_office.InvalidTickets():
            errors = [{"field": error.field, "code": "invalid", "detail": str(error)}]
            return problem(error.code, str(error), errors=errors)
    return problem(error.code)


def field_errors(details: Any, prefix: str = "") -> list[dict[str, str]]:
    """DRF's nested error details as the contract's flat list, fields joined by dots."""
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        return [{"field": prefix, "code": str(details["code"]), "detail": str(details["message"])}]
    if isinstance(details, dict):
        pairs = [("" if key == "non_field_errors" else str(key), value) for key, value in details.items()]
    else:
        pairs = [("", value) for value in details]
    found = []
    for name, value in pairs:
        found += field_errors(value, ".".join(part for part in (prefix, name) if part))
    return found


def is_api(request: HttpRequest) -> bool:
    """Whether programs call this address, and get problem documents rather than pages."""
    return ("/" + request.path.lstrip("/")).startswith(("/api/", "/webhooks/"))
