"""A booking in the browser: choose, hold, say who, pay, and come back for the tickets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST, require_safe

from bookings import access
from bookings.access import AccountRequest
from bookings.exceptions import (
    AlreadyBooked,
    BookingClosed,
    BoxOfficeError,
    HoldExpired,
    LimitExceeded,
    TicketsUnavailable,
)
from bookings.forms import ChoiceForm, DetailsForm, FindForm, KeyForm
from bookings.keys import make_key, revoke_key
from bookings.limits import is_too_often
from bookings.models import ApiKey, Booking, Payment
from bookings.outbox.views import mail_context
from bookings.payments import settle_payment, start_payment
from bookings.refund_views import returns_context
from bookings.refusals import explain
from bookings.services import (
    change_details,
    extend_hold,
    hold_best_available,
    hold_tickets,
    release_hold,
    suggest_instead,
)
from bookings.tickets_files import (
    has_calendar,
    live_items,
    qr_data_uri,
    qr_png,
    qr_svg,
    tickets_calendar,
    tickets_pdf,
)
from events.hall import Wish, name_tickets
from events.models import Event
from events.requests import HtmxHttpRequest, network_of
from events.views import event_page

BOOKINGS_PER_PAGE = 20
# A reference is short, so guessing is made slow: per network address and per e-mail address.
FINDS_PER_MINUTE = 5
FINDS_PER_HOUR_AND_EMAIL = 20


# --- Choosing ---------------------------------------------------------------------------


@require_POST
def hold(request: HtmxHttpRequest, slug: str) -> HttpResponse:
    """Hold the chosen tickets, or bring the event's page back with what was chosen."""
    event = get_object_or_404(Event.objects.published().for_listing(), slug=slug)
    form = ChoiceForm(_choice_data(request))
    if not form.is_valid():
        reason = " ".join(str(text) for found in form.errors.values() for text in found)
        return event_page(request, event, wish=Wish(refusal=reason), status=400)
    choice = form.cleaned_data
    try:
        if choice["tickets"]:
            held = hold_tickets(event=event, ticket_ids=choice["tickets"], buyer=access.buyer_of(request))
        else:
            held = hold_best_available(
                event=event,
                price_tier_id=choice["price_tier"],
                quantity=choice["quantity"],
                buyer=access.buyer_of(request),
            )
    except BoxOfficeError as refusal:
        return event_page(request, event, wish=_refused_wish(choice, refusal), status=409)
    access.remember_hold(request, held)
    return redirect(held.booking)


def _choice_data(request: HttpRequest) -> dict[str, Any]:
    post = request.POST
    return {
        "tickets": post.getlist("tickets"),
        "price_tier": post.get("price_tier"),
        "quantity": post.get("quantity"),
    }


def _refused_wish(choice: Mapping[str, Any], refusal: BoxOfficeError) -> Wish:
    lost, suggestion = [], []
    if isinstance(refusal, TicketsUnavailable):
        lost, suggestion = refusal.unavailable, refusal.suggestion
    return Wish(
        ticket_ids=choice["tickets"],
        price_tier_id=choice["price_tier"],
        quantity=choice["quantity"],
        refusal=explain(refusal),
        lost=lost,
        suggestion=suggestion,
    )


# --- The hold ---------------------------------------------------------------------------


@never_cache
@require_safe
def detail(request: HttpRequest, booking_id: UUID) -> HttpResponse:
    """The booking as it stands: still to be paid, booked, or over. `?token=` is a proof from a mail."""
    if token := request.GET.get("token"):
        booking = Booking.objects.filter(pk=booking_id).first()
        if booking is not None and access.is_proof(booking, token):
            access.grant(request, booking_id)
        # Whatever it was, the secret leaves the address bar.
        return redirect("bookings:detail", booking_id)
    booking = access.get_booking(request, booking_id)
    if booking.current_status == Booking.Status.RESERVED:
        access.show_hold_everywhere(request.session, booking)
        return _hold_page(request, booking, DetailsForm(booking))
    access.forget_hold(request.session, booking.pk)
    if booking.status in {Booking.Status.BOOKED, Booking.Status.CANCELLED, Booking.Status.REFUNDED}:
        context = {
            "booking": booking,
            "venue": booking.event.venue,
            **returns_context(booking),
            **mail_context(booking),
        }
        return render(request, "bookings/booked.html", context)
    return _closed_page(request, booking)


def _hold_page(request: HttpRequest, booking: Booking, form: DetailsForm, status: int = 200) -> HttpResponse:
    context = _clock_context(booking) | {"form": form, "payment": _last_payment(booking)}
    return render(request, "bookings/hold.html", context, status=status)


