"""Forms of the organiser's pages in the admin."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from events.seating import SeatBlock, read_rows
from events.seating_plan import BYTES_AT_MOST


class SeatBlockForm(forms.Form):
    """A block of seats, as an organiser would tell it over the phone."""

    NUMBERINGS = [
        ("1", _("one after the other: 1, 2, 3")),
        ("2", _("every second number: 1, 3, 5 or 2, 4, 6")),
    ]
    SIDES = [("left", _("the left, seen facing the stage")), ("right", _("the right, seen facing the stage"))]

    section = forms.CharField(label=_("Section"), max_length=80, widget=UnfoldAdminTextInputWidget)
    rows = forms.CharField(
        label=_("Rows, from the stage"),
        max_length=2000,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("How many (12 makes A to L), a range (A-M or 1-20), or a list (A, B, D)."),
    )
    seats_per_row = forms.IntegerField(
        label=_("Seats in each row"), min_value=1, max_value=500, widget=UnfoldAdminIntegerFieldWidget
    )
    first_number = forms.IntegerField(
        label=_("First seat number"),
        min_value=0,
        max_value=9999,
        initial=1,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    step = forms.TypedChoiceField(
        label=_("Seat numbers"), choices=NUMBERINGS, coerce=int, initial="1", widget=UnfoldAdminSelectWidget
    )
    starts_from = forms.ChoiceField(
        label=_("Numbers begin at"), choices=SIDES, initial="left", widget=UnfoldAdminSelectWidget
    )
    aisles_after = forms.CharField(
        label=_("Aisle after seat"),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Counted from the left, separated by commas: 7, 14. Empty: no aisle."),
    )
    category = forms.CharField(
        label=_("Category"),
        max_length=80,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("An event's price tier of this name sells these seats, if none lists the section."),
    )
    accessible = forms.CharField(
        label=_("Wheelchair accessible seats"),
        max_length=2000,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Row and seat, separated by commas: A1, A2. With numbered rows: 1-1, 1-2."),
    )

    def clean_rows(self) -> list[str]:
        try:
            return read_rows(self.cleaned_data["rows"])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error

    def clean_aisles_after(self) -> list[int]:
        words = split_words(self.cleaned_data["aisles_after"])
        if not all(re.fullmatch(r"[0-9]{1,4}", word) for word in words):
            raise forms.ValidationError(_("Write whole numbers, separated by commas."))
        return [int(word) for word in words]

    def clean_accessible(self) -> list[str]:
        return split_words(self.cleaned_data["accessible"])

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        aisles, seats = data.get("aisles_after", []), data.get("seats_per_row")
        if seats and any(not 1 <= aisle < seats for aisle in aisles):
            self.add_error("aisles_after", _("An aisle lies between two seats of the row."))
        return data

    def block(self) -> SeatBlock:
        """What the form says. Only once it is valid."""
        data = dict(self.cleaned_data)
        return SeatBlock(is_numbered_from_right=data.pop("starts_from") == "right", **data)


def split_words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


class PlanForm(forms.Form):
    """A seating plan to import."""

    plan = forms.FileField(
        label=_("Seating plan (JSON)"),
        widget=UnfoldAdminFileFieldWidget,
        help_text=_("The format of pretix and its plan editor. Seats are known by their seat_guid."),
    )

    def clean_plan(self) -> Any:
        plan = self.cleaned_data["plan"]
        if plan.size > BYTES_AT_MOST:
            megabytes = BYTES_AT_MOST // 1024 // 1024
            raise forms.ValidationError(_("The file is larger than %(most)d MB."), params={"most": megabytes})
        return plan
