"""The page of what needs a person: each with its reason, and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _t
from unfold.admin import ModelAdmin

from bookings import attention
from bookings.admin.common import staff_page
from bookings.models import Payment, PaymentNotice, Refund
from bookings.notices import retry_notice
from bookings.payments import settle_payment
from bookings.refunds import carry_out_refund, close_by_hand

Row = Payment | Refund | PaymentNotice

MODELS: dict[str, type[Row]] = {"payment": Payment, "refund": Refund, "notice": PaymentNotice}
TRY_AGAIN: dict[str, Callable[[Any], object]] = {
    "payment": settle_payment,
    "refund": carry_out_refund,
    "notice": retry_notice,
}


class CaseForm(forms.Form):
    """Which case, and what to do about it."""

    kind = forms.ChoiceField(choices=[(kind, kind) for kind in MODELS])
    pk = forms.CharField(max_length=36)
    action = forms.ChoiceField(choices=[("retry", "retry"), ("settle", "settle")])
    note = forms.CharField(max_length=200, required=False)


def attention_page(model_admin: ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Show the cases, or act on one."""
    if not request.user.has_perm("bookings.view_payment"):
        raise PermissionDenied
    if request.method == "POST":
        form = CaseForm(request.POST)
        if not form.is_valid():
            raise Http404
        _act(model_admin, request, **form.cleaned_data)
        return HttpResponseRedirect(request.path)
    cases = attention.find_cases()
    return staff_page(
        model_admin,
        request,
        "attention.html",
        title=_t("Needs a person"),
        cases=cases,
        changeable=_changeable(request),
    )


def _changeable(request: HttpRequest) -> set[str]:
    """The kinds of cases about which this member of staff may do something."""
    return {kind for kind, model in MODELS.items() if _may_change(request, model)}


def _may_change(request: HttpRequest, model: type[Row]) -> bool:
    return request.user.has_perm(f"bookings.change_{model._meta.model_name}")


def _act(
    model_admin: ModelAdmin, request: HttpRequest, *, kind: str, pk: str, action: str, note: str
) -> None:
    if not _may_change(request, MODELS[kind]):
        raise PermissionDenied
    row = _needing_a_person(kind, pk)
    if row is None:
        messages.info(request, _t("Somebody or something has seen to it in the meantime."))
    elif action == "retry":
        _try_again(model_admin, request, kind, row)
    elif not note:
        messages.error(request, _t("Write down what you did, then mark it as dealt with."))
    else:
        _deal_with(model_admin, request, row, note)


def _needing_a_person(kind: str, pk: str) -> Row | None:
    """The row, if it still is on the list."""
    for case in attention.find_cases():
        if case.kind == kind and str(case.row.pk) == pk:
            return case.row
    return None


def _try_again(model_admin: ModelAdmin, request: HttpRequest, kind: str, row: Row) -> None:
    TRY_AGAIN[kind](row.pk)
    model_admin.log_change(request, row, "Tried again.")
    if (left := _needing_a_person(kind, str(row.pk))) is None:
        messages.success(request, _t("It is off the list."))
        return
    reason = left.outcome if isinstance(left, PaymentNotice) else left.problem
    messages.error(request, _t("It did not help: %(reason)s") % {"reason": reason})


def _deal_with(model_admin: ModelAdmin, request: HttpRequest, row: Row, note: str) -> None:
    match row:
        case Refund():
            if not close_by_hand(row.pk):
                messages.error(request, _t("This refund cannot be closed: its money was never taken."))
                return
        case PaymentNotice():
            attention.dismiss_notice(row.pk, note=note)
        case Payment():
            attention.dismiss_payment(row.pk)
    model_admin.log_change(request, row, f"Dealt with: {note}")
    messages.success(request, _t("It is off the list, and your note is in its history."))
