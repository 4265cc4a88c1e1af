"""The admin of events, with the steps that bookings and their money hang on."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from bookings import cancellations, postponements
from bookings.admin.common import LookOnly, staff_page
from bookings.admin.event_forms import CancelForm, PostponeForm
from bookings.models import EventCancellation, User
from bookings.permissions import REFUND_RIGHT
from events import services
from events.admin import WORKER_IS_LATE, EventAdmin, change_url
from events.exceptions import OrganiserError
from events.models import Event

admin.site.unregister(Event)


@admin.register(Event)
class BookedEventAdmin(EventAdmin):
    """Events whose buyers are told, and get their money back, by the steps taken here."""

    actions_detail = [
        "publish",
        "set_new_date",
        "show_publication",
        "show_cancellation",
        {"title": _("More"), "icon": "more_horiz", "items": ["postpone", "cancel", "clone"]},
    ]

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """Only the buttons that make sense now."""
        event = Event.objects.filter(pk=object_id).first()
        if event is None:
            return []
        fitting = {
            "postpone": event.status == "published",
            "set_new_date": event.status == "postponed",
            "cancel": cancellations.can_be_cancelled(event),
            "show_cancellation": EventCancellation.objects.filter(event=event).exists(),
        }
        found = super().get_actions_detail(request, object_id)
        return [item for item in found if fitting.get(item.action_name.removeprefix("events_event_"), True)]

    def save_model(self, request: HttpRequest, obj: Event, form: Any, change: bool) -> None:
        if services.save_event(obj) and (told := postponements.buyers_of(obj).count()):
            text = ngettext(
                "%(told)d buyer is being told where and when it takes place now.",
                "%(told)d buyers are being told where and when it takes place now.",
                told,
            )
            messages.info(request, text % {"told": told})

    def has_give_back_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Who may give all the money back: a permission by its name is looked up by unfold’s check."""
        return request.user.has_perm(REFUND_RIGHT)

    # --- Cancelling ---------------------------------------------------------------------

    @action(
        description=_("Cancel"),
        url_path="cancel",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["change", "give_back"],
    )
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show what it comes to; cancel once the title is typed."""
        event = get_object_or_404(Event, pk=object_id)
        form = CancelForm(request.POST if request.method == "POST" else None, event=event)
        if form.is_valid():
            return self._cancel(request, event, form.cleaned_data["reason"])
        context = {
            "event": event,
            "plan": cancellations.plan_cancellation(event),
            "form": form,
            "can_be_cancelled": cancellations.can_be_cancelled(event),
            "back": change_url(event),
        }
        return staff_page(self, request, "cancel.html", title=_t("Cancel %s") % event, **context)

    def _cancel(self, request: HttpRequest, event: Event, reason: str) -> HttpResponse:
        staff = request.user if isinstance(request.user, User) else None
        try:
            cancellations.cancel_event(event, by=staff, reason=reason)
        except OrganiserError as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(change_url(event))
        self.log_change(request, event, f"Cancelled: {reason}")
        return HttpResponseRedirect(reverse("admin:events_event_show_cancellation", args=[event.pk]))

    @action(
        description=_("Cancellation"),
        url_path="cancellation",
        icon="hourglass_top",
        permissions=["give_back"],
    )
    def show_cancellation(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """How far the buyers have their money back."""
        rows = EventCancellation.objects.select_related("event", "requested_by")
        cancellation = get_object_or_404(rows, event=object_id)
        progress = cancellations.cancellation_progress(cancellation)
        waited = timezone.now() - cancellation.created_at
        context = {
            "cancellation": cancellation,
            "progress": progress,
            "is_open": cancellation.status == EventCancellation.Status.RUNNING or progress.is_moving,
            "is_late": bool(progress.left) and not progress.done and waited > WORKER_IS_LATE,
            "back": change_url(cancellation.event),
        }
        title = _t("Cancelling %s") % cancellation.event
        return staff_page(self, request, "cancellation.html", title=title, **context)

    # --- Postponing ---------------------------------------------------------------------

    @action(description=_("Postpone"), url_path="postpone", icon="schedule", permissions=["change"])
    def postpone(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._postpone(request, object_id, _t("Postpone %s"), _t("Postpone the event"))

    @action(
        description=_("Set the new date"),
        url_path="new-date",
        icon="event_upcoming",
        variant=ActionVariant.PRIMARY,
        permissions=["change"],
    )
    def set_new_date(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._postpone(request, object_id, _t("A new date for %s"), _t("Set the new date"))

    def _postpone(self, request: HttpRequest, object_id: str, title: str, button: str) -> HttpResponse:
        """Ask for what the buyers are told, in the venue's own time; then postpone and tell them."""
        event = get_object_or_404(Event.objects.select_related("venue"), pk=object_id)
        with timezone.override(event.venue.zone):
            form = PostponeForm(request.POST if request.method == "POST" else None, event=event)
            if form.is_valid() and self._is_postponed(request, event, form):
                return HttpResponseRedirect(change_url(event))
            context = {
                "event": event,
                "form": form,
                "buyers": postponements.buyers_of(event).count(),
                "button": button,
                "back": change_url(event),
            }
            return staff_page(self, request, "postpone.html", title=title % event, **context).render()

    def _is_postponed(self, request: HttpRequest, event: Event, form: PostponeForm) -> bool:
        """Postpone; false where it was refused, and the form says why."""
        try:
            changed = postponements.postpone_event(
                event,
                new_date=form.new_date(),
                free_refunds_until=form.cleaned_data["free_refunds_until"],
                message=form.cleaned_data["message"],
            )
        except OrganiserError as refusal:
            form.add_error(None, str(refusal))
            return False
        self.log_change(request, event, f"Postponed: {changed.get_status_display()}.")
        told = postponements.buyers_of(event).count()
        text = ngettext("%(told)d buyer is being told.", "%(told)d buyers are being told.", told)
        messages.success(request, _t("Done.") + " " + text % {"told": told})
        return True


@admin.register(EventCancellation)
class EventCancellationAdmin(LookOnly, ModelAdmin):
    """Which events were cancelled by whom, and whether everybody has been refunded."""

    list_display = ["event", "state", "bookings_total", "requested_by", "created_at", "finished_at"]
    list_filter = ["status", "created_at"]
    list_select_related = ["event", "requested_by"]
    search_fields = ["event__title", "event__slug"]

    @display(description=_("status"), label={"running": "info", "done": "success"})
    def state(self, cancellation: EventCancellation) -> tuple[str, str]:
        return cancellation.status, cancellation.get_status_display()
