"""What buyers type: their choice, their details, and how they find a booking again."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import BigIntegerField
from django.utils.translation import gettext_lazy as _

from bookings.models import REFERENCE_ALPHABET, Booking

# What people write for the characters that a reference never has.
LOOKALIKES = str.maketrans("ILO", "110")


class TicketsField(forms.Field):
    """Ticket ids from ticked boxes, each once."""

    widget = forms.MultipleHiddenInput

    def to_python(self, value: Any) -> list[int]:
        found = []
        for text in value or []:
            # The length first: Python refuses to read a number of thousands of digits.
            is_number = text.isascii() and text.isdigit() and len(text) < 20
            if not is_number or int(text) > BigIntegerField.MAX_BIGINT:
                raise forms.ValidationError(_("That is not a ticket."), code="invalid")
            found.append(int(text))
        return list(dict.fromkeys(found))


class ChoiceForm(forms.Form):
    """Either ticked seats, or a price tier and a number."""

    tickets = TicketsField(required=False)
    price_tier = forms.IntegerField(required=False, min_value=1, max_value=BigIntegerField.MAX_BIGINT)
    quantity = forms.IntegerField(required=False, min_value=1, max_value=1000)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if (
            not self.errors
            and not data.get("tickets")
            and not (data.get("price_tier") and data.get("quantity"))
        ):
            raise forms.ValidationError(_("Choose at least one ticket first."), code="required")
        return data


class ReturnForm(forms.Form):
    """Which tickets to give back, and the amount that the page promised for them."""

    tickets = TicketsField(required=False)
    amount = forms.DecimalField(required=False, max_digits=12, decimal_places=2)
    # Pressed to go on, and followed to choose again.
    next = forms.CharField(required=False)
    choose = forms.CharField(required=False)


class DetailsForm(forms.Form):
    """Who buys, and who will use each ticket."""

    name = forms.CharField(
        label=_("Your name"), max_length=160, widget=forms.TextInput({"autocomplete": "name"})
    )
    email = forms.EmailField(
        label=_("E-mail address"),
        help_text=_("Your tickets go there."),
        widget=forms.EmailInput({"autocomplete": "email"}),
    )

    def __init__(self, booking: Booking, data: Any = None) -> None:
        initial = {"name": booking.name, "email": booking.email}
        super().__init__(data, initial=initial)
        self.booking = booking
        for item in booking.items.all():
            self.fields[f"holder_{item.ticket_id}"] = forms.CharField(
                label=_("Name on ticket %(number)s") % {"number": len(self.fields) - 1},
                max_length=160,
                required=False,
                initial=item.holder_name,
                widget=forms.TextInput({"autocomplete": "off"}),
            )

    @property
    def holder_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith("holder_")]

    def details(self) -> dict[str, Any]:
        """What was typed and is valid, as `change_details` takes it. Needs `is_valid()` first."""
        data = self.cleaned_data
        holders = {
            item.ticket_id: data[f"holder_{item.ticket_id}"]
            for item in self.booking.items.all()
            if f"holder_{item.ticket_id}" in data
        }
        return {"name": data.get("name"), "email": data.get("email"), "holder_names": holders}


class FindForm(forms.Form):
    """A reference as people read it aloud, and the e-mail address it was booked with."""

    reference = forms.CharField(
        label=_("Booking reference"),
        max_length=20,
        help_text=_("Eight letters and digits, as in your mail."),
        widget=forms.TextInput(
            {"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}
        ),
    )
    email = forms.EmailField(label=_("E-mail address"), widget=forms.EmailInput({"autocomplete": "email"}))

    def clean_reference(self) -> str:
        text = "".join(self.cleaned_data["reference"].split()).replace("-", "").upper().translate(LOOKALIKES)
        if len(text) != 8 or not set(text) <= set(REFERENCE_ALPHABET):
            raise forms.ValidationError(_("A reference has eight letters and digits."), code="invalid")
        return text

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).lower()


class KeyForm(forms.Form):
    name = forms.CharField(
        label=_("What is it for?"),
        max_length=80,
        help_text=_("So that you know later which key to revoke."),
        widget=forms.TextInput({"autocomplete": "off"}),
    )
