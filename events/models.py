"""What is sold and where: venues, events, price tiers, and one row for every ticket."""

from __future__ import annotations

import zoneinfo
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events.querysets import EventQuerySet, TicketQuerySet


def validate_timezone(name: str) -> None:
    """Raise `ValidationError` unless `name` is in the IANA time zone database."""
    if name not in zoneinfo.available_timezones():
        raise ValidationError(_("“%(name)s” is not a time zone."), params={"name": name}, code="invalid")


class Category(models.Model):
    """A kind of event, such as music or theatre."""

    slug = models.SlugField(_("slug"), max_length=80, unique=True)
    name = models.CharField(_("name"), max_length=80, unique=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("category")
        verbose_name_plural = _("categories")

    def __str__(self) -> str:
        return self.name


class Performer(models.Model):
    """Someone on the stage: a band, a speaker, a company."""

    slug = models.SlugField(_("slug"), max_length=120, unique=True)
    name = models.CharField(_("name"), max_length=160)

    class Meta:
        ordering = ["name"]
        verbose_name = _("performer")
        verbose_name_plural = _("performers")

    def __str__(self) -> str:
        return self.name


class Venue(models.Model):
    """A place with an address, a time zone and, where it has numbered seats, those."""

    slug = models.SlugField(_("slug"), max_length=120, unique=True)
    name = models.CharField(_("name"), max_length=160)
    address = models.CharField(_("address"), max_length=240, blank=True)
    city = models.CharField(_("city"), max_length=120, blank=True)
    country = models.CharField(
        _("country"),
        max_length=2,
        blank=True,
        validators=[RegexValidator(r"^[A-Z]{2}$", _("Two capital letters, as in ISO 3166."))],
        help_text=_("Two capital letters, as in ISO 3166: DE, FR, JP."),
    )
    latitude = models.FloatField(
        _("latitude"), null=True, blank=True, validators=[MinValueValidator(-90), MaxValueValidator(90)]
    )
    longitude = models.FloatField(
        _("longitude"), null=True, blank=True, validators=[MinValueValidator(-180), MaxValueValidator(180)]
    )
    timezone = models.CharField(
        _("time zone"),
        max_length=64,
        default="UTC",
        validators=[validate_timezone],
        help_text=_("As in the IANA database: Europe/Berlin."),
    )
    # What a seating plan says beyond its seats (zones, row labels, the drawn background), so
    # that an exported plan is the one that was imported.
    plan = models.JSONField(_("seating plan"), default=dict, blank=True, editable=False)

    class Meta:
        ordering = ["name"]
        verbose_name = _("venue")
        verbose_name_plural = _("venues")
        constraints = [
            models.CheckConstraint(
                condition=Q(latitude__isnull=True, longitude__isnull=True)
                | Q(latitude__range=(-90, 90), longitude__range=(-180, 180)),
                name="venue_coordinates_valid",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}, {self.city}" if self.city else self.name

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.timezone)


class Seat(models.Model):
    """A numbered seat of a venue.

    `place` counts along the row: seats whose places differ by one are neighbours, and an
    aisle leaves a number out. Row and seat numbers are words ("AA", "12½").
    """

    venue = models.ForeignKey(Venue, models.CASCADE, related_name="seats", verbose_name=_("venue"))
    guid = models.CharField(_("seat id in the plan"), max_length=200)
    section = models.CharField(_("section"), max_length=80)
    row = models.CharField(_("row"), max_length=40)
    number = models.CharField(_("seat"), max_length=40)
    category = models.CharField(
        _("category"),
        max_length=80,
        blank=True,
        help_text=_("The price tier of the same name sells it by default."),
    )
    row_index = models.PositiveIntegerField(_("row order"), help_text=_("0 is next to the stage."))
    place = models.PositiveIntegerField(_("place in the row"))
    # In plan pixels, y downwards.
    x = models.FloatField(default=0)
    y = models.FloatField(default=0)
    is_accessible = models.BooleanField(_("wheelchair accessible"), default=False)

    class Meta:
        ordering = ["venue", "section", "row_index", "place"]
        verbose_name = _("seat")
        verbose_name_plural = _("seats")
        constraints = [
            models.UniqueConstraint(fields=["venue", "guid"], name="seat_guid_unique_in_venue"),
            models.UniqueConstraint(
                fields=["venue", "section", "row", "number"], name="seat_unique_in_venue"
            ),
            models.UniqueConstraint(
                fields=["venue", "section", "row_index", "place"], name="seat_place_unique_in_row"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.section}, row {self.row}, seat {self.number}"


class Event(models.Model):
    """Something people buy tickets for, at one venue, at one time."""

    class Status(models.TextChoices):
        DRAFT = "draft", _("draft")
        PUBLISHED = "published", _("published")
        POSTPONED = "postponed", _("postponed")
        CANCELLED = "cancelled", _("cancelled")

    class SaleState(models.TextChoices):
        UPCOMING = "upcoming", _("not on sale yet")
        ON_SALE = "on_sale", _("on sale")
        SOLD_OUT = "sold_out", _("sold out")
        ENDED = "ended", _("sale ended")

    slug = models.SlugField(_("slug"), max_length=160, unique=True)
    title = models.CharField(_("title"), max_length=200)
    summary = models.CharField(_("summary"), max_length=300, blank=True)
    description = models.TextField(_("description"), blank=True, help_text=_("Markdown."))
    category = models.ForeignKey(
        Category, models.PROTECT, null=True, blank=True, related_name="events", verbose_name=_("category")
    )
    performers = models.ManyToManyField(
        Performer, blank=True, related_name="events", verbose_name=_("performers")
    )
    venue = models.ForeignKey(Venue, models.PROTECT, related_name="events", verbose_name=_("venue"))
    starts_at = models.DateTimeField(_("starts"))
    ends_at = models.DateTimeField(_("ends"))
    doors_at = models.DateTimeField(_("doors open"), null=True, blank=True)
    on_sale_at = models.DateTimeField(
        _("on sale from"), null=True, blank=True, help_text=_("Empty: as soon as it is published.")
    )
    off_sale_at = models.DateTimeField(
        _("on sale until"), null=True, blank=True, help_text=_("Empty: until it starts.")
    )
    status = models.CharField(_("status"), max_length=9, choices=Status.choices, default=Status.DRAFT)
    currency = models.CharField(
        _("currency"), max_length=3, default="EUR", validators=[RegexValidator(r"^[A-Z]{3}$")]
    )
    max_tickets_per_booking = models.PositiveSmallIntegerField(
        _("tickets per buyer"), default=10, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    max_extensions = models.PositiveSmallIntegerField(
        _("times a hold can be extended"),
        default=10,
        validators=[MaxValueValidator(10)],
        help_text=_("Ten minutes each. Lower it for an on-sale with a rush."),
    )
    refunds_until = models.DateTimeField(
        _("buyers may return tickets until"),
        null=True,
        blank=True,
        help_text=_("Empty: only staff give money back."),
    )
    refund_fee = models.DecimalField(
        _("fee for a returned ticket"),
        max_digits=10,
        decimal_places=2,
        default=Decimal(0),
        validators=[MinValueValidator(Decimal(0))],
        help_text=_("Kept of each ticket that its buyer returns; never more than its price."),
    )
    # Set where an event is postponed: buyers who cannot come on the new date pay no fee.
    free_refunds_until = models.DateTimeField(
        _("returns without a fee until"), null=True, blank=True, help_text=_("After a postponement.")
    )
    website = models.URLField(_("website"), max_length=500, blank=True)
    # Where an imported event came from, so that importing it again changes nothing.
    source_key = models.CharField(max_length=200, unique=True, null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = EventQuerySet.as_manager()

    if TYPE_CHECKING:
        # Annotated by EventQuerySet.with_sale_facts().
        has_tickets: bool
        has_available: bool
        price_min: Decimal | None
        price_max: Decimal | None

    class Meta:
        ordering = ["starts_at", "id"]
        verbose_name = _("event")
        verbose_name_plural = _("events")
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gte=F("starts_at")), name="event_ends_after_start"),
            models.CheckConstraint(
                condition=Q(doors_at__isnull=True) | Q(doors_at__lte=F("starts_at")),
                name="event_doors_before_start",
            ),
            models.CheckConstraint(
                condition=Q(on_sale_at__isnull=True)
                | Q(off_sale_at__isnull=True)
                | Q(on_sale_at__lt=F("off_sale_at")),
                name="event_sale_ends_after_start",
            ),
            models.CheckConstraint(
                condition=Q(max_tickets_per_booking__range=(1, 100)), name="event_ticket_limit_valid"
            ),
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="event_currency_valid"),
            models.CheckConstraint(
                condition=Q(status__in=["draft", "published", "postponed", "cancelled"]),
                name="event_status_valid",
            ),
            models.CheckConstraint(condition=Q(refund_fee__gte=0), name="event_refund_fee_not_negative"),
        ]
        indexes = [models.Index(fields=["status", "starts_at", "id"], name="event_listing")]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("events:detail", args=[self.slug])

    @property
    def sale_ends_at(self) -> datetime:
        return self.off_sale_at or self.starts_at

    @property
    def sale_state(self) -> SaleState:
        """What a buyer sees. Needs `EventQuerySet.with_sale_facts()`; never queries."""
        now = timezone.now()
        if self.status == self.Status.CANCELLED or now >= self.sale_ends_at:
            return self.SaleState.ENDED
        if self.status == self.Status.POSTPONED or not self.has_tickets:
            return self.SaleState.UPCOMING
        if self.on_sale_at is not None and now < self.on_sale_at:
            return self.SaleState.UPCOMING
        return self.SaleState.ON_SALE if self.has_available else self.SaleState.SOLD_OUT

    @property
    def has_free_returns(self) -> bool:
        """Whether whoever booked may return tickets without a fee now, as after a postponement."""
        return self.free_refunds_until is not None and timezone.now() <= self.free_refunds_until

    @property
    def is_on_sale(self) -> bool:
        return self.sale_state == self.SaleState.ON_SALE


