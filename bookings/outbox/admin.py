"""The outbox for support staff: what was sent, as it was sent, and what was not and why."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.defaultfilters import linebreaksbr
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminEmailInputWidget

from bookings.admin.common import STATUS_COLOURS, LookOnly, do_each, staff_page
from bookings.exceptions import BoxOfficeError
from bookings.outbox.again import correct_address, send_again
from bookings.outbox.forms import AddressForm
from bookings.outbox.models import Mail
from bookings.refusals import explain

CHANGELIST = "outbox_mail_changelist"


@admin.register(Mail)
class MailAdmin(LookOnly, ModelAdmin):
    list_display = [
        "created_at",
        "booking",
        "kind",
        "status",
        "address",
        "error",
        "sent_at",
        "attempts",
        "event",
    ]
    list_filter = ["state", "kind", "created_at"]
    list_select_related = ["booking__event"]
    search_fields = ["booking__reference", "booking__email", "to", "subject", "booking__event__title"]
    search_help_text = _("Booking, address, subject or event")
    show_full_result_count = False
    fields = [
        "booking",
        "kind",
        "state",
        "error",
        "address",
        "subject",
        "html_form",
        "text_form",
        "created_at",
        "next_attempt_at",
        "attempts",
        "sent_at",
        "message_id",
    ]
    readonly_fields = fields
    actions = ["send_chosen_again"]
    actions_detail = ["send_this_again", "correct"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Mail]:
        rows: QuerySet[Mail] = super().get_queryset(request)
        # The list shows neither, and there are many.
        is_list = request.resolver_match is not None and request.resolver_match.url_name == CHANGELIST
        return rows.defer("text", "html", "facts") if is_list else rows.select_related("booking")

    def has_act_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("outbox.change_mail")

    def has_correct_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.has_act_permission(request) and request.user.has_perm("bookings.change_booking")

    @display(description=_("event"))
    def event(self, mail: Mail) -> str:
        return mail.booking.event.title

    @display(description=_("state"), ordering="state", label=STATUS_COLOURS)
    def status(self, mail: Mail) -> tuple[str, str]:
        return mail.state, mail.get_state_display()

    @display(description=_("to"))
    def address(self, mail: Mail) -> str:
        return mail.to or mail.booking.email

    @display(description=_("HTML"))
    def html_form(self, mail: Mail) -> str | SafeString:
        """As the buyer's program shows it: in a frame that runs nothing and opens nothing."""
        if not mail.html:
            return _t("Written when it is sent.")
        return format_html(
            '<iframe class="bg-white border border-base-200 rounded-default w-full" height="640" '
            'sandbox="" title="{}" srcdoc="{}"></iframe>',
            _t("The mail as its reader sees it"),
            mail.html,
        )

    @display(description=_("text"))
    def text_form(self, mail: Mail) -> str | SafeString:
        if not mail.text:
            return _t("Written when it is sent.")
        return format_html('<div dir="auto">{}</div>', linebreaksbr(mail.text, autoescape=True))

    @admin.action(description=_("Send again"), permissions=["act"])
    def send_chosen_again(self, request: HttpRequest, queryset: QuerySet[Mail]) -> None:
        do_each(
            request,
            list(queryset.values_list("pk", "booking__reference")),
            send_again,
            _t("To be sent again"),
        )

    @action(description=_("Send again"), url_path="again", icon="send", permissions=["act"])
    def send_this_again(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Asked first, as a link alone must not send anything."""
        mail = self._find(object_id)
        if request.method != "POST":
            return self._page(request, mail, title=_t("Send again"), button=_t("Send again"))
        send_again(mail.pk)
        self.log_change(request, mail, "Sent again.")
        messages.success(request, _t("The mail is on its way to %(to)s.") % {"to": mail.booking.email})
        return HttpResponseRedirect(reverse(f"admin:{CHANGELIST}"))

    @action(description=_("Send again to…"), url_path="address", icon="edit", permissions=["correct"])
    def correct(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Correct the booking's address, and send the mail there."""
        mail = self._find(object_id)
        form = AddressForm(request.POST or None, initial={"email": mail.booking.email})
        form.fields["email"].widget = UnfoldAdminEmailInputWidget()
        if request.method == "POST" and form.is_valid():
            try:
                booking = correct_address(booking_id=mail.booking_id, email=form.cleaned_data["email"])
            except BoxOfficeError as refusal:
                form.add_error(None, explain(refusal))
            else:
                send_again(mail.pk)
                self.log_change(request, booking, f"Address corrected from {mail.booking.email}.")
                messages.success(request, _t("The mail is on its way to %(to)s.") % {"to": booking.email})
                return HttpResponseRedirect(reverse(f"admin:{CHANGELIST}"))
        return self._page(
            request, mail, title=_t("Correct the address"), button=_t("Correct and send"), form=form
        )

    def _find(self, mail_id: UUID) -> Mail:
        return get_object_or_404(Mail.objects.select_related("booking__event__venue"), pk=mail_id)

    def _page(
        self, request: HttpRequest, mail: Mail, *, title: str, button: str, form: AddressForm | None = None
    ) -> HttpResponse:
        context = {
            "mail": mail,
            "form": form,
            "button": button,
            "back": reverse("admin:outbox_mail_change", args=[mail.pk]),
            "status": 400 if form is not None and form.errors else 200,
        }
        return staff_page(self, request, "mail.html", title=title, **context)
