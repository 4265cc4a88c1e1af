"""Bookings for support staff: to look at; what changes goes through services."""

from __future__ import annotations

from itertools import islice

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

from bookings import audit, services
from bookings.admin.common import STATUS_COLOURS, LookOnly, do_each
from bookings.admin.money import PaymentInline
from bookings.models import Booking, BookingItem

VIOLATIONS_SHOWN = 200


class ItemInline(LookOnly, TabularInline):
    model = BookingItem
    fields = ["place", "price_tier", "price", "holder_name", "checked_in_at"]
    readonly_fields = fields
    extra = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[BookingItem]:
        items: QuerySet[BookingItem] = super().get_queryset(request)
        return items.select_related("price_tier", "ticket__seat").order_by("ticket__position")

    @display(description=_("ticket"))
    def place(self, item: BookingItem) -> str:
        return str(item.ticket.seat or item.ticket)


@admin.register(Booking)
class BookingAdmin(LookOnly, ModelAdmin):
    list_display = ["reference", "event", "buyer", "state", "total", "currency", "created_at", "expires_at"]
    list_filter = ["status", "created_at"]
    list_select_related = ["event", "account"]
    search_fields = ["reference", "email", "name", "account__email", "event__title"]
    search_help_text = _("Reference, buyer or event")
    show_full_result_count = False
    exclude = ["access_token_hash"]
    inlines = [ItemInline, PaymentInline]
    actions = ["release"]

    def has_act_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("bookings.change_booking")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Booking]:
        return Booking.objects.with_current_status()

    @display(description=_("buyer"))
    def buyer(self, booking: Booking) -> str:
        return booking.email or (booking.account.email if booking.account else _t("guest"))

    @display(description=_("status"), ordering="status", label=STATUS_COLOURS)
    def state(self, booking: Booking) -> tuple[str, str]:
        status = booking.current_status
        return status, str(Booking.Status(status).label)

    @admin.action(description=_("Release the hold"), permissions=["act"])
    def release(self, request: HttpRequest, queryset: QuerySet[Booking]) -> None:
        rows = list(queryset.values_list("pk", "reference"))
        do_each(request, rows, lambda pk: services.release_hold(booking_id=pk), _t("Released"))

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.audit_view)
        urls: list[URLPattern] = super().get_urls()
        return [path("audit/", page, name="bookings_booking_audit"), *urls]

    def audit_view(self, request: HttpRequest) -> HttpResponse:
        """What does not agree in the books (I1 to I5)."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = list(islice(audit.find_violations(), VIOLATIONS_SHOWN + 1))
        frame = self.admin_site.each_context(request) | {"opts": self.opts, "title": _t("Audit")}
        context = {"violations": found[:VIOLATIONS_SHOWN], "are_more": len(found) > VIOLATIONS_SHOWN}
        return TemplateResponse(request, "admin/bookings/audit.html", frame | context)
