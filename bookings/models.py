"""Who buys: accounts and their keys, bookings, payments, and the gateway's notices."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext_lazy as _

from bookings.querysets import BookingQuerySet, PaymentQuerySet
from events.models import Event, PriceTier, Ticket

# Crockford's base 32: no I, L, O or U, so that a reference survives being read aloud.
REFERENCE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def make_reference() -> str:
    """Eight characters for people to say: 2^40 of them, so never a secret."""
    return "".join(secrets.choice(REFERENCE_ALPHABET) for _ in range(8))


def make_code() -> str:
    """A ticket's code: 128 random bits, which nobody guesses."""
    return secrets.token_urlsafe(16)


def make_access_token(booking_id: uuid.UUID) -> str:
    """A guest's proof that a booking is theirs: nobody guesses it, and it is the same each time it is made.

    So that the first answer to a hold can be given again without the token lying about anywhere.
    """
    return salted_hmac("bookings.access-token", str(booking_id), algorithm="sha256").hexdigest()


def hash_secret(secret: str) -> str:
    """The form in which a long random secret is stored; needs no salt, as it cannot be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()


class UserManager(BaseUserManager["User"]):
    """Makes accounts, which are known by their e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email__iexact=username)


class User(AbstractUser):
    """An account. The e-mail address is its name."""

    username = None  # type: ignore[assignment]  # Django's documented way to drop the field.
    email = models.EmailField(_("e-mail address"), unique=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = []

    objects = UserManager()  # type: ignore[misc,assignment]  # AbstractUser's manager wants a user name.

    def __str__(self) -> str:
        return self.email


class ApiKey(models.Model):
    """A key with which a program acts for an account. Only its hash is kept."""

    account = models.ForeignKey(User, models.CASCADE, related_name="api_keys", verbose_name=_("account"))
    name = models.CharField(_("name"), max_length=80)
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(_("begins with"), max_length=8, editable=False)
    created_at = models.DateTimeField(_("made"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"


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
    confirmation_claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    confirmation_sent_at = models.DateTimeField(_("confirmation sent"), null=True, blank=True)

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
                fields=["event", "client_address"],
                condition=Q(status="reserved", client_address__isnull=False),
                name="booking_limit_by_address",
            ),
            models.Index(
                fields=["booked_at"],
                condition=Q(status="booked", confirmation_sent_at__isnull=True),
                name="booking_confirmation_due",
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


class Payment(models.Model):
    """One attempt to pay for a booking; written before the buyer is sent to the gateway.

    `status` is what the gateway has done with the money. `decision` is what is to be done with
    money that was authorised; it is taken in the transaction that books the tickets or finds
    them gone, and carried out afterwards, as often as it takes.
    """

    class Status(models.TextChoices):
        PENDING = "pending", _("waiting for the buyer")
        AUTHORISED = "authorised", _("authorised")
        CAPTURED = "captured", _("paid")
        DECLINED = "declined", _("declined")
        VOIDED = "voided", _("voided")
        REFUNDED = "refunded", _("paid back")

    class Decision(models.TextChoices):
        OPEN = "", _("none yet")
        CAPTURE = "capture", _("take the money")
        VOID = "void", _("give the money back")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    booking = models.ForeignKey(Booking, models.PROTECT, related_name="payments", verbose_name=_("booking"))
    gateway = models.CharField(_("gateway"), max_length=40)
    gateway_reference = models.CharField(_("gateway's reference"), max_length=200, blank=True)
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.PENDING)
    decision = models.CharField(
        _("decision"), max_length=7, choices=Decision.choices, default=Decision.OPEN, blank=True
    )
    amount = models.DecimalField(_("amount"), max_digits=12, decimal_places=2)
    currency = models.CharField(_("currency"), max_length=3)
    redirect_url = models.URLField(max_length=2000, blank=True)
    return_url = models.URLField(max_length=2000, blank=True)
    # Why the money was not taken, in words for the buyer and for staff.
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), default=timezone.now)
    created_at = models.DateTimeField(_("made"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    objects = PaymentQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    status__in=["pending", "authorised", "captured", "declined", "voided", "refunded"]
                ),
                name="payment_status_valid",
            ),
            models.CheckConstraint(
                condition=Q(decision__in=["", "capture", "void"]), name="payment_decision_valid"
            ),
            models.CheckConstraint(condition=Q(amount__gte=0), name="payment_amount_not_negative"),
            models.CheckConstraint(
                condition=Q(status="pending", decision="") | ~Q(status="pending"),
                name="payment_undecided_while_pending",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["authorised", "captured"]) | ~Q(decision=""),
                name="payment_decided_once_authorised",
            ),
            models.UniqueConstraint(
                fields=["booking"], condition=Q(status="pending"), name="payment_one_open_per_booking"
            ),
            models.UniqueConstraint(
                fields=["booking"], condition=Q(decision="capture"), name="payment_one_success_per_booking"
            ),
            models.UniqueConstraint(
                fields=["gateway", "gateway_reference"],
                condition=~Q(gateway_reference=""),
                name="payment_reference_unique",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(status__in=["pending", "authorised"]) | Q(status="captured", decision="void"),
                name="payment_unfinished",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} ({self.status})"


class PaymentNotice(models.Model):
    """A gateway's signed notice, stored under its unique id before anything is done about it."""

    gateway = models.CharField(_("gateway"), max_length=40)
    provider_id = models.CharField(_("the gateway's id"), max_length=200)
    reference = models.CharField(_("gateway's reference of the payment"), max_length=200)
    payload = models.JSONField(_("payload"), encoder=DjangoJSONEncoder)
    received_at = models.DateTimeField(_("received"), auto_now_add=True)
    applied_at = models.DateTimeField(_("applied"), null=True, blank=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), default=timezone.now)
    outcome = models.CharField(_("outcome"), max_length=300, blank=True)

    class Meta:
        ordering = ["-received_at", "-id"]
        verbose_name = _("payment notice")
        verbose_name_plural = _("payment notices")
        constraints = [
            models.UniqueConstraint(fields=["gateway", "provider_id"], name="notice_stored_once"),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"], condition=Q(applied_at__isnull=True), name="notice_to_apply"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.gateway} {self.provider_id}"


# For so long a key stands for its request.
IDEMPOTENCY_LIFETIME = timedelta(hours=24)


class IdempotencyKey(models.Model):
    """The first answer to a request that named a key, for whoever asks again within its lifetime."""

    caller = models.CharField(max_length=80)
    key = models.CharField(max_length=255)
    # Of method, path and body: the same key with another request is refused.
    fingerprint = models.CharField(max_length=64)
    # Empty while the request is being answered.
    status_code = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(encoder=DjangoJSONEncoder, null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["caller", "key"], name="idempotency_key_once_per_caller"),
        ]
        indexes = [models.Index(fields=["created_at"], name="idempotency_key_age")]

    def __str__(self) -> str:
        return f"{self.caller}: {self.key}"
