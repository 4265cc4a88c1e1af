"""Which tickets of an event to list."""

from __future__ import annotations

from typing import Any

import django_filters
from django import forms
from django.db.models import BigIntegerField
from drf_spectacular.utils import extend_schema_field

from events.models import Ticket


@extend_schema_field(
    {"type": "integer", "format": "int64", "minimum": 1, "maximum": BigIntegerField.MAX_BIGINT}
)
class IdFilter(django_filters.Filter):  # type: ignore[misc]  # django-filter is not typed.
    """Rows that refer to this id; no id is larger than PostgreSQL's `bigint`."""

    field_class = forms.IntegerField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, min_value=1, max_value=BigIntegerField.MAX_BIGINT, **kwargs)


class TicketFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Needs `live_status` annotated."""

    status = django_filters.ChoiceFilter(
        field_name="live_status", choices=Ticket.Status.choices, help_text="Only tickets in this state."
    )
    price_tier = IdFilter(help_text="Only tickets of the price tier with this id.")
    section = django_filters.CharFilter(
        field_name="seat__section", help_text="Only seats of this section, by its exact name."
    )
