"""What every call of the API has in common, written into the OpenAPI document once.

Views name the problems that are special to them in the extension `x-problems`; this adds the
ones that any call can end in, and the headers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from bookings.api.idempotency import HEADER as IDEMPOTENCY_KEY
from ticketing.api.errors import CONTENT_TYPE, PROBLEMS

Operation = dict[str, Any]

ANY_PROBLEMS = [
    "invalid_parameter",
    "not_authenticated",
    "permission_denied",
    "not_acceptable",
    "rate_limited",
]
ANY_PROBLEMS += ["internal_error", "temporarily_unavailable"]
BODY_PROBLEMS = ["validation_error", "malformed_json", "body_too_large", "unsupported_media_type"]
KEY_PROBLEMS = ["request_in_progress", "idempotency_key_reused"]

# The members that the contract adds to some problems.
FURTHER_MEMBERS: dict[str, Any] = {
    "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}},
    "unavailable": {"type": "array", "items": {"type": "integer"}},
    "available": {"type": "integer"},
    "suggestion": {"type": "array", "items": {"type": "integer"}},
    "on_sale_at": {"type": ["string", "null"], "format": "date-time"},
    "booking_status": {"type": "string"},
    "limit": {"type": "integer"},
    "queue_url": {"type": "string", "format": "uri"},
}

SCHEMAS: dict[str, Any] = {
    "FieldError": {
        "type": "object",
        "required": ["field", "code", "detail"],
        "properties": {name: {"type": "string"} for name in ("field", "code", "detail")},
    },
    "Problem": {
        "type": "object",
        "description": "An RFC 9457 problem document.",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "code": {"type": "string", "enum": sorted(PROBLEMS)},
            **FURTHER_MEMBERS,
        },
    },
}

IDEMPOTENCY_PARAMETER = {
    "name": IDEMPOTENCY_KEY,
    "in": "header",
    "description": (
        "The same key with the same body replays the first answer for 24 hours. Refusals are kept too; "
        "what is not valid (400) and what is nobody's fault (429, 503) is not."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x20-\x7e]+$"},
}
IF_NONE_MATCH_PARAMETER = {
    "name": "If-None-Match",
    "in": "header",
    "description": "An `ETag` that the caller already has; 304 if it is still right.",
    "schema": {"type": "string"},
}
TEXT_HEADER = {"schema": {"type": "string"}}


def describe_what_all_share(result: dict[str, Any], **_context: Any) -> dict[str, Any]:
    """A drf-spectacular postprocessing hook."""
    result["components"]["schemas"].update(SCHEMAS)
    for method, operation in _operations(result):
        own_problems = operation.pop("x-problems", [])
        if "not_authenticated" not in own_problems:
            # Nobody need sign in for it.
            operation.setdefault("security", []).append({})
        codes = [*ANY_PROBLEMS, *own_problems]
        if "requestBody" in operation:
            codes += BODY_PROBLEMS
        if method == "post":
            codes += KEY_PROBLEMS
            operation.setdefault("parameters", []).append(IDEMPOTENCY_PARAMETER)
        if method == "get":
            operation.setdefault("parameters", []).append(IF_NONE_MATCH_PARAMETER)
        _add_headers(method, operation)
        _add_problems(operation, codes)
    return result


def _operations(result: dict[str, Any]) -> Iterator[tuple[str, Operation]]:
    for path in result["paths"].values():
        yield from path.items()


def _add_headers(method: str, operation: Operation) -> None:
    """The headers of answers that went well, and 304."""
    for response in operation["responses"].values():
        headers = response.setdefault("headers", {})
        headers.update({"RateLimit": TEXT_HEADER, "RateLimit-Policy": TEXT_HEADER})
        if method == "get":
            headers["ETag"] = TEXT_HEADER
        if method == "post":
            headers["Idempotent-Replayed"] = {
                "description": "`true` where this is the first answer again.",
                "schema": {"type": "string", "enum": ["true"]},
            }
    if method == "get":
        operation["responses"]["304"] = {"description": "The caller's picture is still right."}


def _add_problems(operation: Operation, codes: Iterable[str]) -> None:
    """One response for each status, naming the codes it can have."""
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in dict.fromkeys(codes):
        by_status[PROBLEMS[code].status].append(code)
    for status, of_status in sorted(by_status.items()):
        response: dict[str, Any] = {
            "description": " · ".join(f"`{code}`: {PROBLEMS[code].title}" for code in of_status),
            "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        if status in {429, 503}:
            response["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
        operation["responses"][str(status)] = response
