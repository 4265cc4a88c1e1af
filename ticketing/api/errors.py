"""Every error of the API as one RFC 9457 problem document."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from django.urls import reverse
from rest_framework import exceptions
from rest_framework.response import Response

from bookings import exceptions as box_office

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"

# code: (status, title). The page at /problems/{code}/ explains each.
PROBLEMS: dict[str, tuple[int, str]] = {
    "validation_error": (400, "The request is not valid"),
    "invalid_parameter": (400, "A parameter is not valid"),
    "malformed_json": (400, "The body is not valid JSON"),
    "not_authenticated": (401, "Sign in first"),
    "permission_denied": (403, "Not allowed"),
    "waiting_room": (403, "There is a queue for this event"),
    "not_found": (404, "Not found"),
    "method_not_allowed": (405, "This address does not take this method"),
    "not_acceptable": (406, "Only JSON is served here"),
    "tickets_unavailable": (409, "The tickets are gone"),
    "not_on_sale": (409, "The event is not on sale"),
    "hold_expired": (409, "The hold has ended"),
    "extension_limit": (409, "The hold cannot be extended again"),
    "already_booked": (409, "The booking is paid for already"),
    "booking_closed": (409, "The booking has ended"),
    "request_in_progress": (409, "The first request with this key is still running"),
    "body_too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "Only JSON is read here"),
    "limit_exceeded": (422, "More tickets than one buyer may have"),
    "idempotency_key_reused": (422, "The idempotency key belongs to another request"),
    "rate_limited": (429, "Too many requests"),
    "internal_error": (500, "Something went wrong on our side"),
    "temporarily_unavailable": (503, "Try again in a moment"),
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


class InvalidParameter(exceptions.APIException):
    """A query parameter that is unknown or malformed."""

    status_code = 400
    default_code = "invalid_parameter"

    def __init__(self, field: str, detail: str, code: str = "invalid") -> None:
        super().__init__(detail)
        self.errors = [{"field": field, "code": code, "detail": detail}]


def problem(code: str, detail: str = "", **members: Any) -> dict[str, Any]:
    """The problem document for `code`, with the further members that the contract names."""
    status, title = PROBLEMS[code]
    return {
        "type": reverse("problem", args=[code]),
        "title": title,
        "status": status,
        "detail": detail or f"{title}.",
        "code": code,
        **members,
    }


def problem_json(code: str, detail: str = "", **members: Any) -> JsonResponse:
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
    if isinstance(error, box_office.BoxOfficeError):
        return _describe_refusal(error)
    if isinstance(error, exceptions.ValidationError):
        return problem("validation_error", "See “errors”.", errors=field_errors(error.get_full_details())), {}
    if isinstance(error, InvalidParameter):
        return problem("invalid_parameter", str(error.detail), errors=error.errors), {}
    if isinstance(error, exceptions.ParseError):
        detail = str(error.detail)
        errors = [{"field": "", "code": "malformed_json", "detail": detail}]
        return problem("malformed_json", detail, errors=errors), {}
    if isinstance(error, exceptions.APIException):
        return _describe_http_error(error)
    if isinstance(error, Http404):
        return problem("not_found"), {}
    if isinstance(error, PermissionDenied):
        return problem("permission_denied"), {}
    if isinstance(error, OperationalError | InterfaceError):
        logger.warning("The database is away or busy: %s", error)
        return problem("temporarily_unavailable", "Nothing was half done."), {"Retry-After": "2"}
    if isinstance(error, DataError | DjangoValidationError | RecursionError):
        return problem("validation_error", "A value cannot be understood.", errors=[]), {}
    return None, {}


def _describe_http_error(error: exceptions.APIException) -> tuple[dict[str, Any], dict[str, str]]:
    headers = {}
    if isinstance(error, exceptions.Throttled) and error.wait:
        headers["Retry-After"] = str(int(error.wait))
    if auth_header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = auth_header
    code = CODES_BY_STATUS.get(error.status_code, "internal_error")
    detail = error.detail
    if isinstance(detail, str) and (own := getattr(detail, "code", None)) in PROBLEMS:
        code = str(own)
    return problem(code, str(detail) if isinstance(detail, str) else ""), headers


def _describe_refusal(error: box_office.BoxOfficeError) -> tuple[dict[str, Any], dict[str, str]]:
    match error:
        case box_office.TicketsUnavailable():
            members: dict[str, Any] = {}
            if error.unavailable:
                members["unavailable"] = error.unavailable
            if error.available is not None:
                members["available"] = error.available
            if error.suggestion:
                members["suggestion"] = error.suggestion
            return problem(error.code, "Nothing is held.", **members), {}
        case box_office.NotOnSale():
            return problem(error.code, on_sale_at=error.on_sale_at), {}
        case box_office.LimitExceeded():
            return problem(error.code, f"At most {error.limit}.", limit=error.limit), {}
        case box_office.BookingClosed():
            # Not `status`, which RFC 9457 keeps for the HTTP status.
            return problem(error.code, f"The booking is {error.status}.", booking_status=error.status), {}
        case box_office.AlreadyBooked():
            return problem(error.code, booking_status="booked"), {}
        case box_office.InvalidTickets():
            errors = [{"field": error.field, "code": "invalid", "detail": str(error)}]
            return problem(error.code, str(error), errors=errors), {}
        case box_office.GatewayUnavailable():
            return problem(error.code, "The payment provider does not answer."), {"Retry-After": "5"}
    return problem(error.code), {}


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
    return request.path.startswith("/api/")