def _clock_context(booking: Booking) -> dict[str, Any]:
    left = booking.expires_at - booking.database_now
    return {
        "booking": booking,
        "venue": booking.event.venue,
        "milliseconds_left": max(0, int(left.total_seconds() * 1000)),
        "minutes_left": max(1, round(left.total_seconds() / 60)),
    }


def _last_payment(booking: Booking) -> Payment | None:
    """The newest attempt; `with_details()` has them newest first."""
    return next(iter(booking.payments.all()), None)


def _closed_page(request: HttpRequest, booking: Booking) -> HttpResponse:
    """What became of the booking, and the same tickets again, or ones near them."""
    event = Event.objects.published().with_sale_facts().filter(pk=booking.event_id).first()
    wanted = [item.ticket_id for item in booking.items.all()]
    offer: list[int] = []
    if event is not None and event.is_on_sale:
        lost = set(wanted) - set(event.tickets.available().filter(pk__in=wanted).values_list("pk", flat=True))
        offer = suggest_instead(event, wanted, sorted(lost)) if lost else wanted
    context = {
        "booking": booking,
        "event": booking.event,
        "venue": booking.event.venue,
        "payment": _last_payment(booking),
        "offer": name_tickets(booking.event, offer),
        "is_same": offer == wanted,
    }
    return render(request, "bookings/closed.html", context)


@require_POST
def extend(request: HtmxHttpRequest, booking_id: UUID) -> HttpResponse:
    """Ten more minutes. What was typed in the meantime is kept as far as it is valid."""
    booking = access.get_booking(request, booking_id, to_change=True)
    try:
        _keep_typed(booking, DetailsForm(booking, request.POST))
        extend_hold(booking_id=booking_id)
    except BoxOfficeError as refusal:
        messages.error(request, explain(refusal))
    else:
        messages.success(request, _("You have ten more minutes."))
    if request.htmx:
        booking = access.get_booking(request, booking_id)
        access.show_hold_everywhere(request.session, booking)
        return render(request, "bookings/_clock.html", _clock_context(booking))
    return redirect("bookings:detail", booking_id)


def _keep_typed(booking: Booking, form: DetailsForm) -> None:
    form.is_valid()
    try:
        change_details(booking_id=booking.pk, **form.details())
    except LimitExceeded:
        # The address is refused again when it matters, with the reason beside the field.
        return


@require_POST
def release(request: HttpRequest, booking_id: UUID) -> HttpResponse:
    """Give the tickets back and return to the event."""
    booking = access.get_booking(request, booking_id, to_change=True)
    try:
        release_hold(booking_id=booking_id)
    except (AlreadyBooked, BookingClosed) as refusal:
        messages.error(request, explain(refusal))
        return redirect("bookings:detail", booking_id)
    access.forget_hold(request.session, booking_id)
    messages.success(request, _("You gave the tickets back. Nothing is held, and nothing was charged."))
    return redirect(booking.event)


# --- Paying -----------------------------------------------------------------------------


@require_POST
def pay(request: HttpRequest, booking_id: UUID) -> HttpResponse:
    """Keep the details, then send the buyer to the payment provider."""
    booking = access.get_booking(request, booking_id, to_change=True)
    form = DetailsForm(booking, request.POST)
    if booking.current_status != Booking.Status.RESERVED:
        return redirect("bookings:detail", booking_id)
    if not form.is_valid():
        return _hold_page(request, booking, form, status=400)
    try:
        change_details(booking_id=booking_id, **form.details())
        payment = start_payment(booking_id=booking_id)
    except (AlreadyBooked, BookingClosed, HoldExpired):
        return redirect("bookings:detail", booking_id)
    except BoxOfficeError as refusal:
        form.add_error("email" if isinstance(refusal, LimitExceeded) else None, explain(refusal))
        return _hold_page(request, booking, form, status=409)
    return redirect(payment.redirect_url or reverse("bookings:returned", args=[booking_id]))


@never_cache
@require_GET
def returned(request: HttpRequest, booking_id: UUID) -> HttpResponse:
    """Where the payment provider sends the buyer back to: ask it what happened, then say so."""
    booking = access.get_booking(request, booking_id)
    payment = _last_payment(booking)
    if payment is not None and settle_payment(payment.pk).status == Payment.Status.PENDING:
        messages.warning(
            request,
            _(
                "We have not heard that your payment went through. "
                "You can go on paying, or look again in a moment."
            ),
        )
    return redirect("bookings:detail", booking_id)


# --- Finding again ----------------------------------------------------------------------