class PriceTier(models.Model):
    """A price within an event, for numbered seats or for general admission.

    A seated tier sells the seats of the sections it lists; a tier that lists none sells the
    seats whose category has its name. General admission has a quantity instead.
    """

    event = models.ForeignKey(Event, models.CASCADE, related_name="price_tiers", verbose_name=_("event"))
    name = models.CharField(_("name"), max_length=80)
    price = models.DecimalField(
        _("price"),
        max_digits=10,
        decimal_places=2,
        validators=[MinValueValidator(Decimal(0))],
        help_text=_("What the buyer pays, everything included."),
    )
    position = models.PositiveSmallIntegerField(_("order"), default=0)
    is_seated = models.BooleanField(_("numbered seats"), default=False)
    sections = ArrayField(
        models.CharField(max_length=80),
        verbose_name=_("sections"),
        default=list,
        blank=True,
        help_text=_("Separated by commas. Empty: the seats whose category has this tier's name."),
    )
    quantity = models.PositiveIntegerField(
        _("quantity"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(200_000)],
        help_text=_("General admission only."),
    )

    class Meta:
        ordering = ["event", "position", "id"]
        verbose_name = _("price tier")
        verbose_name_plural = _("price tiers")
        constraints = [
            models.UniqueConstraint(fields=["event", "name"], name="price_tier_unique_in_event"),
            models.CheckConstraint(condition=Q(price__gte=0), name="price_tier_price_not_negative"),
            models.CheckConstraint(
                condition=Q(is_seated=True, quantity__isnull=True)
                | Q(is_seated=False, quantity__isnull=False, quantity__gte=1),
                name="price_tier_seated_or_quantity",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.is_seated and self.quantity is not None:
            raise ValidationError(
                {"quantity": _("Numbered seats are counted from the venue: leave this empty.")}
            )
        if not self.is_seated and self.quantity is None:
            raise ValidationError({"quantity": _("General admission needs a quantity.")})


class Ticket(models.Model):
    """One place that can be sold. The row is the truth about it; the cache is not.

    `booking_id` is the fence: whoever changes a ticket names the booking it must belong to.
    A foreign key to the booking is added in bookings' migrations, as this app knows no bookings.
    """

    class Status(models.TextChoices):
        AVAILABLE = "available", _("available")
        RESERVED = "reserved", _("reserved")
        BOOKED = "booked", _("booked")
        BLOCKED = "blocked", _("kept back")

    event = models.ForeignKey(Event, models.PROTECT, related_name="tickets", verbose_name=_("event"))
    price_tier = models.ForeignKey(
        PriceTier, models.PROTECT, related_name="tickets", verbose_name=_("price tier")
    )
    seat = models.ForeignKey(
        Seat, models.PROTECT, null=True, blank=True, related_name="tickets", verbose_name=_("seat")
    )
    position = models.PositiveIntegerField(_("position"))
    status = models.CharField(
        _("status"),
        max_length=9,
        choices=Status.choices,
        default=Status.AVAILABLE,
        db_default=Status.AVAILABLE,
    )
    booking_id = models.UUIDField(_("booking"), null=True, blank=True)
    reserved_until = models.DateTimeField(_("reserved until"), null=True, blank=True)

    objects = TicketQuerySet.as_manager()

    if TYPE_CHECKING:
        # Annotated by TicketQuerySet.with_current_status().
        current_status: str

    class Meta:
        ordering = ["event", "position"]
        verbose_name = _("ticket")
        verbose_name_plural = _("tickets")
        constraints = [
            models.UniqueConstraint(fields=["event", "position"], name="ticket_position_unique"),
            models.UniqueConstraint(fields=["event", "seat"], name="ticket_seat_sold_once"),
            models.CheckConstraint(
                condition=Q(status__in=["reserved", "booked"], booking_id__isnull=False)
                | Q(status__in=["available", "blocked"], booking_id__isnull=True),
                name="ticket_booking_if_taken",
            ),
            models.CheckConstraint(
                condition=Q(status="reserved", reserved_until__isnull=False)
                | (~Q(status="reserved") & Q(reserved_until__isnull=True)),
                name="ticket_reserved_until_if_reserved",
            ),
        ]
        indexes = [
            models.Index(
                fields=["booking_id"], condition=Q(booking_id__isnull=False), name="ticket_by_booking"
            ),
            models.Index(
                fields=["price_tier", "id"], condition=Q(status="available"), name="ticket_available_in_tier"
            ),
            models.Index(
                fields=["price_tier", "reserved_until"],
                condition=Q(status="reserved"),
                name="ticket_reserved_in_tier",
            ),
            models.Index(
                fields=["reserved_until"], condition=Q(status="reserved"), name="ticket_reserved_until"
            ),
        ]

    def __str__(self) -> str:
        return f"ticket {self.position}"


class PublishJob(models.Model):
    """A wish to publish an event, and how far a worker has come with it.

    A worker takes a job for a short while (`taken_until`) and renews that with every step, so
    that a job whose worker died is taken up by another.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", _("waiting")
        RUNNING = "running", _("at work")
        DONE = "done", _("done")
        FAILED = "failed", _("refused")

    event = models.ForeignKey(Event, models.CASCADE, related_name="publish_jobs", verbose_name=_("event"))
    status = models.CharField(_("status"), max_length=7, choices=Status.choices, default=Status.QUEUED)
    done = models.PositiveIntegerField(_("tickets done"), default=0)
    total = models.PositiveIntegerField(_("tickets in all"), default=0)
    error = models.TextField(_("reason"), blank=True)
    created_at = models.DateTimeField(_("asked for"), auto_now_add=True)
    taken_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name = _("publication")
        verbose_name_plural = _("publications")
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "done", "failed"]),
                name="publish_job_status_valid",
            ),
            models.UniqueConstraint(
                fields=["event"],
                condition=Q(status__in=["queued", "running"]),
                name="publish_job_one_open_per_event",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} ({self.status})"

    @property
    def is_open(self) -> bool:
        return self.status in {self.Status.QUEUED, self.Status.RUNNING}
