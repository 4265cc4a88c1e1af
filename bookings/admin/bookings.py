"""Bookings for support staff: to look at; what changes goes through services."""

from __future__ import annotations

from itertools import islice
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from bookings import audit, services
from bookings.admin.common import STATUS_COLOURS, LookOnly, do_each, staff_page
from bookings.admin.money import PaymentInline, RefundInline
from bookings.admin.refunding import refund_page
from bookings.models import Booking, BookingItem, PaymentEntry
from bookings.outbox.models import Mail
from bookings.permissions import may_refund_any

VIOLATIONS_SHOWN = 200


class ItemInline(LookOnly, TabularInline):
    model = BookingItem
    fields = ["place", "price_tier", "price", "holder_name", "checked_in_at", "refund"]
    readonly_fields = fields
    extra = 0
    hide_title = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[BookingItem]:
        items: QuerySet[BookingItem] = super().get_queryset(request)
        return items.select_related("price_tier", "ticket__seat", "refund").order_by("ticket__position")

    @display(description=_("ticket"))
    def place(self, item: BookingItem) -> str:
        return str(item.ticket.seat or item.ticket)


class MailInline(LookOnly, TabularInline):
    model = Mail
    fields = ["created_at", "kind", "state", "to", "sent_at", "attempts", "error"]
    readonly_fields = fields
    extra = 0
    hide_title = True


@admin.register(Booking)
class BookingAdmin(LookOnly, ModelAdmin):
    list_display = ["reference", "event", "buyer", "state", "total", "currency", "created_at", "expires_at"]
    list_filter = ["status", "created_at"]
    list_select_related = ["event", "account"]
    search_fields = ["reference", "email", "name", "account__email", "event__title"]
    search_help_text = _("Reference, buyer or event")
    show_full_result_count = False
    exclude = ["access_token_hash"]
    inlines = [ItemInline, RefundInline, PaymentInline, MailInline]
    change_form_after_template = "admin/bookings/_entries.html"
    actions = ["release"]
    actions_detail = ["refund"]

    def has_act_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("bookings.change_booking")

    def has_refund_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_view_permission(request) and may_refund_any(request.user)

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

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Booking | None = None,
    ) -> HttpResponse:
        """With the entries in the books, which belong to the booking's payments."""
        if obj is not None:
            context["entries"] = PaymentEntry.objects.filter(payment__booking=obj).select_related("payment")
        page: HttpResponse = super().render_change_form(request, context, add, change, form_url, obj)
        return page

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Only what makes sense now."""
        booking = self.get_object(request, str(object_id))
        is_booked = booking is not None and booking.status == Booking.Status.BOOKED
        return super().get_actions_detail(request, object_id) if is_booked else []

    @action(
        description=_("Refund…"),
        url_path="refund",
        icon="currency_exchange",
        variant=ActionVariant.DANGER,
        permissions=["refund"],
    )
    def refund(self, request: HttpRequest, object_id: str) -> HttpResponse:
        booking = self.get_object(request, object_id)
        if booking is None:
            raise Http404
        return refund_page(self, request, booking.pk)

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.audit_view)
        urls: list[URLPattern] = super().get_urls()
        return [path("audit/", page, name="bookings_booking_audit"), *urls]

    def audit_view(self, request: HttpRequest) -> TemplateResponse:
        """What does not agree in the books (I1 to I5)."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = list(islice(audit.find_violations(), VIOLATIONS_SHOWN + 1))
        context = {"violations": found[:VIOLATIONS_SHOWN], "are_more": len(found) > VIOLATIONS_SHOWN}
        return staff_page(self, request, "audit.html", title=_t("Audit"), **context)
