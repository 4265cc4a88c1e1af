"""What each mail says. The text and the HTML are two layouts of one `Letter`.

Everything is read from the booking as it is when the mail is sent; the venue's clock tells the time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from bookings.models import Booking, BookingItem, Refund
from bookings.outbox.models import Mail
from events.models import Event
from events.templatetags.box_office import clock, day, day_and_clock, money, zone_name


@dataclass(frozen=True)
class Letter:
    """A mail's words, before they are laid out."""

    subject: str
    heading: str
    paragraphs: list[str]
    # (label, address): the one thing to do.
    action: tuple[str, str] | None = None
    # (label, value), shown above the event's own facts.
    facts: list[tuple[str, str]] = field(default_factory=list)
    items: list[BookingItem] = field(default_factory=list)
    items_title: str = ""
    closing: list[str] = field(default_factory=list)
    has_pdf: bool = False
    has_calendar: bool = False


@dataclass(frozen=True)
class Matter:
    """What a letter is about. `booking` comes from `with_details()`."""

    mail: Mail
    booking: Booking
    now: datetime
    # The buyer's own way to the booking.
    link: str

    @property
    def event(self) -> Event:
        return self.booking.event

    @property
    def event_link(self) -> str:
        return settings.SITE_URL + self.event.get_absolute_url()

    @property
    def valid_items(self) -> list[BookingItem]:
        return [item for item in self.booking.items.all() if item.refund_id is None]

    def fact(self, name: str) -> Any:
        return self.mail.facts.get(name) or ""

    def named(self, text: str, **more: object) -> str:
        """Fill in the event's title, the reference, and what else is given."""
        return text % ({"event": self.event.title, "reference": self.booking.reference} | more)

    def moment(self, name: str) -> datetime | None:
        """A fact that is a moment."""
        return parse_datetime(str(self.fact(name)))

    def until(self, moment: datetime) -> str:
        """“20:45 (Central European Standard Time)”."""
        venue = self.event.venue
        return f"{clock(moment, venue)} ({zone_name(moment, venue)})"


def write_letter(matter: Matter) -> Letter:
    """The words of a mail."""
    return WRITERS[Mail.Kind(matter.mail.kind)](matter)


# --- Before they are booked -------------------------------------------------------------


