"""Payments, what was given back, the books, and what gateways said, for support staff."""

from __future__ import annotations

import json

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

from bookings import payments, refunds
from bookings.admin.attention import attention_page
from bookings.admin.common import STATUS_COLOURS, LookOnly, do_each
from bookings.models import Payment, PaymentEntry, PaymentNotice, Refund
from bookings.notices import retry_notice


class PaymentInline(LookOnly, TabularInline):
    model = Payment
    fields = [
        "status",
        "decision",
        "amount",
        "captured",
        "refunded",
        "currency",
        "gateway",
        "gateway_reference",
        "reason",
        "problem",
        "created_at",
    ]
    readonly_fields = fields
    extra = 0
    show_change_link = True


class RefundInline(LookOnly, TabularInline):
    model = Refund
    fields = [
        "status",
        "origin",
        "amount",
        "fee",
        "currency",
        "requested_by",
        "reason",
        "problem",
        "requested_at",
        "done_at",
    ]
    readonly_fields = fields
    extra = 0
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Refund]:
        rows: QuerySet[Refund] = super().get_queryset(request)
        return rows.select_related("requested_by")


class EntryInline(LookOnly, TabularInline):
    model = PaymentEntry
    fields = ["recorded_at", "kind", "amount", "refund"]
    readonly_fields = fields
    extra = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[PaymentEntry]:
        rows: QuerySet[PaymentEntry] = super().get_queryset(request)
        return rows.select_related("refund")


@admin.register(Payment)
class PaymentAdmin(LookOnly, ModelAdmin):
    list_display = [
        "created_at",
        "booking",
        "state",
        "decision",
        "amount",
        "captured",
        "refunded",
        "currency",
        "gateway",
        "reason",
    ]
    list_filter = ["status", "decision", ("problem", admin.EmptyFieldListFilter), "gateway", "created_at"]
    list_select_related = ["booking"]
    search_fields = ["booking__reference", "booking__email", "gateway_reference"]
    search_help_text = _("Booking, buyer or the gateway's reference")
    show_full_result_count = False
    exclude = ["redirect_url", "return_url"]
    inlines = [EntryInline, RefundInline]
    actions = ["settle"]

    def has_act_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("bookings.change_payment")

    @display(description=_("status"), ordering="status", label=STATUS_COLOURS)
    def state(self, payment: Payment) -> tuple[str, str]:
        return payment.status, payment.get_status_display()

    @admin.action(description=_("Settle now: ask the gateway and act on it"), permissions=["act"])
    def settle(self, request: HttpRequest, queryset: QuerySet[Payment]) -> None:
        rows = list(queryset.values_list("pk", "booking__reference"))
        do_each(request, rows, payments.settle_payment, _t("Settled"))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.attention_view)
        urls: list[URLPattern] = super().get_urls()
        return [path("needs-a-person/", view, name="bookings_needs_a_person"), *urls]

    def attention_view(self, request: HttpRequest) -> HttpResponse:
        return attention_page(self, request)


@admin.register(Refund)
class RefundAdmin(LookOnly, ModelAdmin):
    """Refunds are asked for on the booking's page; here is what became of them."""

    list_display = [
        "requested_at",
        "booking",
        "state",
        "amount",
        "fee",
        "currency",
        "origin",
        "requested_by",
        "reason",
    ]
    list_filter = ["status", "origin", ("problem", admin.EmptyFieldListFilter), "requested_at"]
    list_select_related = ["booking", "requested_by"]
    search_fields = ["booking__reference", "booking__email", "reason"]
    search_help_text = _("Booking, buyer or reason")
    show_full_result_count = False
    readonly_fields = ["tickets"]
    actions = ["carry_out"]

    def has_act_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("bookings.change_refund")

    @display(description=_("status"), ordering="status", label=STATUS_COLOURS)
    def state(self, refund: Refund) -> tuple[str, str]:
        return refund.status, refund.get_status_display()

    @display(description=_("tickets"))
    def tickets(self, refund: Refund) -> str:
        items = refund.items.select_related("ticket__seat", "price_tier").order_by("ticket__position")
        return "; ".join(str(item.ticket.seat or item.price_tier) for item in items)

    @admin.action(description=_("Give the money back now: ask the gateway"), permissions=["act"])
    def carry_out(self, request: HttpRequest, queryset: QuerySet[Refund]) -> None:
        rows = list(queryset.values_list("pk", "booking__reference"))
        do_each(request, rows, refunds.carry_out_refund, _t("Asked the gateway"))


@admin.register(PaymentEntry)
class PaymentEntryAdmin(LookOnly, ModelAdmin):
    """The books, to look things up in."""

    list_display = ["recorded_at", "booking", "kind", "amount", "currency", "payment"]
    list_filter = ["kind", "payment__gateway", "recorded_at"]
    list_select_related = ["payment__booking"]
    search_fields = ["payment__booking__reference", "payment__gateway_reference"]
    search_help_text = _("Booking or the gateway's reference")
    show_full_result_count = False

    @display(description=_("booking"))
    def booking(self, entry: PaymentEntry) -> str:
        return entry.payment.booking.reference

    @display(description=_("currency"))
    def currency(self, entry: PaymentEntry) -> str:
        return entry.payment.currency


@admin.register(PaymentNotice)
class PaymentNoticeAdmin(LookOnly, ModelAdmin):
    """The inbox of gateways' notices."""

    list_display = ["received_at", "gateway", "kind", "state", "attempts", "outcome", "provider_id"]
    list_filter = ["status", "gateway", "received_at"]
    search_fields = ["provider_id", "payment_key", "reference"]
    search_help_text = _("The gateway's id of the notice, or the payment")
    show_full_result_count = False
    exclude = ["payload"]
    readonly_fields = ["content"]
    actions = ["retry"]

    def has_act_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("bookings.change_paymentnotice")

    @display(description=_("state"), ordering="status", label=STATUS_COLOURS)
    def state(self, notice: PaymentNotice) -> tuple[str, str]:
        return notice.status, notice.get_status_display()

    @display(description=_("what it says"))
    def content(self, notice: PaymentNotice) -> SafeString:
        text = json.dumps(notice.payload, indent=2, ensure_ascii=False)
        return format_html('<pre class="overflow-x-auto">{}</pre>', text)

    @admin.action(description=_("Try again (parked ones)"), permissions=["act"])
    def retry(self, request: HttpRequest, queryset: QuerySet[PaymentNotice]) -> None:
        parked = list(queryset.filter(status=PaymentNotice.Status.PARKED))
        for notice in parked:
            retry_notice(notice.pk)
            notice.refresh_from_db()
            if notice.status != PaymentNotice.Status.APPLIED:
                messages.error(request, f"{notice.provider_id}: {notice.outcome}")
        applied = sum(notice.status == PaymentNotice.Status.APPLIED for notice in parked)
        if applied or not parked:
            messages.success(request, _t("Applied: %(number)d.") % {"number": applied})
