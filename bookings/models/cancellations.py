"""Cancelled events, and how far their buyers have their money back."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from bookings.models.accounts import User
from bookings.models.bookings import Booking
from events.models import Event


class EventCancellation(models.Model):
    """The job that gives every buyer of a cancelled event their money back, once.

    How far it is can be seen from the bookings themselves: it is done when none is booked any
    more and none is being paid for, so it can be killed and taken up again anywhere.
    """

    class Status(models.TextChoices):
        RUNNING = "running", _("running")
        DONE = "done", _("done")

    event = models.OneToOneField(Event, models.PROTECT, related_name="cancellation", verbose_name=_("event"))
    status = models.CharField(_("status"), max_length=7, choices=Status.choices, default=Status.RUNNING)
    reason = models.CharField(_("reason, for the buyers"), max_length=200, blank=True)
    requested_by = models.ForeignKey(
        User, models.PROTECT, null=True, related_name="+", verbose_name=_("asked for by")
    )
    # As many as were booked when it began.
    bookings_total = models.PositiveIntegerField(_("bookings"))
    created_at = models.DateTimeField(_("begun"), auto_now_add=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("cancellation")
        verbose_name_plural = _("cancellations")
        constraints = [
            models.CheckConstraint(
                condition=Q(status="running", finished_at__isnull=True)
                | Q(status="done", finished_at__isnull=False),
                name="cancellation_finished_at_if_done",
            ),
        ]

    def __str__(self) -> str:
        return str(self.event)


class CancellationProblem(models.Model):
    """Why a booking of a cancelled event could not be refunded yet, for a person to look at.

    It counts while the booking is booked; the job tries on.
    """

    cancellation = models.ForeignKey(
        EventCancellation, models.CASCADE, related_name="problems", verbose_name=_("cancellation")
    )
    booking = models.OneToOneField(
        Booking, models.PROTECT, related_name="cancellation_problem", verbose_name=_("booking")
    )
    problem = models.CharField(_("problem"), max_length=300)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), default=timezone.now)

    class Meta:
        ordering = ["cancellation", "pk"]
        verbose_name = _("booking that could not be refunded")
        verbose_name_plural = _("bookings that could not be refunded")

    def __str__(self) -> str:
        return self.problem
