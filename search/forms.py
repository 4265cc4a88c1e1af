"""What may be asked of the search, for the page and the API alike."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils.translation import gettext_lazy as _

from search.cursors import Cursor, InvalidCursor
from search.fields import TextField

DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
MAX_QUERY_LENGTH = 100
DEFAULT_RADIUS_KM = 50.0
MIN_RADIUS_KM = 0.1
# Half the way around the earth.
MAX_RADIUS_KM = 20_038.0

ORDERINGS = [
    ("relevance", _("Best match")),
    ("starts_at", _("Soonest first")),
    ("-starts_at", _("Latest first")),
    ("price", _("Cheapest first")),
    ("-price", _("Dearest first")),
    ("distance", _("Nearest first")),
]


class SearchForm(forms.Form):
    """Text, order and page. `EventFilter` adds a field for each filter.

    Once valid, `ordering` is never empty, and `cursor` is a `Cursor` or None.
    """

    q = TextField(
        label=_("Search"),
        required=False,
        max_length=MAX_QUERY_LENGTH,
        widget=forms.TextInput(attrs={"type": "search", "autocomplete": "off"}),
    )
    radius = forms.FloatField(
        label=_("Within (km)"),
        required=False,
        validators=[MinValueValidator(MIN_RADIUS_KM), MaxValueValidator(MAX_RADIUS_KM)],
    )
    ordering = forms.ChoiceField(label=_("Order"), required=False, choices=ORDERINGS)
    cursor = forms.CharField(required=False, max_length=500, widget=forms.HiddenInput)
    page_size = forms.IntegerField(
        required=False, min_value=1, max_value=MAX_PAGE_SIZE, widget=forms.HiddenInput
    )

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        self._check_ranges()
        self._check_ordering()
        if cleaned.get("radius") is not None and cleaned.get("near") is None and "near" not in self.errors:
            self.add_error("radius", forms.ValidationError(_("Say near which place."), code="needs_near"))
        if cleaned.get("cursor"):
            self._read_cursor()
        else:
            cleaned["cursor"] = None
        cleaned["page_size"] = cleaned.get("page_size") or DEFAULT_PAGE_SIZE
        return cleaned

    def _check_ranges(self) -> None:
        cleaned = self.cleaned_data
        after: datetime | None = cleaned.get("starts_after")
        before: datetime | None = cleaned.get("starts_before")
        if after and before and before <= after:
            message = _("This is not after the beginning of the time you look in.")
            self.add_error("starts_before", forms.ValidationError(message, code="empty_range"))
        least, most = cleaned.get("price_min"), cleaned.get("price_max")
        if least is not None and most is not None and most < least:
            message = _("This is less than the lowest price.")
            self.add_error("price_max", forms.ValidationError(message, code="empty_range"))

    def _check_ordering(self) -> None:
        cleaned = self.cleaned_data
        if "ordering" not in cleaned:
            return
        cleaned["ordering"] = cleaned["ordering"] or ("relevance" if cleaned.get("q") else "starts_at")
        if cleaned["ordering"] == "relevance" and not cleaned.get("q"):
            message = _("The best match needs words to search for.")
            self.add_error("ordering", forms.ValidationError(message, code="needs_q"))
        elif cleaned["ordering"] == "distance" and not cleaned.get("near"):
            message = _("The nearest first needs a place to be near to.")
            self.add_error("ordering", forms.ValidationError(message, code="needs_near"))

    def _read_cursor(self) -> None:
        if "ordering" not in self.cleaned_data:
            return
        try:
            cursor = Cursor.decode(self.cleaned_data["cursor"], self.cleaned_data["ordering"])
        except InvalidCursor:
            message = _("This cursor was not made by this list in this order.")
            self.add_error("cursor", forms.ValidationError(message, code="invalid"))
        else:
            self.cleaned_data["cursor"] = cursor


class SuggestForm(forms.Form):
    """The beginning of what someone types."""

    q = TextField(max_length=MAX_QUERY_LENGTH)
