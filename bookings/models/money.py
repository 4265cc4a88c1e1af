"""Payments, refunds, the books that record both, and the gateway's notices.

The books are the entries: what the gateway has done, written once and never changed. A payment's
`status`, `captured` and `refunded` follow from them; the database keeps those columns itself, so
that indexes and constraints can be made of them.
"""

from __future__ import annotations

import uuid

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from bookings.models.accounts import User
from bookings.models.bookings import Booking
from bookings.querysets import NoticeQuerySet, PaymentQuerySet, RefundQuerySet


class Payment(models.Model):
    """One attempt to pay for a booking; written before the buyer is sent to the gateway.

    `status` is what the gateway has done with the money, and follows from the entries. `decision`
    is what is to be done with money that was authorised; it is taken in the transaction that
    books the tickets or finds them gone, and carried out afterwards, as often as it takes.
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
    captured = models.DecimalField(_("taken"), max_digits=12, decimal_places=2, default=0)
    refunded = models.DecimalField(_("given back"), max_digits=12, decimal_places=2, default=0)
    currency = models.CharField(_("currency"), max_length=3)
    redirect_url = models.URLField(max_length=2000, blank=True)
    return_url = models.URLField(max_length=2000, blank=True)
    # Why the money was not taken, in words for the buyer and for staff.
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    # Why this cannot be mended without a person, in words for staff.
    problem = models.CharField(_("problem"), max_length=300, blank=True)
    # The last problem that a person dealt with: a difference that will always be there is told once.
    dismissed = models.CharField(_("dealt with"), max_length=300, blank=True)
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
                condition=Q(captured__gte=0, captured__lte=F("amount")),
                name="payment_captured_at_most_amount",
            ),
            models.CheckConstraint(
                condition=Q(refunded__gte=0, refunded__lte=F("captured")),
                name="payment_refunded_at_most_captured",
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
                condition=Q(status__in=["pending", "authorised"]),
                name="payment_unfinished",
            ),
            models.Index(fields=["created_at"], condition=~Q(problem=""), name="payment_with_problem"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} ({self.status})"


class Refund(models.Model):
    """Money that is given back for tickets of a booking, or for a payment that bought none.

    The tickets are on sale again and their codes dead from the moment the row is there; the money
    follows, as often as it takes. `amount` is what the buyer gets, `fee` what is kept.
    """

    class Status(models.TextChoices):
        REQUESTED = "requested", _("on its way")
        DONE = "done", _("done")

    class Origin(models.TextChoices):
        STAFF = "staff", _("staff")
        BUYER = "buyer", _("the buyer")
        CANCELLATION = "cancellation", _("the event was cancelled")
        LATE_PAYMENT = "late_payment", _("a payment that came too late")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    booking = models.ForeignKey(Booking, models.PROTECT, related_name="refunds", verbose_name=_("booking"))
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="refunds", verbose_name=_("payment"))
    status = models.CharField(_("status"), max_length=9, choices=Status.choices, default=Status.REQUESTED)
    origin = models.CharField(_("asked for by"), max_length=12, choices=Origin.choices)
    requested_by = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("account")
    )
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    amount = models.DecimalField(_("amount"), max_digits=12, decimal_places=2)
    fee = models.DecimalField(_("fee kept"), max_digits=12, decimal_places=2, default=0)
    currency = models.CharField(_("currency"), max_length=3)
    # Why this cannot be mended without a person, in words for staff.
    problem = models.CharField(_("problem"), max_length=300, blank=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), default=timezone.now)
    requested_at = models.DateTimeField(_("asked for"), auto_now_add=True)
    done_at = models.DateTimeField(_("done"), null=True, blank=True)

    objects = RefundQuerySet.as_manager()

    class Meta:
        ordering = ["-requested_at", "-id"]
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        constraints = [
            models.CheckConstraint(condition=Q(amount__gte=0), name="refund_amount_not_negative"),
            models.CheckConstraint(condition=Q(fee__gte=0), name="refund_fee_not_negative"),
            models.CheckConstraint(
                condition=Q(status="requested", done_at__isnull=True)
                | Q(status="done", done_at__isnull=False),
                name="refund_done_at_if_done",
            ),
            models.CheckConstraint(
                condition=Q(origin__in=["staff", "buyer", "cancellation", "late_payment"]),
                name="refund_origin_valid",
            ),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(status="requested"), name="refund_to_do"),
            models.Index(fields=["requested_at"], condition=~Q(problem=""), name="refund_with_problem"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} ({self.status})"


class PaymentEntry(models.Model):
    """One thing that the gateway did with a payment. Written once; the database refuses to change it."""

    class Kind(models.TextChoices):
        AUTHORISED = "authorised", _("authorised")
        CAPTURED = "captured", _("taken")
        DECLINED = "declined", _("declined")
        VOIDED = "voided", _("voided")
        REFUNDED = "refunded", _("given back")

    payment = models.ForeignKey(
        Payment, models.PROTECT, related_name="entries", verbose_name=_("payment"), editable=False
    )
    kind = models.CharField(_("what happened"), max_length=10, choices=Kind.choices, editable=False)
    amount = models.DecimalField(_("amount"), max_digits=12, decimal_places=2, editable=False)
    refund = models.OneToOneField(
        Refund,
        models.PROTECT,
        null=True,
        related_name="entry",
        verbose_name=_("refund"),
        editable=False,
    )
    recorded_at = models.DateTimeField(_("recorded"), auto_now_add=True)

    class Meta:
        ordering = ["recorded_at", "id"]
        verbose_name = _("entry in the books")
        verbose_name_plural = _("entries in the books")
        constraints = [
            models.CheckConstraint(condition=Q(amount__gte=0), name="entry_amount_not_negative"),
            models.CheckConstraint(
                condition=Q(kind__in=["authorised", "captured", "declined", "voided", "refunded"]),
                name="entry_kind_valid",
            ),
            models.CheckConstraint(
                condition=Q(kind="refunded", refund__isnull=False)
                | (~Q(kind="refunded") & Q(refund__isnull=True)),
                name="entry_refund_if_refunded",
            ),
            models.UniqueConstraint(
                fields=["payment", "kind"], condition=~Q(kind="refunded"), name="entry_once_per_payment"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount}"


class PaymentNotice(models.Model):
    """A gateway's signed notice, stored under its unique id before anything is done about it."""

    class Status(models.TextChoices):
        WAITING = "waiting", _("waiting")
        APPLIED = "applied", _("applied")
        PARKED = "parked", _("parked")

    gateway = models.CharField(_("gateway"), max_length=40)
    provider_id = models.CharField(_("the gateway's id"), max_length=200)
    kind = models.CharField(_("kind"), max_length=80, blank=True)
    # What it is about: our payment's id where the notice carries it, else the gateway's reference.
    payment_key = models.CharField(_("payment"), max_length=40, blank=True)
    reference = models.CharField(_("gateway's reference of the payment"), max_length=200, blank=True)
    payload = models.JSONField(_("payload"), encoder=DjangoJSONEncoder)
    status = models.CharField(_("status"), max_length=7, choices=Status.choices, default=Status.WAITING)
    received_at = models.DateTimeField(_("received"), auto_now_add=True)
    applied_at = models.DateTimeField(_("applied"), null=True, blank=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), default=timezone.now)
    outcome = models.CharField(_("outcome"), max_length=300, blank=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        ordering = ["-received_at", "-id"]
        verbose_name = _("payment notice")
        verbose_name_plural = _("payment notices")
        constraints = [
            models.UniqueConstraint(fields=["gateway", "provider_id"], name="notice_stored_once"),
            models.CheckConstraint(
                condition=Q(status__in=["waiting", "parked"], applied_at__isnull=True)
                | Q(status="applied", applied_at__isnull=False),
                name="notice_applied_at_if_applied",
            ),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(status="waiting"), name="notice_to_apply"),
            models.Index(fields=["received_at"], condition=Q(status="parked"), name="notice_parked"),
        ]

    def __str__(self) -> str:
        return f"{self.gateway} {self.provider_id}"
