"""What the API says of events that were found."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from events.api.serializers import CategorySerializer, PerformerSerializer, VenueSerializer
from events.models import Event


class EventSummarySerializer(serializers.ModelSerializer[Event]):
    """An event as a row of a list. Needs `EventQuerySet.for_listing()`."""

    category = CategorySerializer(allow_null=True)
    performers = PerformerSerializer(many=True)
    venue = VenueSerializer()
    sale_state = serializers.ChoiceField(choices=Event.SaleState.choices)
    price_min = serializers.DecimalField(max_digits=10, decimal_places=2, allow_null=True)
    price_max = serializers.DecimalField(max_digits=10, decimal_places=2, allow_null=True)
    distance_km = serializers.FloatField(
        required=False, help_text="From the place in `near`; there only when that was asked."
    )

    class Meta:
        model = Event
        fields = [
            "slug",
            "title",
            "summary",
            "category",
            "performers",
            "venue",
            "starts_at",
            "ends_at",
            "status",
            "sale_state",
            "currency",
            "price_min",
            "price_max",
            "distance_km",
        ]


class CategoryFacetSerializer(serializers.Serializer[Any]):
    slug = serializers.SlugField()
    name = serializers.CharField()
    count = serializers.IntegerField()


class CityFacetSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    country = serializers.CharField()
    count = serializers.IntegerField()


class MonthFacetSerializer(serializers.Serializer[Any]):
    month = serializers.RegexField(r"^\d{4}-\d\d$", help_text="In UTC, such as `2026-12`.")
    count = serializers.IntegerField()


class FacetsSerializer(serializers.Serializer[Any]):
    """How many of the events found are of each category, city and month."""

    category = CategoryFacetSerializer(many=True)
    city = CityFacetSerializer(many=True)
    month = MonthFacetSerializer(many=True)


# For the OpenAPI document; the view writes all but the events directly.
class SearchResultSerializer(serializers.Serializer[Any]):
    """A page of events, and facts about all that were found."""

    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    count = serializers.IntegerField()
    count_is_exact = serializers.BooleanField()
    did_you_mean = serializers.CharField(
        required=False, help_text="Only when `q` found nothing and was corrected to this."
    )
    facets = FacetsSerializer()
    results = EventSummarySerializer(many=True)


class TitledSerializer(serializers.Serializer[Any]):
    slug = serializers.SlugField()
    title = serializers.CharField()


class NamedSerializer(serializers.Serializer[Any]):
    slug = serializers.SlugField()
    name = serializers.CharField()


class CitySerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    country = serializers.CharField()


class SuggestionsSerializer(serializers.Serializer[Any]):
    """Up to five of each, the likeliest first."""

    events = TitledSerializer(many=True)
    performers = NamedSerializer(many=True)
    venues = NamedSerializer(many=True)
    cities = CitySerializer(many=True)
