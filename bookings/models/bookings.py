"""Bookings and the tickets in them."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext_lazy as _

from bookings.models.accounts import User, hash_secret
from bookings.querysets import BookingQuerySet
from events.models import Event, PriceTier, Ticket

# Crockford's base 32: no I, L, O or U, so that a reference survives being read aloud.
REFERENCE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_LENGTH = 16


def make_reference() -> str:
    """Eight characters for people to say: 2^40 of them, so never a secret."""
    return "".join(secrets.choice(REFERENCE_ALPHABET) for _ in range(8))


def make_code() -> str:
    """A ticket's code: 80 random bits, which nobody guesses, short enough to be typed at a door."""
    return "".join(secrets.choice(REFERENCE_ALPHABET) for _ in range(CODE_LENGTH))


def make_access_token(booking_id: uuid.UUID) -> str:
    """A guest's proof that a booking is theirs: nobody guesses it, and it is the same each time it is made.

    So that the first answer to a hold can be given again without the token lying about anywhere.
    """
    return salted_hmac("bookings.access-token", str(booking_id), algorithm="sha256").hexdigest()


class Booking(models.Model):
    """One buyer's purchase. While it is reserved it is a hold, which ends at `expires_at`."""

    class Status(models.TextChoices):
        RESERVED = "reserved", _("reserved")
        BOOKED = "booked", _("booked")
        EXPIRED = "expired", _("expired")
        RELEASED = "released", _("released")
        CANCELLED = "cancelled", _("cancelled")
        REFUNDED = "refunded", _("refunded")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    reference = models.CharField(
        _("reference"), max_length=8, unique=True, default=make_reference, editable=False
    )
    event = models.ForeignKey(Event, models.PROTECT, related_name="bookings", verbose_name=_("event"))
    account = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="bookings", verbose_name=_("account")
    )
    email = models.EmailField(_("e-mail address"), blank=True)
    name = models.CharField(_("name"), max_length=160, blank=True)
    # A guest's proof that the booking is theirs; shown once, so only its hash is kept.
    access_token_hash = models.CharField(max_length=64, editable=False)
    client_address = models.GenericIPAddressField(null=True, blank=True, editable=False)
    status = models.CharField(_("status"), max_length=9, choices=Status.choices, default=Status.RESERVED)
    expires_at = models.DateTimeField(_("hold ends"))
    extensions_used = models.PositiveSmallIntegerField(_("extensions used"), default=0)
    total = models.DecimalField(_("total"), max_digits=12, decimal_places=2)
    currency = models.CharField(_("currency"), max_length=3)
    created_at = models.DateTimeField(_("made"), auto_now_add=True)
    booked_at = models.DateTimeField(_("booked"), null=True, blank=True)

    objects = BookingQuerySet.as_manager()

    if TYPE_CHECKING:
        # Annotated by BookingQuerySet.with_current_status().
        current_status: str
        # Annotated by BookingQuerySet.with_details().
        database_now: datetime

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name = _("booking")
        verbose_name_plural = _("bookings")
        constraints = [
            models.CheckConstraint(condition=Q(total__gte=0), name="booking_total_not_negative"),
            models.CheckConstraint(
                condition=Q(status__in=["booked", "cancelled", "refunded"], booked_at__isnull=False)
                | Q(status__in=["reserved", "expired", "released"], booked_at__isnull=True),
                name="booking_booked_at_if_booked",
            ),
            models.CheckConstraint(
                condition=Q(extensions_used__lte=10), name="booking_extensions_at_most_ten"
            ),
        ]
        indexes = [
            models.Index(fields=["account", "-created_at", "-id"], name="booking_of_account"),
            models.Index(fields=["expires_at"], condition=Q(status="reserved"), name="booking_open_holds"),
            models.Index(
                fields=["event", "account"],
                condition=Q(status__in=["reserved", "booked"], account__isnull=False),
                name="booking_limit_by_account",
            ),
            models.Index(
                fields=["event", "email"],
                condition=Q(status__in=["reserved", "booked"]) & ~Q(email=""),
                name="booking_limit_by_email",
            ),
            models.Index(
                fields=["event", "client_address", "expires_at"],
                condition=Q(status__in=["reserved", "expired"], client_address__isnull=False),
                name="booking_limit_by_network",
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    def get_absolute_url(self) -> str:
        return reverse("bookings:detail", args=[self.id])

    @property
    def is_hold(self) -> bool:
        return self.status == self.Status.RESERVED

    @property
    def extensions_left(self) -> int:
        return max(0, self.event.max_extensions - self.extensions_used) if self.is_hold else 0

    def has_access_token(self, token: str) -> bool:
        return constant_time_compare(self.access_token_hash, hash_secret(token))


class BookingItem(models.Model):
    """One ticket of a booking, at the price it was held for."""

    booking = models.ForeignKey(Booking, models.CASCADE, related_name="items", verbose_name=_("booking"))
    ticket = models.ForeignKey(Ticket, models.PROTECT, related_name="+", verbose_name=_("ticket"))
    price_tier = models.ForeignKey(PriceTier, models.PROTECT, related_name="+", verbose_name=_("price tier"))
    price = models.DecimalField(_("price"), max_digits=10, decimal_places=2)
    holder_name = models.CharField(_("ticket holder"), max_length=160, blank=True)
    code = models.CharField(_("code"), max_length=22, unique=True, null=True, editable=False)
    checked_in_at = models.DateTimeField(_("checked in"), null=True, blank=True)
    # Set once, in the transaction that puts the ticket on sale again: the code is dead from then on.
    refund = models.ForeignKey(
        "bookings.Refund",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="items",
        verbose_name=_("refund"),
    )

    class Meta:
        ordering = ["booking", "ticket"]
        verbose_name = _("booked ticket")
        verbose_name_plural = _("booked tickets")
        constraints = [
            models.UniqueConstraint(fields=["booking", "ticket"], name="item_ticket_once_in_booking"),
            models.CheckConstraint(condition=Q(price__gte=0), name="item_price_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.booking_id}/{self.ticket_id}"

    @property
    def grouped_code(self) -> str:
        """The code as people read it and type it; nothing before it is booked."""
        code = self.code or ""
        # Only codes of this length are for typing; older ones are of both cases.
        if len(code) != CODE_LENGTH:
            return code
        return "-".join(code[start : start + 4] for start in range(0, CODE_LENGTH, 4))
