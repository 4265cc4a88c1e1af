"""Forms for cancelling and postponing an event."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.widgets import INPUT_CLASSES, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from events.models import Event
from events.services import NewDate


class LocalTimeInput(forms.DateTimeInput):
    """The browser's own field for a date with a time, in the time zone that is active."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__({"class": " ".join([*INPUT_CLASSES, "max-w-2xl"])}, format="%Y-%m-%dT%H:%M")


def later_time(label: Any, help_text: Any, *, required: bool = False) -> forms.DateTimeField:
    return forms.DateTimeField(label=label, help_text=help_text, required=required, widget=LocalTimeInput())


class CancelForm(forms.Form):
    """Why, and that it is meant: the event's title, typed once more."""

    reason = forms.CharField(
        label=_("Reason, for the buyers"),
        max_length=200,
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
        help_text=_("They read it in the mail. Say what happened, in a sentence or two."),
    )
    title = forms.CharField(
        label=_("Type the event’s title to confirm"),
        max_length=200,
        widget=UnfoldAdminTextInputWidget({"autocomplete": "off"}),
    )

    def __init__(self, *args: Any, event: Event, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.event = event

    def clean_title(self) -> str:
        title: str = self.cleaned_data["title"]
        if " ".join(title.split()).casefold() != " ".join(self.event.title.split()).casefold():
            raise forms.ValidationError(_("This is not the event’s title."))
        return title


class PostponeForm(forms.Form):
    """When instead, if that is known, and what the buyers are told."""

    starts_at = later_time(_("New start"), _("Empty: there is no new date yet."))
    ends_at = later_time(_("New end"), _("Empty: it lasts as long as planned."))
    doors_at = later_time(_("Doors open"), _("Empty: as long before the start as planned."))
    free_refunds_until = later_time(
        _("Returns without a fee until"),
        _(
            "Until then, buyers who cannot come can return their tickets themselves. Empty: as the rules "
            "for returned tickets say."
        ),
    )
    message = forms.CharField(
        label=_("Message to the buyers"),
        max_length=500,
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
        help_text=_("It stands in the mail, above the dates."),
    )

    def __init__(self, *args: Any, event: Event, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.event = event
        if event.status == Event.Status.POSTPONED:
            self.fields["starts_at"].required, self.fields["starts_at"].help_text = True, ""

    def clean_starts_at(self) -> datetime | None:
        return self._check_is_to_come("starts_at")

    def clean_free_refunds_until(self) -> datetime | None:
        return self._check_is_to_come("free_refunds_until")

    def _check_is_to_come(self, name: str) -> datetime | None:
        moment: datetime | None = self.cleaned_data[name]
        if moment is not None and moment <= timezone.now():
            raise forms.ValidationError(_("This time is over."))
        return moment

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        has_more = data.get("ends_at") or data.get("doors_at")
        if has_more and not data.get("starts_at") and "starts_at" not in self.errors:
            self.add_error("starts_at", _("Say when it starts, too."))
        return data

    def new_date(self) -> NewDate | None:
        """The date that the form says, completed by the event's own length. Only once it is valid."""
        event, starts_at = self.event, self.cleaned_data["starts_at"]
        if starts_at is None:
            return None
        shift = starts_at - event.starts_at
        planned_doors = event.doors_at + shift if event.doors_at else None
        return NewDate(
            starts_at=starts_at,
            ends_at=self.cleaned_data["ends_at"] or event.ends_at + shift,
            doors_at=self.cleaned_data["doors_at"] or planned_doors,
        )
