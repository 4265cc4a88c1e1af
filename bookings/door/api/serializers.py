"""Scans in JSON: what scanners send, and apart from it what they are told."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from bookings.api.fields import StrictSerializer, TextField
from bookings.door.models import Scan
from bookings.door.services import Attempt, ScanResult
from bookings.models import BookingItem
from events.models import Event
from events.templatetags.box_office import place_name

# With codes as long as they get, a hundred scans stay under the 64 KB of any request here.
SCANS_AT_ONCE = 100

OFFLINE_RESULTS = [choice for choice in Scan.Result.choices if choice[0] != Scan.Result.UNDONE]

# --- Input ------------------------------------------------------------------------------


class ScanSerializer(StrictSerializer):
    """A code that is held up now."""

    code = TextField(max_length=200, help_text=_("As scanned, or the short code as typed."))
    door = TextField(max_length=80, help_text=_("The entrance’s name."))
    id = serializers.UUIDField(
        required=False, help_text=_("Made by the device; the same id again is the same scan.")
    )
    device = TextField(max_length=80, required=False, allow_blank=True)
    scanned_at = serializers.DateTimeField(
        required=False, help_text=_("By the device’s clock; now, where it is not said.")
    )

    def to_attempt(self) -> dict[str, Any]:
        wish = dict(self.validated_data)
        return {"scan_id": wish.pop("id", None), **wish}


class OfflineScanSerializer(StrictSerializer):
    """A scan that the device decided alone."""

    id = serializers.UUIDField(help_text=_("Made by the device; the same id again is the same scan."))
    code = TextField(max_length=200)
    door = TextField(max_length=80)
    device = TextField(max_length=80, required=False, allow_blank=True)
    scanned_at = serializers.DateTimeField()
    result = serializers.ChoiceField(choices=OFFLINE_RESULTS, help_text=_("What the device told its user."))


class SyncSerializer(StrictSerializer):
    scans = serializers.ListField(
        child=OfflineScanSerializer(),
        min_length=1,
        max_length=SCANS_AT_ONCE,
        help_text=_("At most 100, in any order."),
    )

    def validate_scans(self, scans: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if len({scan["id"] for scan in scans}) != len(scans):
            raise serializers.ValidationError(_("A scan is named twice."), code="duplicate")
        return scans

    def to_attempts(self) -> list[Attempt]:
        return [
            Attempt(told=Scan.Result(scan["result"]), **{k: v for k, v in scan.items() if k != "result"})
            for scan in self.validated_data["scans"]
        ]


class NothingSerializer(StrictSerializer):
    """No member: the address says it all."""


# --- Output -----------------------------------------------------------------------------


class ScannedTicketSerializer(serializers.Serializer[BookingItem]):
    """The ticket that a code is for."""

    id = serializers.IntegerField(source="ticket_id")
    section = serializers.SerializerMethodField()
    place = serializers.SerializerMethodField()
    price_tier = serializers.CharField(source="price_tier.name")
    holder_name = serializers.SerializerMethodField()
    reference = serializers.CharField(source="booking.reference")
    checked_in_at = serializers.DateTimeField(allow_null=True)

    def get_section(self, item: BookingItem) -> str:
        seat = item.ticket.seat
        return item.price_tier.name if seat is None else seat.section

    def get_place(self, item: BookingItem) -> str:
        return place_name(item.ticket.seat, item.price_tier)

    def get_holder_name(self, item: BookingItem) -> str:
        return item.holder_name or item.booking.name


class DoorEventSerializer(serializers.Serializer[Event]):
    """An event, as far as a door needs it."""

    id = serializers.IntegerField()
    slug = serializers.CharField()
    title = serializers.CharField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    timezone = serializers.CharField(source="venue.timezone")


class FirstAdmissionSerializer(serializers.Serializer[Scan]):
    """When and where the ticket was let in."""

    at = serializers.DateTimeField(source="scanned_at")
    door = serializers.CharField()


class ScanResultSerializer(serializers.Serializer[ScanResult]):
    """What came of a scan. `ticket` is null for what is none; `event` is the one that the ticket is for."""

    id = serializers.UUIDField(source="scan.id")
    result = serializers.ChoiceField(choices=Scan.Result.choices)
    double_entry = serializers.BooleanField(
        source="scan.is_double_entry",
        help_text=_("An offline device let somebody in whom this result refuses."),
    )
    scanned_at = serializers.DateTimeField(source="scan.scanned_at")
    ticket = serializers.SerializerMethodField()
    event = serializers.SerializerMethodField()
    first = serializers.SerializerMethodField()

    @extend_schema_field(ScannedTicketSerializer(allow_null=True))
    def get_ticket(self, found: ScanResult) -> Any:
        return None if found.item is None else ScannedTicketSerializer(found.item).data

    @extend_schema_field(DoorEventSerializer(allow_null=True))
    def get_event(self, found: ScanResult) -> Any:
        event = None if found.item is None else found.item.booking.event
        return None if event is None else DoorEventSerializer(event).data

    @extend_schema_field(FirstAdmissionSerializer(allow_null=True))
    def get_first(self, found: ScanResult) -> Any:
        return None if found.first is None else FirstAdmissionSerializer(found.first).data


class SyncedSerializer(serializers.Serializer[Any]):
    results = ScanResultSerializer(many=True)


class SectionCountSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    booked = serializers.IntegerField()
    entered = serializers.IntegerField()


class HeldTicketSerializer(serializers.Serializer[Any]):
    """A ticket as a device holds it."""

    id = serializers.IntegerField()
    key = serializers.CharField(
        help_text=_("The first 12 bytes of the short code’s SHA-256, in URL-safe base64.")
    )
    section = serializers.CharField()
    place = serializers.CharField()
    holder_name = serializers.CharField()
    state = serializers.ChoiceField(choices=["booked", "used", "refunded"])
    checked_in_at = serializers.DateTimeField(allow_null=True)
    door = serializers.CharField()


class HeldListSerializer(serializers.Serializer[Any]):
    """The event's list for work without a connection."""

    version = serializers.CharField()
    server_time = serializers.DateTimeField()
    event = DoorEventSerializer()
    public_key = serializers.CharField(help_text=_("Checks signed codes: Ed25519, 32 bytes in base64."))
    complete = serializers.BooleanField(
        help_text=_("Whether `tickets` has every ticket, or those changed after `since`.")
    )
    sections = SectionCountSerializer(many=True)
    tickets = HeldTicketSerializer(many=True)
