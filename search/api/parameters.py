"""The search's parameters: how the OpenAPI document tells of them, and how requests are held to them."""

from __future__ import annotations

from django.forms import Form
from django.http import QueryDict
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter

from events.api.parameters import InvalidParameter, form_errors
from search.forms import (
    DEFAULT_PAGE_SIZE,
    DEFAULT_RADIUS_KM,
    MAX_PAGE_SIZE,
    MAX_QUERY_LENGTH,
    MAX_RADIUS_KM,
    MIN_RADIUS_KM,
    ORDERINGS,
)

MOMENT = "RFC 3339, or a date, which means its first instant in UTC."

# As strict as the forms, so that programs can check what they send.
SLUG = {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$"}
WORDS = {
    "type": "string",
    "pattern": r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$",
}
LATITUDE = r"[-+]?(90(\.0{1,15})?|[1-8]?\d(\.\d{1,15})?)"
LONGITUDE = r"[-+]?(180(\.0{1,15})?|(1[0-7]\d|[1-9]?\d)(\.\d{1,15})?)"
POINT = {"type": "string", "pattern": f"^{LATITUDE},{LONGITUDE}$"}
TIME = {
    "type": "string",
    "pattern": r"^[1-9]\d{3}-\d\d-\d\d([Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d))?$",
}
PRICE = {"type": "string", "format": "decimal", "pattern": r"^\d{1,8}(\.\d{1,2})?$"}

SEARCH_PARAMETERS = [
    OpenApiParameter("available", bool, description="Whether tickets are left."),
    OpenApiParameter("category", SLUG | {"maxLength": 80}, description="A category's slug."),
    OpenApiParameter(
        "city", WORDS | {"maxLength": 120}, description="A city's name; capitals and accents do not matter."
    ),
    OpenApiParameter("country", {"type": "string", "pattern": "^[A-Za-z]{2}$"}, description="ISO 3166 code."),
    OpenApiParameter("cursor", str, description="From `next` or `previous`."),
    OpenApiParameter(
        "near", POINT, description="`LATITUDE,LONGITUDE` in degrees: events within `radius` of this place."
    ),
    OpenApiParameter("on_sale", bool, description="Whether tickets can be bought now."),
    OpenApiParameter(
        "ordering",
        enum=[value for value, label in ORDERINGS],
        description=(
            "By default `relevance` with `q`, else `starts_at`. `relevance` needs `q`, and "
            "`distance` needs `near`. By `price`, events without a price come last."
        ),
    ),
    OpenApiParameter(
        "page_size", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": DEFAULT_PAGE_SIZE}
    ),
    OpenApiParameter("performer", SLUG | {"maxLength": 120}, description="A performer's slug."),
    OpenApiParameter("price_max", PRICE, description="Some ticket costs at most this."),
    OpenApiParameter("price_min", PRICE, description="Some ticket costs at least this."),
    OpenApiParameter(
        "q",
        {"type": "string", "maxLength": MAX_QUERY_LENGTH, "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"},
        description='`"…"` holds a phrase together, `-` leaves a word out. The last word may be a beginning.',
    ),
    OpenApiParameter(
        "radius",
        {"type": "number", "minimum": MIN_RADIUS_KM, "maximum": MAX_RADIUS_KM},
        description=f"Kilometres, {DEFAULT_RADIUS_KM:.0f} by default.",
    ),
    OpenApiParameter(
        "starts_after",
        TIME,
        description=f"{MOMENT} Events that have ended are found only by a time in the past.",
    ),
    OpenApiParameter("starts_before", TIME, description=MOMENT),
    OpenApiParameter("venue", SLUG | {"maxLength": 120}, description="A venue's slug."),
]
SUGGEST_PARAMETERS = [
    OpenApiParameter("q", WORDS | {"maxLength": MAX_QUERY_LENGTH}, required=True),
]
NAMES = frozenset(parameter.name for parameter in SEARCH_PARAMETERS)

# An empty search box is no mistake; any other parameter without a value is.
MAY_BE_EMPTY = frozenset({"q"})


def check_form(parameters: QueryDict, form: Form) -> None:
    """Raise `InvalidParameter` for each parameter that is empty, or that the form finds wrong."""
    errors = form_errors(form)
    for name, value in parameters.items():
        if not value and name not in MAY_BE_EMPTY:
            errors.append({"field": name, "code": "empty", "detail": _("Give a value, or leave it out.")})
    if errors:
        raise InvalidParameter.from_errors(errors)
