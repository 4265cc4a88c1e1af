"""What a payer can enter on the sandbox's payment page."""

from __future__ import annotations

import re

from django import forms
from django.utils.translation import gettext_lazy as _

from bookings.sandbox.models import SandboxIntent
from bookings.sandbox.notices import is_notice_mode

Status = SandboxIntent.Status

# Card number: (what it leads to, why it was declined).
CARDS = {
    "4242424242424242": (Status.AUTHORISED, ""),
    "4000000000000002": (Status.DECLINED, "card declined"),
    "4000000000009995": (Status.DECLINED, "insufficient funds"),
    "4000000000003220": (Status.CONFIRMING, ""),
}


class CardForm(forms.Form):
    """A test card, and how the gateway shall send its notices."""

    card_number = forms.CharField(
        label=_("Card number"),
        max_length=40,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )
    notice = forms.CharField(required=False, initial="normal", max_length=20, widget=forms.HiddenInput)

    def clean_card_number(self) -> str:
        number = re.sub(r"[\s-]", "", self.cleaned_data["card_number"])
        if number not in CARDS:
            raise forms.ValidationError(
                _("This is not one of the sandbox's test cards."), code="unknown_card"
            )
        return number

    def clean_notice(self) -> str:
        mode = self.cleaned_data["notice"] or "normal"
        if not is_notice_mode(mode):
            raise forms.ValidationError(
                _("Choose normal, duplicate, never, or delay:SECONDS."), code="invalid"
            )
        return mode


class ConfirmationForm(forms.Form):
    """The second confirmation that some cards ask for."""

    confirmation = forms.ChoiceField(choices=[("accept", _("Confirm")), ("refuse", _("Refuse"))])
