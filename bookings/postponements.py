"""Postponed and changed events: who booked is told, in the transaction of the change."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import uuid4

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.dispatch import receiver
from django.utils.translation import gettext as _

from bookings.models import Booking
from bookings.outbox.models import Mail
from bookings.outbox.services import queue_mails
from bookings.querysets import BookingQuerySet
from events import services as event_services
from events.exceptions import WrongStatus
from events.models import Event
from events.services import NewDate
from events.signals import event_moved


def postpone_event(
    event: Event,
    *,
    new_date: NewDate | None = None,
    free_refunds_until: datetime | None = None,
    message: str = "",
) -> Event:
    """Postpone the event, or set the date that it moves to; everybody who booked is mailed.

    Without a date its sale stops until there is one. With a date it is on sale, postponed before or
    not. Until `free_refunds_until`, where it is given, buyers return tickets without a fee. Returns the
    event as it is now. Raises `WrongStatus` where the step does not fit, also for the date that it has
    already, and `ImpossibleTimes`. Locks the event.
    """
    with transaction.atomic():
        before = _lock(event)
        if new_date is None:
            now = event_services.postpone_event(before, free_refunds_until=free_refunds_until)
        else:
            _refuse_same_date(before, new_date)
            now = event_services.set_new_date(before, new_date, free_refunds_until=free_refunds_until)
        facts = _facts(before, now, reason=message)
        queue_mails(Mail.Kind.EVENT_POSTPONED, buyers_of(now), key=uuid4().hex, facts=facts)
    return now


def buyers_of(event: Event) -> BookingQuerySet:
    """The bookings whose buyers are told about the event, as far as they left an address."""
    return Booking.objects.filter(event=event, status=Booking.Status.BOOKED).exclude(email="")


def _lock(event: Event) -> Event:
    rows = Event.objects.select_related("venue").select_for_update(no_key=True, of=("self",))
    return rows.get(pk=event.pk)


def _refuse_same_date(event: Event, date: NewDate) -> None:
    """A second click must not tell everybody twice."""
    is_same = (event.starts_at, event.ends_at, event.doors_at) == (
        date.starts_at,
        date.ends_at,
        date.doors_at,
    )
    if is_same and event.status == Event.Status.PUBLISHED:
        raise WrongStatus(_("The event takes place on this date already."))


def _facts(before: Event, now: Event, *, reason: str = "") -> dict[str, Any]:
    """What a mail says beyond the booking: when and where it would have been, why, and until when a
    ticket can be returned without a fee."""
    more = {"reason": " ".join(reason.split()), "refunds_until": now.free_refunds_until}
    return _whereabouts(before) | more


def _whereabouts(event: Event) -> dict[str, Any]:
    return {
        "old_starts_at": event.starts_at,
        "old_ends_at": event.ends_at,
        "old_doors_at": event.doors_at,
        "old_venue": event.venue.name,
    }


# --- Changed, without being postponed ---------------------------------------------------


@receiver(event_moved)
def tell_of_move(event: Event, before: Event, **_signal: object) -> None:
    """Mail everybody who booked an event that has another time or place than before.

    Whoever is just about to be mailed of an earlier change is mailed once: a mail is written from the
    facts of the moment when it is sent, and remembers what its buyer was told last.
    """
    if event.status in {Event.Status.DRAFT, Event.Status.CANCELLED}:
        return
    waiting = _lock_waiting_mails(event)
    buyers = buyers_of(event).exclude(pk__in=[mail.booking_id for mail in waiting])
    queue_mails(Mail.Kind.EVENT_CHANGED, buyers, key=uuid4().hex, facts=_facts(before, event))
    _drop_if_changed_back(event, waiting)


def _lock_waiting_mails(event: Event) -> list[Mail]:
    """The mails of earlier changes that nobody has begun to send, nor will before this transaction ends."""
    is_unclaimed = Q(claimed_until=None) | Q(claimed_until__lte=Now())
    mails = Mail.objects.filter(
        is_unclaimed, kind=Mail.Kind.EVENT_CHANGED, state=Mail.State.WAITING, booking__event=event
    )
    return list(mails.order_by("pk").select_for_update(skip_locked=True, of=("self",)))


def _drop_if_changed_back(event: Event, mails: list[Mail]) -> None:
    """Take back the mails about an event that is again as their buyers know it."""
    now = json.loads(json.dumps(_whereabouts(event), cls=DjangoJSONEncoder))
    needless = [mail.pk for mail in mails if now.items() <= mail.facts.items()]
    Mail.objects.filter(pk__in=needless).update(
        state=Mail.State.DROPPED, error=_("The event was changed back before the mail was sent.")
    )
