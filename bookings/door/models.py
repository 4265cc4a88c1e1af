"""What happened at the doors."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from bookings.door.querysets import ScanQuerySet
from bookings.models import BookingItem, User
from events.models import Event


class Scan(models.Model):
    """A code held up at a door, and what came of it. Rows are only ever added; a trigger sees to it.

    Whether a ticket is used is not said here but by `BookingItem.checked_in_at`. The id is made by
    the device, so that a scan that is sent twice counts once.
    """

    class Result(models.TextChoices):
        ADMITTED = "admitted", _("admitted")
        ALREADY_USED = "already_used", _("already used")
        REFUNDED = "refunded", _("refunded")
        WRONG_EVENT = "wrong_event", _("wrong event")
        UNKNOWN = "unknown", _("not a ticket")
        UNDONE = "undone", _("undone")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    event = models.ForeignKey(Event, models.PROTECT, related_name="scans", verbose_name=_("event"))
    item = models.ForeignKey(
        BookingItem,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="scans",
        verbose_name=_("booked ticket"),
    )
    code = models.CharField(_("code as read"), max_length=200)
    door = models.CharField(_("door"), max_length=80)
    device = models.CharField(_("device"), max_length=80, blank=True)
    scanned_by = models.ForeignKey(User, models.PROTECT, related_name="+", verbose_name=_("scanned by"))
    scanned_at = models.DateTimeField(
        _("scanned"), help_text=_("By the device’s clock, never in the future.")
    )
    recorded_at = models.DateTimeField(_("recorded"), db_default=Now(), editable=False)
    result = models.CharField(_("result"), max_length=12, choices=Result.choices)
    # An offline door decides alone, so that people may have gone in whom `result` refuses.
    is_offline = models.BooleanField(_("offline"), default=False)
    let_in = models.BooleanField(_("went in"), default=False)
    undoes = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="undone_by", verbose_name=_("undoes")
    )

    objects = ScanQuerySet.as_manager()

    class Meta:
        ordering = ["-recorded_at", "-scanned_at", "id"]
        verbose_name = _("scan")
        verbose_name_plural = _("scans")
        permissions = [("check_in", _("Can check tickets in at the door"))]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    result__in=["admitted", "already_used", "refunded", "wrong_event", "unknown", "undone"]
                ),
                name="scan_result_valid",
            ),
            models.CheckConstraint(
                condition=Q(item__isnull=False) | Q(result="unknown"), name="scan_item_if_known"
            ),
            models.CheckConstraint(
                condition=Q(result="admitted", let_in=True)
                | (~Q(result="admitted") & Q(let_in=False))
                | (~Q(result__in=["admitted", "undone"]) & Q(is_offline=True)),
                name="scan_let_in_if_admitted",
            ),
            models.CheckConstraint(
                condition=Q(result="undone", undoes__isnull=False)
                | (~Q(result="undone") & Q(undoes__isnull=True)),
                name="scan_undoes_if_undone",
            ),
            models.UniqueConstraint(fields=["undoes"], name="scan_undone_once"),
        ]
        indexes = [
            models.Index(fields=["event", "-recorded_at"], name="scan_of_event"),
            models.Index(
                fields=["item", "-recorded_at"], condition=Q(result="admitted"), name="scan_admission_of_item"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} ({self.result})"

    @property
    def is_double_entry(self) -> bool:
        """Whether somebody went in, offline, whom we would have refused."""
        return self.let_in and self.result != self.Result.ADMITTED
