"""The search's parameters: how the OpenAPI document tells of them, and how requests are held to them."""

from __future__ import annotations

from django.forms import Form
from django.http import QueryDict
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from events.api.parameters import InvalidParameter, form_errors
from search.forms import DEFAULT_PAGE_SIZE, DEFAULT_RADIUS_KM, MAX_PAGE_SIZE, MAX_QUERY_LENGTH, ORDERINGS

MOMENT = "RFC 3339, or a date, which means its first instant in UTC."

SEARCH_PARAMETERS = [
    OpenApiParameter("available", bool, description="Whether tickets are left."),
    OpenApiParameter("category", str, description="A category's slug."),
    OpenApiParameter("city", str, description="A city's name; capitals and accents do not matter."),
    OpenApiParameter("country", {"type": "string", "pattern": "^[A-Za-z]{2}$"}, description="ISO 3166 code."),
    OpenApiParameter("cursor", str, description="From `next` or `previous`."),
    OpenApiParameter(
        "near", str, description="`LATITUDE,LONGITUDE` in degrees: events within `radius` of this place."
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
    OpenApiParameter("performer", str, description="A performer's slug."),
    OpenApiParameter("price_max", OpenApiTypes.DECIMAL, description="Some ticket costs at most this."),
    OpenApiParameter("price_min", OpenApiTypes.DECIMAL, description="Some ticket costs at least this."),
    OpenApiParameter(
        "q",
        {"type": "string", "maxLength": MAX_QUERY_LENGTH},
        description='`"…"` holds a phrase together, `-` leaves a word out. The last word may be a beginning.',
    ),
    OpenApiParameter(
        "radius", OpenApiTypes.DOUBLE, description=f"Kilometres, {DEFAULT_RADIUS_KM:.0f} by default."
    ),
    OpenApiParameter(
        "starts_after",
        str,
        description=f"{MOMENT} Events that have ended are found only by a time in the past.",
    ),
    OpenApiParameter("starts_before", str, description=MOMENT),
    OpenApiParameter("venue", str, description="A venue's slug."),
]
SUGGEST_PARAMETERS = [
    OpenApiParameter("q", {"type": "string", "maxLength": MAX_QUERY_LENGTH}, required=True),
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
