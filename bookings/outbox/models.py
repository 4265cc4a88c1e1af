"""The outbox: each mail to a buyer, from the moment that something happened until it is sent."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from bookings.models import Booking
from bookings.outbox.querysets import MailQuerySet

# Between the key of a mail and the number of the one that repeats it.
AGAIN = " #"


class Mail(models.Model):
    """One mail about a booking. It is written only when it is sent, from the booking as it is then.

    `key` says what it is about; the database takes each key once, so nothing is mailed twice
    because it was noticed twice. What was sent is kept, but for the links' secrets.
    """

    class Kind(models.TextChoices):
        RESERVED = "reserved", _("tickets reserved")
        BOOKED = "booked", _("tickets booked")
        PAYMENT_FAILED = "payment_failed", _("payment failed")
        EXPIRED = "expired", _("reservation ended")
        REFUNDED = "refunded", _("money given back")
        EVENT_CHANGED = "event_changed", _("event changed")
        EVENT_POSTPONED = "event_postponed", _("event postponed")
        EVENT_CANCELLED = "event_cancelled", _("event cancelled")
        REMINDER = "reminder", _("reminder")

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        SENT = "sent", _("sent")
        FAILED = "failed", _("failed")
        DROPPED = "dropped", _("not needed any more")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(_("kind"), max_length=15, choices=Kind.choices, editable=False)
    booking = models.ForeignKey(
        Booking, models.PROTECT, related_name="mails", verbose_name=_("booking"), editable=False
    )
    key = models.CharField(max_length=400, editable=False)
    # What the text needs beyond the booking, such as the date that an event was moved from.
    facts = models.JSONField(_("facts"), default=dict, blank=True, encoder=DjangoJSONEncoder, editable=False)
    # Those of an event's many buyers wait behind what one buyer did just now.
    is_bulk = models.BooleanField(_("one of many"), default=False, editable=False)
    state = models.CharField(
        _("state"), max_length=7, choices=State.choices, default=State.WAITING, editable=False
    )
    attempts = models.PositiveIntegerField(_("attempts"), default=0, editable=False)
    next_attempt_at = models.DateTimeField(_("next attempt"), default=timezone.now, editable=False)
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
    # Why it was not sent: what the mail server said, or why it was not needed any more.
    error = models.CharField(_("why not sent"), max_length=500, blank=True, editable=False)
    to = models.EmailField(_("sent to"), blank=True, editable=False)
    subject = models.CharField(_("subject"), max_length=300, blank=True, editable=False)
    text = models.TextField(_("text"), blank=True, editable=False)
    html = models.TextField(_("HTML"), blank=True, editable=False)
    message_id = models.CharField(_("Message-ID"), max_length=300, blank=True, editable=False)
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("made"), default=timezone.now, editable=False)

    objects = MailQuerySet.as_manager()

    if TYPE_CHECKING:
        # Annotated by MailQuerySet.due().
        database_now: datetime

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name = _("mail")
        verbose_name_plural = _("mails")
        constraints = [
            models.UniqueConstraint(fields=["key"], name="mail_once_per_occasion"),
            models.CheckConstraint(
                condition=Q(
                    kind__in=[
                        "reserved",
                        "booked",
                        "payment_failed",
                        "expired",
                        "refunded",
                        "event_changed",
                        "event_postponed",
                        "event_cancelled",
                        "reminder",
                    ]
                ),
                name="mail_kind_valid",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "sent", "failed", "dropped"]), name="mail_state_valid"
            ),
            models.CheckConstraint(
                condition=(Q(state="sent", sent_at__isnull=False) & ~Q(to=""))
                | (~Q(state="sent") & Q(sent_at__isnull=True)),
                name="mail_sent_to_someone_if_sent",
            ),
        ]
        indexes = [
            models.Index(
                fields=["is_bulk", "next_attempt_at"], condition=Q(state="waiting"), name="mail_to_send"
            ),
            models.Index(
                fields=["claimed_until"], condition=Q(claimed_until__isnull=False), name="mail_claimed"
            ),
            models.Index(fields=["-created_at", "-id"], name="mail_newest"),
            models.Index(fields=["created_at"], condition=Q(state="failed"), name="mail_failed"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} ({self.get_state_display()})"

    @property
    def first_key(self) -> str:
        """The key of the mail that this one repeats, or its own."""
        return self.key.partition(AGAIN)[0]

    @property
    def occasion(self) -> str:
        """What `queue_mail` was given as `key`: what tells this mail from others of its kind."""
        return self.first_key.split(":", 2)[2]
