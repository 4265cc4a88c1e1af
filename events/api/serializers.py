"""What the API says of events, tickets and availability. Output only: nothing is written here."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from events.descriptions import render_description
from events.models import Category, Event, Performer, PriceTier, Ticket, Venue


class CategorySerializer(serializers.ModelSerializer[Category]):
    class Meta:
        model = Category
        fields = ["slug", "name"]


class PerformerSerializer(serializers.ModelSerializer[Performer]):
    class Meta:
        model = Performer
        fields = ["slug", "name"]


class VenueSerializer(serializers.ModelSerializer[Venue]):
    class Meta:
        model = Venue
        fields = ["slug", "name", "address", "city", "country", "latitude", "longitude", "timezone"]


class PriceTierSerializer(serializers.ModelSerializer[PriceTier]):
    """A price and how many tickets it has left. Reads `snapshot` and `event` from the context."""

    currency = serializers.SerializerMethodField()
    seated = serializers.BooleanField(source="is_seated")
    available = serializers.SerializerMethodField()

    class Meta:
        model = PriceTier
        fields = ["id", "name", "price", "currency", "seated", "available"]

    def get_currency(self, tier: PriceTier) -> str:
        return str(self.context["event"].currency)

    def get_available(self, tier: PriceTier) -> int:
        return int(self.context["snapshot"].available_in_tier.get(tier.pk, 0))


class CountsSerializer(serializers.Serializer[Any]):
    """How many tickets are in which state; the ones kept back are in none of the numbers."""

    total = serializers.IntegerField()
    available = serializers.IntegerField()
    reserved = serializers.IntegerField()
    booked = serializers.IntegerField()
    as_of = serializers.DateTimeField()


class EventSerializer(serializers.ModelSerializer[Event]):
    """Everything the public may know of an event. Needs `snapshot` and `event` in the context."""

    description_html = serializers.SerializerMethodField()
    category = CategorySerializer(allow_null=True)
    performers = PerformerSerializer(many=True)
    venue = VenueSerializer()
    sale_state = serializers.ChoiceField(choices=Event.SaleState.choices)
    price_min = serializers.DecimalField(max_digits=10, decimal_places=2, allow_null=True)
    price_max = serializers.DecimalField(max_digits=10, decimal_places=2, allow_null=True)
    price_tiers = PriceTierSerializer(many=True)
    availability = serializers.SerializerMethodField()

    class Meta:
        model = Event
        fields = [
            "slug",
            "title",
            "summary",
            "description_html",
            "category",
            "performers",
            "venue",
            "starts_at",
            "ends_at",
            "doors_at",
            "on_sale_at",
            "off_sale_at",
            "status",
            "sale_state",
            "max_tickets_per_booking",
            "currency",
            "price_min",
            "price_max",
            "price_tiers",
            "availability",
        ]

    def get_description_html(self, event: Event) -> str:
        return render_description(event.description)

    @extend_schema_field(CountsSerializer)
    def get_availability(self, event: Event) -> Any:
        return CountsSerializer(self.context["snapshot"]).data


class TicketSerializer(serializers.ModelSerializer[Ticket]):
    """Where a ticket is and what it costs. General admission has no place, and nulls for it."""

    price_tier = serializers.IntegerField(source="price_tier_id")
    section = serializers.CharField(source="seat.section", default=None, allow_null=True)
    row = serializers.CharField(source="seat.row", default=None, allow_null=True)
    seat = serializers.CharField(source="seat.number", default=None, allow_null=True)
    x = serializers.FloatField(source="seat.x", default=None, allow_null=True)
    y = serializers.FloatField(source="seat.y", default=None, allow_null=True)
    accessible = serializers.BooleanField(source="seat.is_accessible", default=False)
    price = serializers.DecimalField(source="price_tier.price", max_digits=10, decimal_places=2)
    status = serializers.ChoiceField(source="live_status", choices=Ticket.Status.choices)

    class Meta:
        model = Ticket
        fields = [
            "id",
            "position",
            "price_tier",
            "section",
            "row",
            "seat",
            "x",
            "y",
            "accessible",
            "price",
            "status",
        ]


class TierCountSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    available = serializers.IntegerField()


class AvailabilitySerializer(serializers.Serializer[Any]):
    """The live picture. Describes it for the OpenAPI document; the view writes it directly."""

    version = serializers.CharField()
    as_of = serializers.DateTimeField()
    statuses = serializers.CharField(required=False)
    changes = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField(), min_length=2, max_length=2),
        required=False,
    )
    price_tiers = TierCountSerializer(many=True)
