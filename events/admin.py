"""The organiser's side: from a venue's seats to an event on sale, without a shell."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import admin, messages
from django.contrib.postgres.fields import ArrayField
from django.db import transaction
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, URLField
from django.db.models.functions import JSONObject
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldAdminURLInputWidget

from events import publish_jobs, seating, seating_plan, services, tasks
from events.exceptions import OrganiserError
from events.forms import PlanForm, SeatBlockForm
from events.models import Category, Event, Performer, PriceTier, PublishJob, Seat, Ticket, Venue
from events.querysets import is_available
from events.sale_plan import plan_sale
from events.wake_up import wake_up

# After this long it is likely that no worker runs at all.
WORKER_IS_LATE = timedelta(seconds=20)
STATUS_COLOURS = {
    "draft": "default",
    "published": "success",
    "postponed": "warning",
    "cancelled": "danger",
    "available": "success",
    "reserved": "warning",
    "booked": "info",
    "blocked": "default",
}


def page(
    model_admin: ModelAdmin, request: HttpRequest, template: str, *, title: str, **context: Any
) -> TemplateResponse:
    """A page of ours in the admin's frame."""
    frame = model_admin.admin_site.each_context(request) | {"opts": model_admin.opts, "title": title}
    return TemplateResponse(request, f"admin/{template}", frame | context)


def change_url(row: Event | Venue) -> str:
    return reverse(f"admin:events_{row._meta.model_name}_change", args=[row.pk])


class NamedAdmin(ModelAdmin):
    """Things that have a name and a slug."""

    list_display = ["name", "slug"]
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}


@admin.register(Category)
class CategoryAdmin(NamedAdmin):
    pass


@admin.register(Performer)
class PerformerAdmin(NamedAdmin):
    pass


# --- Venues and seats -----------------------------------------------------------------


