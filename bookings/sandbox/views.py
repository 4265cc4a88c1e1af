"""The sandbox's payment page: another company's page, as far as the box office is concerned."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from bookings.sandbox.forms import CARDS, CardForm, ConfirmationForm
from bookings.sandbox.models import SandboxIntent
from bookings.sandbox.notices import queue_notice
from bookings.sandbox.tasks import deliver_notices
from events.wake_up import wake_up

Status = SandboxIntent.Status


# A program posts a card without having seen the page; the intent's id is the secret.
@csrf_exempt
@never_cache
@require_http_methods(["GET", "POST"])
def pay(request: HttpRequest, intent_id: str) -> HttpResponse:
    """Show the card form, or decide by the card that was posted and send the payer back."""
    intent = get_object_or_404(SandboxIntent, pk=intent_id)
    if request.method != "POST":
        return _page(request, intent, CardForm())
    if intent.status == Status.CONFIRMING:
        return _confirm(request, intent)
    if intent.status != Status.OPEN:
        return redirect(intent.return_url)
    form = CardForm(request.POST)
    if not form.is_valid():
        return _page(request, intent, form, status=400)
    status, reason = CARDS[form.cleaned_data["card_number"]]
    intent = _decide(
        intent, expected=Status.OPEN, to=status, reason=reason, notice_mode=form.cleaned_data["notice"]
    )
    if intent.status == Status.CONFIRMING:
        return _page(request, intent, CardForm())
    return redirect(intent.return_url)


def _confirm(request: HttpRequest, intent: SandboxIntent) -> HttpResponse:
    form = ConfirmationForm(request.POST)
    if not form.is_valid():
        return _page(request, intent, CardForm(), status=400)
    accepted = form.cleaned_data["confirmation"] == "accept"
    intent = _decide(
        intent,
        expected=Status.CONFIRMING,
        to=Status.AUTHORISED if accepted else Status.DECLINED,
        reason="" if accepted else "confirmation refused",
        notice_mode=intent.notice_mode,
    )
    return redirect(intent.return_url)


def _decide(
    intent: SandboxIntent, *, expected: Status, to: Status, reason: str, notice_mode: str
) -> SandboxIntent:
    """Move the intent on, once: of two posts at the same time the second changes nothing."""
    with transaction.atomic():
        intent = SandboxIntent.objects.select_for_update().get(pk=intent.pk)
        if intent.status == expected:
            intent.status = to
            intent.decline_reason = reason
            intent.notice_mode = notice_mode
            intent.save(update_fields=["status", "decline_reason", "notice_mode"])
            if to != Status.CONFIRMING:
                queue_notice(intent)
                transaction.on_commit(lambda: wake_up(deliver_notices), robust=True)
    return intent


def _page(request: HttpRequest, intent: SandboxIntent, form: CardForm, status: int = 200) -> HttpResponse:
    context = {"intent": intent, "form": form, "is_open": intent.status in {Status.OPEN, Status.CONFIRMING}}
    return render(request, "sandbox/pay.html", context, status=status)
