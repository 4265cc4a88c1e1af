"""What the pages for support staff share: rows to look at, actions that go through services."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _t
from unfold.admin import ModelAdmin

from bookings.exceptions import BoxOfficeError
from bookings.refusals import explain

STATUS_COLOURS = {
    "reserved": "warning",
    "booked": "success",
    "expired": "default",
    "released": "default",
    "cancelled": "danger",
    "refunded": "info",
    "pending": "warning",
    "authorised": "info",
    "captured": "success",
    "declined": "danger",
    "voided": "default",
    "requested": "warning",
    "done": "success",
    "waiting": "warning",
    "applied": "success",
    "parked": "danger",
    "sent": "success",
    "failed": "danger",
    "dropped": "default",
}


class LookOnly:
    """No row of it is made, changed or deleted by a form; what it names in `exclude` narrows no list."""

    exclude: Sequence[str] | None = None

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        # Told apart by whether a row is left, a hidden column would be read a letter at a time.
        is_hidden = lookup.partition(LOOKUP_SEP)[0] in (self.exclude or ())
        return not is_hidden and super().lookup_allowed(lookup, value, request)  # type: ignore[misc]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def staff_page(
    model_admin: ModelAdmin, request: HttpRequest, template: str, *, title: str, **context: Any
) -> TemplateResponse:
    """A page of ours in the admin's frame."""
    status = context.pop("status", 200)
    frame = model_admin.admin_site.each_context(request) | {"opts": model_admin.opts, "title": title}
    return TemplateResponse(request, f"admin/bookings/{template}", frame | context, status=status)


def do_each(
    request: HttpRequest, rows: Iterable[tuple[UUID, str]], service: Callable[[UUID], object], verb: str
) -> None:
    """Call the service for each row (its id, its booking's reference); say what was done and what refused."""
    done = 0
    for row_id, reference in rows:
        try:
            service(row_id)
        except BoxOfficeError as refusal:
            messages.error(request, f"{reference}: {explain(refusal)}")
        else:
            done += 1
    if done:
        messages.success(request, _t("%(verb)s: %(done)d.") % {"verb": verb, "done": done})
