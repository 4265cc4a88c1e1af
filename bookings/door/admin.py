"""What happened at the doors, for support staff to look at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from bookings.admin.common import LookOnly
from bookings.door.models import Scan
from events.templatetags.box_office import place_name

RESULT_COLOURS = {
    "admitted": "success",
    "already_used": "warning",
    "refunded": "danger",
    "wrong_event": "danger",
    "unknown": "danger",
    "undone": "default",
}


class DoubleEntryFilter(admin.SimpleListFilter):
    """People who went in at an offline door and would have been refused."""

    title = _("double entry")
    parameter_name = "double"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("Went in although refused"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Scan]) -> QuerySet[Scan]:
        return queryset.filter(pk__in=Scan.objects.double_entries()) if self.value() else queryset


@admin.register(Scan)
class ScanAdmin(LookOnly, ModelAdmin):
    list_display = ["scanned_at", "event", "status", "place", "door", "is_offline", "let_in", "scanned_by"]
    list_filter = ["result", DoubleEntryFilter, "is_offline", "scanned_at"]
    list_select_related = ["event", "scanned_by", "item__ticket__seat", "item__price_tier"]
    search_fields = ["event__title", "door", "code", "item__booking__reference"]
    search_help_text = _("Event, door, code or booking")
    show_full_result_count = False
    fields = [
        "event",
        "item",
        "code",
        "status",
        "door",
        "device",
        "scanned_by",
        "scanned_at",
        "recorded_at",
        "is_offline",
        "let_in",
        "undoes",
    ]
    readonly_fields = ["status"]

    @display(description=_("result"), ordering="result", label=RESULT_COLOURS)
    def status(self, scan: Scan) -> tuple[str, str]:
        return scan.result, scan.get_result_display()

    @display(description=_("place"))
    def place(self, scan: Scan) -> str:
        return "" if scan.item is None else place_name(scan.item.ticket.seat, scan.item.price_tier)
