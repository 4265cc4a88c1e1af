"""Staff give money back: which tickets and why, what that comes to, then it is done."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from bookings.admin.common import staff_page
from bookings.exceptions import BoxOfficeError
from bookings.forms import TicketsField
from bookings.models import Booking, Refund, User
from bookings.refunds import RefundQuote, quote_refund, request_refund
from bookings.refusals import explain
from bookings.tasks import finish_refunds
from events.templatetags.box_office import money
from events.wake_up import wake_up


class StaffRefundForm(forms.Form):
    """Which tickets, and why."""

    tickets = TicketsField(error_messages={"required": _("Choose at least one ticket.")})
    reason = forms.CharField(
        label=_("Reason"),
        max_length=200,
        help_text=_("The buyer reads it, in the mail and on the booking’s page."),
        widget=UnfoldAdminTextInputWidget({"autocomplete": "off"}),
    )


def refund_page(model_admin: ModelAdmin, request: HttpRequest, booking_id: UUID) -> HttpResponse:
    """Choose, look at what it comes to, confirm. Nothing happens before `confirm` is posted."""
    booking = get_object_or_404(Booking.objects.with_details(), pk=booking_id)
    left = [item for item in booking.items.all() if item.refund_id is None]
    form = StaffRefundForm(_posted(request, [item.ticket_id for item in left]))
    quote = None
    if form.is_valid():
        try:
            quote = quote_refund(booking, form.cleaned_data["tickets"], Refund.Origin.STAFF)
            if "confirm" in request.POST:
                return _give_back(model_admin, request, booking, form)
        except BoxOfficeError as refusal:
            quote = None
            form.add_error(None, explain(refusal))
    context = {
        "booking": booking,
        "left": left,
        "form": form,
        "quote": quote,
        "ticked": _ticked(form, quote),
        "back": reverse("admin:bookings_booking_change", args=[booking.pk]),
    }
    title = _t("Refund booking %(reference)s") % {"reference": booking.reference}
    return staff_page(
        model_admin, request, "refund.html", title=title, status=400 if form.errors else 200, **context
    )


def _posted(request: HttpRequest, left: list[int]) -> dict[str, object] | None:
    """What was chosen: ticked tickets, or all that are left."""
    if request.method != "POST":
        return None
    chosen = left if "all" in request.POST else request.POST.getlist("tickets")
    return {"tickets": [str(ticket_id) for ticket_id in chosen], "reason": request.POST.get("reason", "")}


def _ticked(form: StaffRefundForm, quote: RefundQuote | None) -> set[int]:
    """What stays ticked on the page, also where something else was wrong."""
    if quote is not None:
        return set(quote.ticket_ids)
    return set(form.cleaned_data.get("tickets", [])) if form.is_bound else set()


def _give_back(
    model_admin: ModelAdmin, request: HttpRequest, booking: Booking, form: StaffRefundForm
) -> HttpResponse:
    assert isinstance(request.user, User)  # noqa: S101  # The admin lets nobody else in.
    refund = request_refund(
        booking_id=booking.pk,
        ticket_ids=form.cleaned_data["tickets"],
        origin=Refund.Origin.STAFF,
        by=request.user,
        reason=form.cleaned_data["reason"],
    )
    wake_up(finish_refunds)
    told = money(refund.amount, refund.currency)
    model_admin.log_change(request, booking, f"Refunded {told}: {refund.reason}")
    messages.success(
        request,
        _t("The tickets are on sale again, and %(amount)s is on its way to the buyer.") % {"amount": told},
    )
    return HttpResponseRedirect(reverse("admin:bookings_booking_change", args=[booking.pk]))
