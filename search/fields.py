"""Form fields that take what an address can say, and nothing that only resembles it."""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import UTC, date, datetime, time
from typing import Any, NamedTuple

from django import forms
from django.core.exceptions import ValidationError
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext_lazy as _

MOMENT = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)(?P<time>[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d))?", re.ASCII
)
# A year of distance from both ends of what a database and Python can say in any offset.
YEARS = range(1000, 9999)


class Point(NamedTuple):
    """A place on the earth, in degrees."""

    latitude: float
    longitude: float


def validate_printable(text: str) -> None:
    """Raise `ValidationError` for control characters, which no name has and PostgreSQL may refuse."""
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise ValidationError(_("Control characters are not allowed."), code="control_character")


class TextField(forms.CharField):
    """Words that a person types."""

    default_validators = [validate_printable]


class MomentField(forms.Field):
    """RFC 3339 with an offset, or a date, which means its first instant in UTC."""

    widget = forms.DateInput(attrs={"type": "date"})

    def to_python(self, value: Any) -> datetime | None:
        if value in self.empty_values:
            return None
        found = MOMENT.fullmatch(str(value).strip())
        try:
            moment = _read_moment(found) if found else None
        except (ValueError, OverflowError):
            moment = None
        if moment is None or moment.year not in YEARS:
            raise ValidationError(
                _("Give a date such as 2026-12-31, or a time such as 2026-12-31T20:00:00Z."), code="invalid"
            )
        return moment.astimezone(UTC)


def _read_moment(found: re.Match[str]) -> datetime | None:
    if found["time"]:
        return parse_datetime(found[0].upper())
    day: date | None = parse_date(found["date"])
    return datetime.combine(day, time.min, UTC) if day else None


class PointField(forms.Field):
    """`LATITUDE,LONGITUDE` in degrees."""

    widget = forms.TextInput

    def to_python(self, value: Any) -> Point | None:
        if value in self.empty_values:
            return None
        message = _("Give latitude and longitude in degrees, such as 51.34,12.37.")
        try:
            latitude, longitude = (float(part) for part in str(value).split(","))
        except ValueError as error:
            raise ValidationError(message, code="invalid") from error
        if not (math.fabs(latitude) <= 90 and math.fabs(longitude) <= 180):
            raise ValidationError(message, code="invalid")
        return Point(latitude, longitude)


class Tick(forms.CheckboxInput):
    """A box whose tick is the word `true`, so that the page's address is the API's."""

    def __init__(self) -> None:
        super().__init__(check_test=lambda value: value in {True, "true", "1"})

    def format_value(self, value: Any) -> str:
        return "true"

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        return data.get(name)


class TrueOrFalseField(forms.Field):
    """`true` or `false` (`1` or `0`), and None where nothing is said."""

    widget = Tick

    def to_python(self, value: Any) -> bool | None:
        if value in self.empty_values:
            return None
        match value:
            case "true" | "1":
                return True
            case "false" | "0":
                return False
        raise ValidationError(_("Say true or false."), code="invalid")