def _reserved(matter: Matter) -> Letter:
    booking = matter.booking
    minutes = int((booking.expires_at - matter.now).total_seconds() // 60)
    held = ngettext(
        "Your ticket for %(event)s is held for you until %(time)s.",
        "Your %(number)d tickets for %(event)s are held for you until %(time)s.",
        len(matter.valid_items),
    )
    left = ngettext("That is one more minute.", "That is %(minutes)d more minutes.", minutes)
    return Letter(
        subject=matter.named(_("Your tickets for %(event)s are waiting (%(reference)s)")),
        heading=_("Your tickets are waiting"),
        paragraphs=[
            matter.named(held, number=len(matter.valid_items), time=matter.until(booking.expires_at)),
            left % {"minutes": minutes},
        ],
        action=(_("Go on to payment"), matter.link),
        items=matter.valid_items,
        closing=[
            _("After that they are on sale again. Nothing is charged until you pay."),
            _("If you have given them up, there is nothing that you need to do."),
        ],
    )


def _payment_failed(matter: Matter) -> Letter:
    booking = matter.booking
    paragraphs = [
        matter.named(_("Your payment for %(event)s did not go through, and your tickets are not booked.")),
        _(
            "You are not charged: if your bank shows the amount as kept aside or taken, it comes back "
            "by itself."
        ),
    ]
    if reason := matter.fact("reason"):
        paragraphs.insert(1, _("The reason: %(reason)s") % {"reason": reason})
    if booking.is_hold and booking.expires_at > matter.now:
        time = matter.until(booking.expires_at)
        paragraphs.append(_("The tickets are held for you until %(time)s.") % {"time": time})
        action = (_("Try again"), matter.link)
    else:
        paragraphs.append(_("The tickets are not held for you any more."))
        action = (_("Look for tickets"), matter.event_link)
    return Letter(
        subject=matter.named(_("Your payment for %(event)s did not go through (%(reference)s)")),
        heading=_("Your payment did not go through"),
        paragraphs=paragraphs,
        action=action,
    )


def _expired(matter: Matter) -> Letter:
    return Letter(
        subject=matter.named(_("Your reservation for %(event)s has ended (%(reference)s)")),
        heading=_("Your reservation has ended"),
        paragraphs=[
            matter.named(_("The time to pay for your tickets for %(event)s is over.")),
            _("They are on sale again, and you are not charged."),
            _("If you were just paying, we write again to say what became of it."),
        ],
        action=(_("Look for tickets"), matter.event_link),
    )


# --- Tickets ----------------------------------------------------------------------------


def _booked(matter: Matter) -> Letter:
    number = len(matter.valid_items)
    here = ngettext(
        "Here is your ticket for %(event)s.", "Here are your %(number)d tickets for %(event)s.", number
    )
    total = matter.booking.total
    paid = [(_("Paid"), money(total, matter.booking.currency))] if total else []
    return Letter(
        subject=matter.named(_("Your tickets for %(event)s (%(reference)s)")),
        heading=ngettext("Your ticket is booked", "Your tickets are booked", number),
        paragraphs=[matter.named(here, number=number), _show_them()],
        action=(_("Show my tickets"), matter.link),
        facts=paid,
        items=matter.valid_items,
        closing=[_find_again(), _keep_private()],
        has_pdf=True,
        has_calendar=True,
    )


def _reminder(matter: Matter) -> Letter:
    starts_at, venue = matter.event.starts_at, matter.event.venue
    return Letter(
        subject=matter.named(_("%(day)s: %(event)s (%(reference)s)"), day=day(starts_at, venue)),
        heading=_("It is almost time"),
        paragraphs=[
            matter.named(
                _("%(event)s begins on %(day)s at %(time)s."),
                day=day(starts_at, venue),
                time=matter.until(starts_at),
            ),
            _show_them(),
        ],
        action=(_("Show my tickets"), matter.link),
        items=matter.valid_items,
        closing=[_find_again(), _keep_private()],
        has_pdf=True,
    )


def _show_them() -> str:
    return _(
        "Show your tickets at the door, on your phone or printed. They are attached, and behind this link."
    )


def _find_again() -> str:
    return _(
        "If the page does not open, choose “Find my booking” at %(address)s and give the reference "
        "above and this e-mail address."
    ) % {"address": settings.SITE_URL + reverse("bookings:find")}


def _keep_private() -> str:
    return _("Whoever has this mail has your tickets: pass it on only to those who come with you.")


# --- Money back -------------------------------------------------------------------------


def _refunded(matter: Matter) -> Letter:
    refund = _refund(matter)
    items = list(refund.items.all()) if refund else []
    if refund and not items:
        # Money that came when the tickets were gone.
        begin = _("Your payment for %(event)s came too late, and bought no tickets.")
    else:
        begin = _("Tickets of your booking for %(event)s were returned.")
    has_money = bool(refund and refund.amount)
    return Letter(
        subject=matter.named(_("Your refund for %(event)s (%(reference)s)")),
        heading=_("Your money is on its way back") if has_money else _("Your tickets were returned"),
        paragraphs=[matter.named(begin), *_still_valid(matter), *_why_back(refund), *_when_back(refund)],
        action=(_("Show my booking"), matter.link),
        facts=_money_back(refund),
        items=items,
        items_title=_("Returned"),
        closing=[_("The codes of returned tickets no longer open any door.")] if items else [],
    )


def _refund(matter: Matter) -> Refund | None:
    """The refund that a mail is about, with its tickets."""
    refund_id = str(matter.fact("refund"))
    if not refund_id:
        return None
    rows = matter.booking.refunds.prefetch_related("items__ticket__seat", "items__price_tier")
    return rows.filter(pk=refund_id).first()


def _still_valid(matter: Matter) -> list[str]:
    number = len(matter.valid_items)
    if matter.booking.status != Booking.Status.BOOKED or not number:
        return []
    left = ngettext(
        "%(number)d ticket of this booking is still valid.",
        "%(number)d tickets of this booking are still valid.",
        number,
    )
    return [left % {"number": number}]


def _why_back(refund: Refund | None) -> list[str]:
    if refund is None or not refund.reason:
        return []
    return [_("The reason: %(reason)s") % {"reason": refund.reason}]


def _when_back(refund: Refund | None) -> list[str]:
    if refund is None or not refund.amount:
        return []
    return [
        _(
            "The money goes back the way you paid, and can take up to ten days to arrive, depending on "
            "your bank."
        )
    ]


def _money_back(refund: Refund | None) -> list[tuple[str, str]]:
    if refund is None:
        return []
    rows = [(_("Given back"), refund.amount), (_("Fee kept"), refund.fee)]
    return [(label, money(amount, refund.currency)) for label, amount in rows if amount]


# --- News of the event ------------------------------------------------------------------


def _event_changed(matter: Matter) -> Letter:
    return Letter(
        subject=matter.named(_("Changed: %(event)s (%(reference)s)")),
        heading=_("Your event has changed"),
        paragraphs=[
            matter.named(_("The time or the place of %(event)s is not what it was when you booked.")),
            *_reason(matter),
            _("Your tickets stay valid. How it is now you see below."),
            *_may_return(matter),
        ],
        action=(_("Show my booking"), matter.link),
        facts=_before(matter),
        items=matter.valid_items,
        has_calendar=True,
    )


def _event_postponed(matter: Matter) -> Letter:
    starts_at, venue = matter.event.starts_at, matter.event.venue
    has_new_date = matter.event.status != Event.Status.POSTPONED
    if has_new_date:
        subject, heading = _("New date: %(event)s (%(reference)s)"), _("Your event has a new date")
        news = _("%(event)s now takes place on %(day)s at %(time)s. Your tickets are valid for that day.")
    else:
        subject, heading = _("Postponed: %(event)s (%(reference)s)"), _("Your event is postponed")
        news = _("%(event)s is postponed. Keep your tickets: they stay valid, and we write again.")
    return Letter(
        subject=matter.named(subject),
        heading=heading,
        paragraphs=[
            matter.named(news, day=day(starts_at, venue), time=matter.until(starts_at)),
            *_reason(matter),
            *_may_return(matter),
        ],
        action=(_("Show my booking"), matter.link),
        facts=_before(matter),
        items=matter.valid_items,
        has_calendar=has_new_date,
    )


def _event_cancelled(matter: Matter) -> Letter:
    refund = _refund(matter)
    return Letter(
        subject=matter.named(_("Cancelled: %(event)s (%(reference)s)")),
        heading=_("Your event is cancelled"),
        paragraphs=[
            matter.named(_("We are sorry: %(event)s will not take place, and your tickets are not valid.")),
            *_reason(matter),
            *_when_back(refund),
        ],
        action=(_("Show my booking"), matter.link),
        facts=_money_back(refund),
        items=list(refund.items.all()) if refund is not None else [],
    )


def _reason(matter: Matter) -> list[str]:
    return [str(reason)] if (reason := matter.fact("reason")) else []


def _may_return(matter: Matter) -> list[str]:
    until = matter.moment("refunds_until")
    if until is None:
        return []
    return [
        _("If you cannot come, return your tickets without a fee, on your booking's page, until %(time)s.")
        % {"time": f"{day_and_clock(until, matter.event.venue)} ({zone_name(until, matter.event.venue)})"}
    ]


def _before(matter: Matter) -> list[tuple[str, str]]:
    """What was booked and is not so any more."""
    venue, event = matter.event.venue, matter.event
    facts = []
    old = matter.moment("old_starts_at")
    if old is not None and (old != event.starts_at or event.status == Event.Status.POSTPONED):
        facts.append((_("Before"), f"{day(old, venue)}, {clock(old, venue)}"))
    old_doors = matter.moment("old_doors_at")
    if old_doors is not None and event.doors_at is not None and old_doors - event.doors_at and not facts:
        facts.append((_("Doors before"), clock(old_doors, venue)))
    old_venue = str(matter.fact("old_venue"))
    if old_venue and old_venue != venue.name:
        facts.append((_("Before at"), old_venue))
    return facts


WRITERS: dict[Mail.Kind, Callable[[Matter], Letter]] = {
    Mail.Kind.RESERVED: _reserved,
    Mail.Kind.PAYMENT_FAILED: _payment_failed,
    Mail.Kind.EXPIRED: _expired,
    Mail.Kind.BOOKED: _booked,
    Mail.Kind.REMINDER: _reminder,
    Mail.Kind.REFUNDED: _refunded,
    Mail.Kind.EVENT_CHANGED: _event_changed,
    Mail.Kind.EVENT_POSTPONED: _event_postponed,
    Mail.Kind.EVENT_CANCELLED: _event_cancelled,
}
