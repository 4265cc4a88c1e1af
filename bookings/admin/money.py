"""Payments, and what gateways said of them, for support staff."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

from bookings import payments
from bookings.admin.common import STATUS_COLOURS, LookOnly, do_each
from bookings.models import Payment, PaymentNotice


class PaymentInline(LookOnly, TabularInline):
    model = Payment
    fields = [
        "status",
        "decision",
        "amount",
        "currency",
        "gateway",
        "gateway_reference",
        "reason",
        "created_at",
    ]
    readonly_fields = fields
    extra = 0


@admin.register(Payment)
class PaymentAdmin(LookOnly, ModelAdmin):
    list_display = ["created_at", "booking", "state", "decision", "amount", "currency", "gateway", "reason"]
    list_filter = ["status", "decision", "gateway", "created_at"]
    list_select_related = ["booking"]
    search_fields = ["booking__reference", "booking__email", "gateway_reference"]
    search_help_text = _("Booking, buyer or the gateway's reference")
    show_full_result_count = False
    exclude = ["redirect_url", "return_url"]
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


@admin.register(PaymentNotice)
class PaymentNoticeAdmin(LookOnly, ModelAdmin):
    list_display = ["received_at", "gateway", "provider_id", "applied_at", "attempts", "outcome"]
    list_filter = ["gateway", ("applied_at", admin.EmptyFieldListFilter), "received_at"]
    search_fields = ["provider_id"]
    show_full_result_count = False
