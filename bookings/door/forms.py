"""What door staff type without a scanner."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _


class CodeForm(forms.Form):
    """A ticket's code, and where it is shown."""

    code = forms.CharField(
        label=_("Ticket code"),
        max_length=200,
        widget=forms.TextInput(
            attrs={
                "autocomplete": "off",
                "autocapitalize": "characters",
                "spellcheck": "false",
                "enterkeyhint": "go",
                "data-code": True,
            }
        ),
    )
    door = forms.CharField(
        label=_("This door"),
        max_length=80,
        widget=forms.TextInput(attrs={"autocomplete": "off", "list": "doors", "data-door": True}),
    )
    # Made with the page, so that a form that is sent twice counts once.
    scan_id = forms.UUIDField(widget=forms.HiddenInput)
