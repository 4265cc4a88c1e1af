"""Lists by cursor, over a stable key, so that no row is shown twice or left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import DataError
from django.db.models import QuerySet
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from rest_framework import pagination
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from events.api.parameters import InvalidParameter

if TYPE_CHECKING:
    from rest_framework.views import APIView


BAD_CURSOR = _("This cursor was not made by this list.")
FIRST_PAGE = pagination.Cursor(offset=0, reverse=False, position=None)


class CursorPagination(pagination.CursorPagination):
    """`?cursor=` and `?page_size=` up to 100; a cursor we did not make is an error, not a crash."""

    page_size_query_param = "page_size"
    max_page_size = 100
    ordering = "-id"

    def get_page_size(self, request: Request) -> int | None:
        asked = request.query_params.get(self.page_size_query_param)
        if asked is None:
            return self.page_size
        is_number = asked.isascii() and asked.isdigit() and len(asked) < 10
        if not is_number or not 1 <= int(asked) <= self.max_page_size:
            detail = _t("Must be a whole number from 1 to %(largest)s.") % {"largest": self.max_page_size}
            raise InvalidParameter("page_size", detail)
        return int(asked)

    def paginate_queryset(
        self, queryset: QuerySet[Any] | Sequence[Any], request: Request, view: APIView | None = None
    ) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValidationError, ValueError, OverflowError, DataError) as error:
            raise InvalidParameter("cursor", str(BAD_CURSOR)) from error

    def decode_cursor(self, request: Request) -> Any:
        try:
            found = super().decode_cursor(request)
        except NotFound as error:
            raise InvalidParameter("cursor", str(BAD_CURSOR)) from error
        if found == FIRST_PAGE:
            # It says nothing, which no link of ours does: the first page is asked for without a cursor.
            raise InvalidParameter("cursor", str(BAD_CURSOR))
        return found

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        cursor, page_size = super().get_schema_operation_parameters(view)
        cursor["description"] = "From the `next` or `previous` of an earlier page."
        page_size["description"] = "How many to a page."
        page_size["schema"] = {
            "type": "integer",
            "minimum": 1,
            "maximum": self.max_page_size,
            "default": self.page_size,
        }
        return [cursor, page_size]

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: APIView) -> tuple[str, ...]:
        """The view's `cursor_ordering`: its first field decides, the others make it unique."""
        return tuple(getattr(view, "cursor_ordering", (self.ordering,)))
