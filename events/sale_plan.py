"""Which price tier sells which of a venue's seats: the rule in `PriceTier`, for a whole event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _

from events.exceptions import NothingForSale, UnclearPrice
from events.models import Event, PriceTier, Seat


@dataclass(frozen=True)
class SeatGroup:
    """The seats of one section and category, which one price tier sells, or none."""

    section: str
    category: str
    seats: int
    tier: PriceTier | None


@dataclass(frozen=True)
class SalePlan:
    """What publishing an event puts on sale; tiers are in their order."""

    venue_id: int
    tiers: Sequence[PriceTier]
    groups: Sequence[SeatGroup]

    @property
    def total(self) -> int:
        """How many tickets there are to be."""
        return sum(self.tickets_of(tier) for tier in self.tiers)

    @property
    def seated(self) -> list[PriceTier]:
        return [tier for tier in self.tiers if tier.is_seated]

    @property
    def general_admission(self) -> list[PriceTier]:
        return [tier for tier in self.tiers if not tier.is_seated]

    @property
    def unsold_groups(self) -> list[SeatGroup]:
        return [group for group in self.groups if group.tier is None]

    @property
    def unsold_seats(self) -> int:
        """How many of the venue's seats no price tier sells."""
        return sum(group.seats for group in self.unsold_groups)

    @property
    def tickets_by_tier(self) -> list[tuple[PriceTier, int]]:
        return [(tier, self.tickets_of(tier)) for tier in self.tiers]

    def groups_of(self, tier: PriceTier) -> list[SeatGroup]:
        return [group for group in self.groups if group.tier == tier]

    def tickets_of(self, tier: PriceTier) -> int:
        return sum(group.seats for group in self.groups_of(tier)) if tier.is_seated else tier.quantity or 0

    def seats_sold_by(self, *tiers: PriceTier) -> QuerySet[Seat]:
        """The seats of the venue that these tiers sell."""
        of_any_group = Q(pk__in=[])
        for group in self.groups:
            if group.tier in tiers:
                of_any_group |= Q(section=group.section, category=group.category)
        return Seat.objects.filter(of_any_group, venue=self.venue_id)


def plan_sale(event: Event) -> SalePlan:
    """Say what would be sold; raises where a price is unclear or a tier, or all of them, sells nothing."""
    tiers = list(event.price_tiers.order_by("position", "id"))
    seated = [tier for tier in tiers if tier.is_seated]
    groups = [
        SeatGroup(section, category, seats, _tier_selling(seated, section, category))
        for section, category, seats in _count_seats(event.venue_id)
    ]
    plan = SalePlan(event.venue_id, tiers, groups)
    _refuse_empty_tiers(plan)
    if not plan.total:
        raise NothingForSale(_("Nothing is for sale yet: add a price tier first."))
    return plan


def _count_seats(venue_id: int) -> Iterable[tuple[str, str, int]]:
    return (
        Seat.objects.filter(venue=venue_id)
        .order_by("section", "category")
        .values_list("section", "category")
        .annotate(seats=Count("id"))
    )


def _tier_selling(tiers: Sequence[PriceTier], section: str, category: str) -> PriceTier | None:
    """A tier that lists the section wins, else the namesake of the category."""
    candidates = [tier for tier in tiers if section in tier.sections] or [
        tier for tier in tiers if not tier.sections and tier.name.casefold() == category.casefold()
    ]
    if len(candidates) > 1:
        names = ", ".join(tier.name for tier in candidates)
        raise UnclearPrice(
            _("Section “%(section)s” is claimed by more than one price tier: %(names)s.")
            % {"section": section, "names": names}
        )
    return candidates[0] if candidates else None


def _refuse_empty_tiers(plan: SalePlan) -> None:
    """A misspelt section or category must not go unnoticed."""
    known = {group.section for group in plan.groups}
    for tier in plan.seated:
        unknown = [section for section in tier.sections if section not in known]
        if unknown:
            raise NothingForSale(
                _("Price tier “%(tier)s” lists a section that the venue does not have: %(sections)s.")
                % {"tier": tier.name, "sections": ", ".join(unknown)}
            )
        if not plan.tickets_of(tier):
            raise NothingForSale(
                _(
                    "Price tier “%(tier)s” sells no seat: list its sections, or give it the name "
                    "of a seat category that no other tier sells."
                )
                % {"tier": tier.name}
            )
