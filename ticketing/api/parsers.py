"""JSON in, and nothing else: an object, not too deep, without characters no column can hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from django.conf import settings
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

MAX_DEPTH = 20


class BodyTooLarge(APIException):
    """The body is larger than any request to this API needs to be."""

    status_code = 413
    default_code = "body_too_large"
    default_detail = _("The body may have at most %(bytes)s bytes.")

    def __init__(self) -> None:
        super().__init__(str(self.default_detail) % {"bytes": settings.DATA_UPLOAD_MAX_MEMORY_SIZE})


class StrictJSONParser(BaseParser):
    """Parses `application/json`. Raises `ParseError` for what is not a JSON object."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        body = stream.read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        if len(body) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise BodyTooLarge
        try:
            data = json.loads(
                body.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeats
            )
        except RecursionError as error:
            raise ParseError(_t("The JSON is nested too deeply.")) from error
        except ValueError as error:
            raise ParseError(_t("The body is not JSON: %(error)s") % {"error": error}) from error
        if not isinstance(data, dict):
            raise ParseError(_t("The body must be a JSON object."))
        _check(data, depth=1)
        return data


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(_t("%(name)s is not JSON") % {"name": name})


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object from its members; which of two with one name was meant nobody can tell."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError(_t("an object names a member twice"))
    return made


def _check(value: Any, *, depth: int) -> None:
    """Raise `ParseError` for nesting beyond `MAX_DEPTH` and for text PostgreSQL cannot store."""
    if depth > MAX_DEPTH:
        raise ParseError(_t("The JSON is nested too deeply."))
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise ParseError(_t("The JSON has a character that is not allowed in text."))
    elif isinstance(value, dict):
        for key, member in value.items():
            _check(key, depth=depth)
            _check(member, depth=depth + 1)
    elif isinstance(value, list):
        for member in value:
            _check(member, depth=depth + 1)