@admin.register(Venue)
class VenueAdmin(ModelAdmin):
    """Venues, and the tools that make their seats."""

    list_display = ["name", "city", "country", "timezone", "seat_count"]
    list_filter = ["country"]
    search_fields = ["name", "city", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    list_per_page = 50
    actions_detail = ["edit_seats", "import_plan", "export_plan"]
    fieldsets = [
        (None, {"fields": ["name", "slug", "timezone"]}),
        (_("Where it is"), {"fields": ["address", "city", "country", ("latitude", "longitude")]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Venue]:
        seats = Seat.objects.filter(venue=OuterRef("pk")).order_by().values("venue")
        venues: QuerySet[Venue] = super().get_queryset(request)
        return venues.annotate(seats_made=Subquery(seats.annotate(n=Count("id")).values("n")))

    def has_delete_permission(self, request: HttpRequest, obj: Venue | None = None) -> bool:
        """Not while events refer to it; and its seats are removed first, section by section."""
        allowed = bool(super().has_delete_permission(request, obj))
        in_use = isinstance(obj, Venue) and (obj.events.exists() or obj.seats.exists())
        return allowed and not in_use

    @display(description=_("seats"), ordering="seats_made")
    def seat_count(self, venue: Venue) -> int:
        return getattr(venue, "seats_made", None) or 0

    @action(description=_("Seats"), url_path="seats", icon="event_seat", permissions=["change"])
    def edit_seats(self, request: HttpRequest, object_id: str) -> HttpResponse:
        venue = get_object_or_404(Venue, pk=object_id)
        form = SeatBlockForm(request.POST if "section" in request.POST else None)
        if "remove" in request.POST and self._remove_section(request, venue):
            return HttpResponseRedirect(request.path)
        preview = None
        if form.is_valid():
            preview = self._add_seats(request, venue, form)
            if preview is None and not form.errors:
                return HttpResponseRedirect(request.path)
        context = {"venue": venue, "form": form, "preview": preview, "sections": seating.section_facts(venue)}
        return page(
            self,
            request,
            "events/seats.html",
            title=_t("Seats of %s") % venue,
            back=change_url(venue),
            **context,
        )

    def _add_seats(self, request: HttpRequest, venue: Venue, form: SeatBlockForm) -> seating.SeatBlock | None:
        """Add the seats, or only look; None where they were added or refused."""
        block = form.block()
        try:
            if "preview" in request.POST:
                seating.check_block(venue, block)
                return block
            count = seating.add_seats(venue, block)
        except OrganiserError as refusal:
            form.add_error(None, str(refusal))
            return None
        self.log_change(request, venue, f"Added {count} seats to section {block.section}.")
        messages.success(request, ngettext("%d seat was added.", "%d seats were added.", count) % count)
        return None

    def _remove_section(self, request: HttpRequest, venue: Venue) -> bool:
        section = request.POST["remove"]
        try:
            count = seating.remove_section(venue, section)
        except OrganiserError as refusal:
            messages.error(request, str(refusal))
            return False
        self.log_change(request, venue, f"Removed section {section}.")
        messages.success(request, ngettext("%d seat was removed.", "%d seats were removed.", count) % count)
        return True

    @action(description=_("Import a plan"), url_path="import-plan", icon="upload", permissions=["change"])
    def import_plan(self, request: HttpRequest, object_id: str) -> HttpResponse:
        venue = get_object_or_404(Venue, pk=object_id)
        form = PlanForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            try:
                done = seating_plan.import_plan(venue, form.cleaned_data["plan"].read())
            except OrganiserError as refusal:
                form.add_error("plan", str(refusal))
            else:
                self.log_change(request, venue, "Imported a seating plan.")
                facts = {
                    "added": done.added,
                    "changed": done.changed,
                    "removed": done.removed,
                    "total": done.total,
                }
                messages.success(
                    request,
                    _t("%(total)d seats: %(added)d new, %(changed)d changed, %(removed)d removed.") % facts,
                )
                return HttpResponseRedirect(reverse("admin:events_venue_edit_seats", args=[venue.pk]))
        title = _t("Import a seating plan for %s") % venue
        return page(self, request, "events/import_plan.html", title=title, form=form, back=change_url(venue))

    @action(description=_("Export the plan"), url_path="export-plan", icon="download", permissions=["view"])
    def export_plan(self, request: HttpRequest, object_id: str) -> HttpResponse:
        venue = get_object_or_404(Venue, pk=object_id)
        name = f'attachment; filename="{venue.slug}.json"'
        content = seating_plan.export_json(venue)
        return HttpResponse(content, content_type="application/json", headers={"Content-Disposition": name})


@admin.register(Seat)
class SeatAdmin(ModelAdmin):
    """One seat at a time: for looking, and for what a plan does not say."""

    list_display = ["__str__", "venue", "category", "is_accessible"]
    list_filter = ["is_accessible"]
    list_select_related = ["venue"]
    search_fields = ["venue__name", "section", "row", "number", "guid"]
    fields = ["venue", "section", "row", "number", "category", "is_accessible"]
    readonly_fields = ["venue", "section", "row", "number"]
    show_full_result_count = False
    actions = ["mark_accessible", "mark_not_accessible"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.action(description=_("Mark as wheelchair accessible"), permissions=["change"])
    def mark_accessible(self, request: HttpRequest, queryset: QuerySet[Seat]) -> None:
        queryset.update(is_accessible=True)

    @admin.action(description=_("Mark as not wheelchair accessible"), permissions=["change"])
    def mark_not_accessible(self, request: HttpRequest, queryset: QuerySet[Seat]) -> None:
        queryset.update(is_accessible=False)


# --- Events ---------------------------------------------------------------------------


class PriceTierInline(TabularInline):
    model = PriceTier
    fields = ["position", "name", "price", "is_seated", "sections", "quantity"]
    hide_title = True
    formfield_overrides = {ArrayField: {"widget": UnfoldAdminTextInputWidget}}

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        """A new event begins with an empty line, which may stay empty."""
        return 0 if obj else 1


@admin.register(Event)
class EventAdmin(ModelAdmin):
    """Events in the order in which an organiser fills them in."""

    list_display = ["title", "starts", "venue", "status_label", "sale_facts"]
    list_filter = ["status", "category", "starts_at"]
    list_select_related = ["venue"]
    list_per_page = 25
    search_fields = ["title", "slug", "venue__name", "venue__city"]
    prepopulated_fields = {"slug": ["title"]}
    autocomplete_fields = ["venue", "performers", "category"]
    readonly_fields = ["status"]
    inlines = [PriceTierInline]
    actions_detail: list[Any] = ["publish", "show_publication", "clone"]
    formfield_overrides = {URLField: {"assume_scheme": "https", "widget": UnfoldAdminURLInputWidget}}
    warn_unsaved_form = True
    fieldsets = [
        (
            _("What"),
            {"fields": ["title", "slug", "summary", "description", "category", "performers", "website"]},
        ),
        (
            _("Where and when"),
            {
                "fields": ["venue", "starts_at", "ends_at", "doors_at"],
                "description": _("All times are the venue’s own local time."),
            },
        ),
        (
            _("The sale"),
            {
                "fields": [
                    "status",
                    "currency",
                    "on_sale_at",
                    "off_sale_at",
                    "max_tickets_per_booking",
                    "max_extensions",
                ],
                "description": _("Save the event with its price tiers below, then publish it."),
            },
        ),
        (
            _("Returned tickets"),
            {
                "fields": ["refunds_until", "refund_fee", "free_refunds_until"],
                "description": _("Whether buyers may give tickets back themselves; staff always can."),
            },
        ),
    ]

    class Media:
        css = {"all": ["admin/organiser.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        counts = Ticket.objects.filter(event=OuterRef("pk")).order_by().values("event")
        facts = JSONObject(
            total=Count("pk"),
            available=Count("pk", filter=is_available()),
            booked=Count("pk", filter=Q(status="booked")),
            blocked=Count("pk", filter=Q(status="blocked")),
        )
        events: QuerySet[Event] = super().get_queryset(request)
        return events.annotate(ticket_counts=Subquery(counts.annotate(facts=facts).values("facts")))

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)
        found.pop("delete_selected", None)
        return found

    def has_delete_permission(self, request: HttpRequest, obj: Event | None = None) -> bool:
        """An event that had tickets stays: bookings refer to them."""
        allowed = super().has_delete_permission(request, obj)
        return allowed and not (isinstance(obj, Event) and obj.tickets.exists())

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Shows and reads all times in the time zone of the venue, which is the organiser's."""
        with timezone.override(self._zone(request, object_id)):
            response = super().changeform_view(request, object_id, form_url, extra_context)
            return response.render() if isinstance(response, TemplateResponse) else response

    def _zone(self, request: HttpRequest, object_id: str | None) -> ZoneInfo:
        chosen = request.POST.get("venue", "")
        if chosen.isdigit():
            venue = Venue.objects.filter(pk=chosen).first()
        else:
            venue = (
                Venue.objects.filter(events=int(object_id or 0)).first()
                if (object_id or "").isdigit()
                else None
            )
        return venue.zone if venue else ZoneInfo("UTC")

    def get_readonly_fields(self, request: HttpRequest, obj: Event | None = None) -> Any:
        """A postponed event gets its new date by the step that publishes it again."""
        fixed = super().get_readonly_fields(request, obj)
        is_postponed = obj is not None and obj.status == Event.Status.POSTPONED
        return [*fixed, "starts_at", "ends_at", "doors_at"] if is_postponed else fixed

    def save_model(self, request: HttpRequest, obj: Event, form: Any, change: bool) -> None:
        services.save_event(obj)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        tiers_changed = any(formset.has_changed() for formset in formsets)
        if form.instance.tickets.exists() and (tiers_changed or "venue" in form.changed_data):
            messages.warning(request, _t("The tickets are as before: publish again to bring them into step."))

    @display(description=_("starts"), ordering="starts_at")
    def starts(self, event: Event) -> str:
        local = event.starts_at.astimezone(event.venue.zone)
        return date_format(local, "DATETIME_FORMAT", use_l10n=True)

    @display(description=_("status"), ordering="status", label=STATUS_COLOURS)
    def status_label(self, event: Event) -> tuple[str, str]:
        return event.status, event.get_status_display()

    @display(description=_("tickets"))
    def sale_facts(self, event: Event) -> str:
        counts = getattr(event, "ticket_counts", None)
        if not counts:
            return _t("none made yet")
        reserved = counts["total"] - counts["available"] - counts["booked"] - counts["blocked"]
        text = _t("%(booked)d booked, %(reserved)d reserved, %(available)d of %(total)d available")
        return text % {**counts, "reserved": reserved}

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """Only the buttons that make sense now."""
        event = Event.objects.filter(pk=object_id).first()
        if event is None:
            return []
        fitting = {
            "publish": event.status not in {"cancelled", "postponed"},
            "show_publication": event.publish_jobs.exists(),
        }
        found = super().get_actions_detail(request, object_id)
        return [item for item in found if fitting.get(item.action_name.removeprefix("events_event_"), True)]

    @action(
        description=_("Publish"),
        url_path="publish",
        icon="sell",
        variant=ActionVariant.PRIMARY,
        permissions=["change"],
    )
    def publish(self, request: HttpRequest, object_id: str) -> HttpResponse:
        event = get_object_or_404(Event.objects.select_related("venue"), pk=object_id)
        if request.method == "POST":
            publish_jobs.request_publication(event)
            # Haste only: the timetable finds the job too.
            transaction.on_commit(lambda: wake_up(tasks.publish_waiting_events), robust=True)
            self.log_change(request, event, "Asked for publication.")
            return HttpResponseRedirect(reverse("admin:events_event_show_publication", args=[event.pk]))
        plan, refusal = None, ""
        try:
            plan = plan_sale(event)
        except OrganiserError as error:
            refusal = str(error)
        context = {"event": event, "plan": plan, "refusal": refusal, "back": change_url(event)}
        return page(self, request, "events/publish.html", title=_t("Publish %s") % event, **context)

    @action(description=_("Last publication"), url_path="publication", icon="history", permissions=["change"])
    def show_publication(self, request: HttpRequest, object_id: str) -> HttpResponse:
        event = get_object_or_404(Event, pk=object_id)
        job = event.publish_jobs.first()
        is_late = (
            job is not None and job.status == "queued" and timezone.now() - job.created_at > WORKER_IS_LATE
        )
        context = {"event": event, "job": job, "is_late": is_late, "back": change_url(event)}
        return page(self, request, "events/publication.html", title=_t("Publishing %s") % event, **context)

    def has_clone_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Who may add events; a permission by its name is looked up in the database by unfold’s check."""
        return bool(self.has_add_permission(request))

    @action(description=_("Clone"), url_path="clone", icon="content_copy", permissions=["clone"])
    def clone(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask first, as a link must not change anything."""
        event = get_object_or_404(Event, pk=object_id)
        if request.method == "POST":
            made = services.clone_event(event)
            self.log_change(request, event, "Cloned.")
            messages.success(request, _t("Done."))
            return HttpResponseRedirect(change_url(made))
        text = _t(
            "A draft is made with the same texts, times, performers and price tiers, and without tickets."
        )
        context = {"text": text, "button": _t("Clone"), "back": change_url(event)}
        return page(self, request, "events/confirm.html", title=_t("Clone %s") % event, **context)


# --- Tickets --------------------------------------------------------------------------


@admin.register(Ticket)
class TicketAdmin(ModelAdmin):
    """Tickets to look at. Their status changes through services alone."""

    list_display = ["position", "event", "price_tier", "seat", "state", "reserved_until"]
    list_filter = ["status", ("event", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["event", "price_tier", "seat"]
    search_fields = ["event__title", "event__slug", "seat__section", "seat__row", "seat__number"]
    search_help_text = _("Event, section, row or seat")
    show_full_result_count = False
    actions = ["keep_back", "put_on_sale"]
    ordering = ["event", "position"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Ticket]:
        return Ticket.objects.with_current_status()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_organise_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("events.change_ticket")

    @display(description=_("status"), ordering="status", label=STATUS_COLOURS)
    def state(self, ticket: Ticket) -> tuple[str, str]:
        status = getattr(ticket, "current_status", ticket.status)
        return status, str(Ticket.Status(status).label)

    @admin.action(description=_("Keep back from sale"), permissions=["organise"])
    def keep_back(self, request: HttpRequest, queryset: QuerySet[Ticket]) -> None:
        wanted, count = queryset.count(), services.block_tickets(queryset)
        text = _t("%(count)d of %(wanted)d tickets are kept back. The others were not available.")
        self._tell(request, text, count, wanted)

    @admin.action(description=_("Put on sale again"), permissions=["organise"])
    def put_on_sale(self, request: HttpRequest, queryset: QuerySet[Ticket]) -> None:
        wanted, count = queryset.count(), services.unblock_tickets(queryset)
        text = _t("%(count)d of %(wanted)d tickets are on sale again. The others were not kept back.")
        self._tell(request, text, count, wanted)

    def _tell(self, request: HttpRequest, text: str, count: int, wanted: int) -> None:
        level = messages.SUCCESS if count == wanted else messages.WARNING
        messages.add_message(request, level, text % {"count": count, "wanted": wanted})


@admin.register(PublishJob)
class PublishJobAdmin(ModelAdmin):
    """What was published when, and what became of it."""

    list_display = ["event", "created_at", "state", "done", "total", "error"]
    list_filter = ["status"]
    list_select_related = ["event"]
    search_fields = ["event__title", "event__slug"]

    @display(
        description=_("status"),
        label={"queued": "warning", "running": "info", "done": "success", "failed": "danger"},
    )
    def state(self, job: PublishJob) -> tuple[str, str]:
        return job.status, job.get_status_display()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
