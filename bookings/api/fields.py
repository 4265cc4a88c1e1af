"""What the API reads: exactly what was meant, or an error that says what was not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.db.models import BigIntegerField
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from drf_spectacular.extensions import OpenApiSerializerExtension
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

if TYPE_CHECKING:
    from drf_spectacular.openapi import AutoSchema
    from drf_spectacular.utils import Direction


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses members it does not know: a misspelt one would otherwise be ignored in silence."""

    # Further keywords of JSON Schema, for rules that hold between members.
    schema_rules: ClassVar[dict[str, Any]] = {}

    @cached_property
    def _writable_fields(self) -> list[serializers.Field[Any, Any, Any, Any]]:
        """Found once, as those that read the requests of a rush are kept (DRF looks for them each time)."""
        return [field for field in self.fields.values() if not field.read_only]

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := sorted(set(data) - set(self.fields))):
            detail = ErrorDetail(_("There is no such member."), code="unknown")
            raise serializers.ValidationError({name: [detail] for name in unknown})
        return super().to_internal_value(data)


class StrictSchema(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Tells the OpenAPI document the same."""

    target_class = StrictSerializer
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer(  # type: ignore[no-untyped-call]
            self.target, direction, bypass_extensions=True
        )
        schema |= {"additionalProperties": False, **self.target.schema_rules}
        return schema


class WholeNumberField(serializers.IntegerField):
    """A JSON number without a fraction; not a string of digits, and not `true`."""

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return data


class TextField(serializers.CharField):
    """A JSON string; not a number that would be read as one."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class TicketIdField(WholeNumberField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=BigIntegerField.MAX_BIGINT, **kwargs)


class AddressField(serializers.EmailField):
    """An e-mail address, in small letters as all of them are kept."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data).lower()
