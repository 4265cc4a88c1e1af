"""Bookings, payments and accounts for support staff: to look at; what changes goes through services."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from bookings import audit, payments, services
from bookings.exceptions import BoxOfficeError
from bookings.models import ApiKey, Booking, BookingItem, Payment, PaymentNotice, User
from bookings.refusals import explain

VIOLATIONS_SHOWN = 200
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
}


class LookOnly:
    """No row of it is made, changed or deleted by a form."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


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


@admin.register(ApiKey)
class ApiKeyAdmin(LookOnly, ModelAdmin):
    """Keys can be revoked here, and are made by their owners."""

    list_display = ["account", "name", "hint", "created_at", "last_used_at"]
    list_select_related = ["account"]
    search_fields = ["account__email", "name"]
    exclude = ["key_hash"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("bookings.delete_apikey")


admin.site.unregister(Group)


class AccountCreationForm(UserCreationForm):
    class Meta:
        model = User
        fields = ["email"]


@admin.register(User)
class UserAdmin(BaseUserAdmin, ModelAdmin):  # type: ignore[type-arg]  # Generic in the stubs alone.
    """Accounts. Only a superuser changes them, as nobody may give themselves more rights."""

    form = UserChangeForm
    add_form = AccountCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["email", "first_name", "last_name", "is_staff", "date_joined"]
    list_filter = ["is_staff", "is_superuser", "is_active"]
    search_fields = ["email", "first_name", "last_name"]
    ordering = ["email"]
    readonly_fields = ["last_login", "date_joined"]
    fieldsets = [
        (None, {"fields": ["email", "password"]}),
        (_("Person"), {"fields": ["first_name", "last_name"]}),
        (_("Rights"), {"fields": ["is_active", "is_staff", "is_superuser", "user_permissions"]}),
        (_("Dates"), {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [(None, {"fields": ["email", "usable_password", "password1", "password2"]})]
    filter_horizontal = ["user_permissions"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Accounts with bookings are made inactive instead."""
        return False
