"""Which events a search looks at, by everything but its words."""

from __future__ import annotations

import copy
import math
from functools import cache
from typing import TYPE_CHECKING, Any, Self

import django_filters
from django import forms
from django.core.validators import EMPTY_VALUES, RegexValidator
from django.db.models import Exists, F, FloatField, OuterRef, Q, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import ASin, Cos, Least, Now, Power, Radians, Sin, Sqrt
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.models import Event, PriceTier
from events.querysets import has_available_tickets
from search.fields import MomentField, Point, PointField, TextField, TrueOrFalseField
from search.forms import DEFAULT_RADIUS_KM, SearchForm
from search.index import Fold

if TYPE_CHECKING:
    from events.querysets import EventQuerySet

EARTH_RADIUS_KM = 6371.0088


class CheapFilter(django_filters.Filter):  # type: ignore[misc]
    """A filter of which each request has a copy without copies of everything that is in it.

    Of a request it knows its set of filters alone; its form field is copied by the form.
    """

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        own = copy.copy(self)
        if self.method is not None:
            # Setting it ties it to the copy.
            own.method = self.method
        return own


class SlugFilter(CheapFilter):
    field_class = forms.SlugField


class TextFilter(CheapFilter):
    field_class = TextField


class MomentFilter(CheapFilter):
    field_class = MomentField


class PriceFilter(CheapFilter):
    field_class = forms.DecimalField


class PointFilter(CheapFilter):
    field_class = PointField


class TrueOrFalseFilter(CheapFilter):
    field_class = TrueOrFalseField


class EventFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Published events, narrowed by each parameter that is given.

    Events that have ended are left out unless the time that is asked for lies in the past.
    """

    category = SlugFilter(field_name="category__slug", label=_("Category"), max_length=80)
    performer = SlugFilter(field_name="performers__slug", label=_("Performer"), max_length=120)
    venue = SlugFilter(field_name="venue__slug", label=_("Venue"), max_length=120)
    city = TextFilter(method="in_city", label=_("City"), max_length=120)
    country = TextFilter(
        method="in_country",
        label=_("Country"),
        validators=[RegexValidator(r"\A[A-Za-z]{2}\Z", _("Give two letters, as in ISO 3166."))],
    )
    starts_after = MomentFilter(field_name="starts_at", lookup_expr="gte", label=_("From"))
    starts_before = MomentFilter(field_name="starts_at", lookup_expr="lt", label=_("Before"))
    price_min = PriceFilter(
        method="in_price_range", label=_("Price from"), min_value=0, max_digits=10, decimal_places=2
    )
    price_max = PriceFilter(
        method="in_price_range", label=_("Price to"), min_value=0, max_digits=10, decimal_places=2
    )
    on_sale = TrueOrFalseFilter(method="is_on_sale", label=_("On sale now"))
    available = TrueOrFalseFilter(method="has_available", label=_("Tickets left"))
    near = PointFilter(method="near_point", label=_("Near"))

    class Meta:
        model = Event
        fields: list[str] = []

    @classmethod
    @cache
    def get_form_class(cls) -> type[SearchForm]:
        """Made once: the library makes a class for each request."""
        fields = {name: narrow.field for name, narrow in cls.base_filters.items()}
        return type("EventFilterForm", (SearchForm,), fields)

    def filter_queryset(self, queryset: EventQuerySet) -> EventQuerySet:
        queryset = queryset.published()
        # Not the library's own loop, which expects a filter for every field of the form.
        for name, narrow in self.filters.items():
            queryset = narrow.filter(queryset, self.form.cleaned_data[name])
        return queryset if self.asks_for_the_past() else queryset.upcoming()

    def narrows_nothing(self) -> bool:
        """Whether nothing is asked for but words, an order and a page."""
        return all(self.form.cleaned_data[name] in EMPTY_VALUES for name in self.filters)

    def asks_for_the_past(self) -> bool:
        bounds = self.form.cleaned_data
        bound = bounds.get("starts_after") or bounds.get("starts_before")
        return bound is not None and bound < timezone.now()

    def in_city(self, queryset: EventQuerySet, name: str, city: str) -> EventQuerySet:
        return queryset.alias(folded_city=Fold("venue__city")).filter(folded_city=Fold(Value(city)))

    def in_country(self, queryset: EventQuerySet, name: str, country: str) -> EventQuerySet:
        return queryset.filter(venue__country=country.upper())

    def in_price_range(self, queryset: EventQuerySet, name: str, value: Any) -> EventQuerySet:
        """Events with a price tier in the range. Both ends must hold for the same tier."""
        least, most = (self.form.cleaned_data.get(bound) for bound in ("price_min", "price_max"))
        if name == "price_max" and least is not None:
            return queryset
        tiers = PriceTier.objects.filter(event=OuterRef("pk"))
        if least is not None:
            tiers = tiers.filter(price__gte=least)
        if most is not None:
            tiers = tiers.filter(price__lte=most)
        return queryset.filter(Exists(tiers))

    def is_on_sale(self, queryset: EventQuerySet, name: str, wanted: bool) -> EventQuerySet:
        """Events whose `sale_state` is, or is not, `on_sale`."""
        now = Now()
        open_now = (
            Q(status=Event.Status.PUBLISHED)
            & (Q(on_sale_at__isnull=True) | Q(on_sale_at__lte=now))
            & (Q(off_sale_at__gt=now) | Q(off_sale_at__isnull=True, starts_at__gt=now))
            & has_available_tickets()
        )
        return queryset.filter(open_now if wanted else ~open_now)

    def has_available(self, queryset: EventQuerySet, name: str, wanted: bool) -> EventQuerySet:
        return queryset.filter(has_available_tickets() if wanted else ~has_available_tickets())

    def near_point(self, queryset: EventQuerySet, name: str, point: Point) -> EventQuerySet:
        """Events within `radius`, annotated with `distance_km`, in kilometres.

        The box around the circle lets most venues go without any trigonometry.
        """
        radius = self.form.cleaned_data.get("radius") or DEFAULT_RADIUS_KM
        return (
            queryset.filter(_box_around(point, radius))
            .annotate(distance_km=_distance_from(point))
            .filter(distance_km__lte=radius)
        )


def _box_around(point: Point, radius: float) -> Q:
    """The degrees that a circle of `radius` kilometres around the point lies in."""
    reach = math.degrees(radius / EARTH_RADIUS_KM)
    south, north = point.latitude - reach, point.latitude + reach
    box = Q(venue__latitude__range=(south, north))
    if south <= -90 or north >= 90:
        # The circle holds a pole, and with it every longitude.
        return box
    # The circle is widest nearer to the pole than its middle is.
    breadth = math.degrees(
        math.asin(min(1.0, math.sin(radius / EARTH_RADIUS_KM) / math.cos(math.radians(point.latitude))))
    )
    west, east = point.longitude - breadth, point.longitude + breadth
    if west < -180:
        return box & (Q(venue__longitude__gte=west + 360) | Q(venue__longitude__lte=east))
    if east > 180:
        return box & (Q(venue__longitude__gte=west) | Q(venue__longitude__lte=east - 360))
    return box & Q(venue__longitude__range=(west, east))


def _distance_from(point: Point) -> Combinable:
    """The great circle's length in kilometres, by the haversine formula."""
    latitude, longitude = (Value(degrees, FloatField()) for degrees in point)
    half_chord = Power(Sin(Radians(F("venue__latitude") - latitude) / 2.0), 2.0) + Cos(
        Radians(F("venue__latitude"))
    ) * Cos(Radians(latitude)) * Power(Sin(Radians(F("venue__longitude") - longitude) / 2.0), 2.0)
    # Rounding may lift the far side of the earth a hair above 1, where no arc sine is.
    return 2.0 * EARTH_RADIUS_KM * ASin(Sqrt(Least(1.0, half_chord)))