@login_required
@never_cache
@require_safe
def listing(request: AccountRequest) -> HttpResponse:
    """The account's bookings, newest first."""
    account = request.user
    bookings = Booking.objects.of_account(account).for_listing()
    page = Paginator(bookings, BOOKINGS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "previous_url": f"?page={page.previous_page_number()}" if page.has_previous() else "",
        "next_url": f"?page={page.next_page_number()}" if page.has_next() else "",
    }
    return render(request, "bookings/list.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def find(request: HttpRequest) -> HttpResponse:
    """Reference and e-mail address let this browser see a booking. Unknown ones all get one answer."""
    form = FindForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return render(request, "bookings/find.html", {"form": form}, status=400 if form.errors else 200)
    if _finds_too_often(request, form.cleaned_data["email"]):
        form.add_error(None, _("That was a few tries too many. Please wait a minute."))
        return render(request, "bookings/find.html", {"form": form}, status=429)
    booking = Booking.objects.filter(
        reference=form.cleaned_data["reference"], email__iexact=form.cleaned_data["email"]
    ).first()
    if booking is None:
        form.add_error(None, _("There is no booking with this reference and this e-mail address."))
        return render(request, "bookings/find.html", {"form": form}, status=404)
    access.grant(request, booking.pk)
    return redirect(booking)


def _finds_too_often(request: HttpRequest, email: str) -> bool:
    # Both are counted each time, so that neither hides the other.
    by_address = is_too_often(f"find:address:{network_of(request)}", FINDS_PER_MINUTE, seconds=60)
    by_email = is_too_often(f"find:email:{email}", FINDS_PER_HOUR_AND_EMAIL, seconds=3600)
    return by_address or by_email


# --- Tickets to keep --------------------------------------------------------------------


TICKET_PICTURES = {"svg": (qr_svg, "image/svg+xml"), "png": (qr_png, "image/png")}


def _live(request: HttpRequest, booking_id: UUID) -> Booking:
    """The booking if it has valid tickets, or `Http404`: there are none before it is booked."""
    booking = access.get_booking(request, booking_id)
    if not live_items(booking):
        raise Http404
    return booking


@never_cache
@require_safe
def ticket(request: HttpRequest, booking_id: UUID, ticket_id: int) -> HttpResponse:
    """One ticket, to be shown at the door on a phone; also what became of one that is no longer valid."""
    booking = access.get_booking(request, booking_id)
    items = list(booking.items.all()) if booking.booked_at is not None else []
    number = next((place for place, item in enumerate(items) if item.ticket_id == ticket_id), None)
    if number is None:
        raise Http404
    item = items[number]
    is_live = item in live_items(booking)
    context = {
        "booking": booking,
        "venue": booking.event.venue,
        "item": item,
        "is_live": is_live,
        "qr": qr_data_uri(item) if is_live else "",
        "number": number + 1,
        "count": len(items),
        "previous": items[number - 1] if number else None,
        "next": items[number + 1] if number + 1 < len(items) else None,
    }
    return render(request, "bookings/ticket.html", context)


@never_cache
@require_safe
def pdf(request: HttpRequest, booking_id: UUID) -> HttpResponse:
    booking = _live(request, booking_id)
    return _download(tickets_pdf(booking), "application/pdf", f"{booking.reference}.pdf")


@never_cache
@require_safe
def calendar(request: HttpRequest, booking_id: UUID) -> HttpResponse:
    """The calendar entry; of a booking that is over, the one that strikes it out."""
    booking = access.get_booking(request, booking_id)
    if not has_calendar(booking):
        raise Http404
    return _download(tickets_calendar(booking), "text/calendar; charset=utf-8", f"{booking.reference}.ics")


@never_cache
@require_safe
def qr(request: HttpRequest, booking_id: UUID, ticket_id: int, kind: str) -> HttpResponse:
    """The code of one valid ticket as a picture."""
    items = {item.ticket_id: item for item in live_items(_live(request, booking_id))}
    if ticket_id not in items:
        raise Http404
    draw, content_type = TICKET_PICTURES[kind]
    return HttpResponse(draw(items[ticket_id]), content_type=content_type)


def _download(content: bytes, content_type: str, name: str) -> HttpResponse:
    disposition = f'attachment; filename="{name}"'
    return HttpResponse(content, content_type=content_type, headers={"Content-Disposition": disposition})


# --- Keys for programs ------------------------------------------------------------------


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def keys(request: AccountRequest) -> HttpResponse:
    """The account's keys. A new one is shown in the answer that makes it, and never again."""
    account = request.user
    form = KeyForm(request.POST or None)
    secret = ""
    if request.method == "POST" and form.is_valid():
        _key, secret = make_key(account=account, name=form.cleaned_data["name"])
        form = KeyForm()
    context = {"form": form, "secret": secret, "keys": ApiKey.objects.filter(account=account)}
    return render(request, "bookings/keys.html", context, status=400 if form.errors else 200)


@login_required
@require_POST
def revoke(request: AccountRequest, key_id: int) -> HttpResponse:
    account = request.user
    revoke_key(account=account, key_id=key_id)
    messages.success(request, _("The key is revoked. Programs that use it are refused from now on."))
    return redirect("bookings:keys")
