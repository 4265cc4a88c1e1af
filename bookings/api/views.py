"""Bookings and payments for programs. Views translate; the services decide."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

from django.conf import settings
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ErrorDetail, NotAuthenticated, NotFound, ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bookings.api.glance import refuse_or
from bookings.api.idempotency import answer_again, answer_once
from bookings.api.serializers import (
    HOLD,
    BookingSerializer,
    DetailsSerializer,
    HeldBookingSerializer,
    HoldSerializer,
    PaymentRecordSerializer,
    PaymentSerializer,
    StartPaymentSerializer,
    represent_held,
)
from bookings.buyers import Buyer
from bookings.exceptions import InvalidNotice
from bookings.models import Booking, Payment, User, hash_secret, make_access_token
from bookings.notices import store_notice
from bookings.payments import start_payment
from bookings.permissions import TOKEN_HEADER, booking_tokens, bookings_visible_to
from bookings.querysets import BookingQuerySet, PaymentQuerySet
from bookings.services import (
    HeldBooking,
    change_details,
    extend_hold,
    hold_best_available,
    hold_tickets,
    release_hold,
)
from bookings.tasks import apply_notices
from events.api.parameters import PAGE_PARAMETERS, StrictParameters
from events.models import Event
from events.requests import network_of
from events.statements import columns_of, execute
from events.wake_up import wake_up

EVENT_FIELDS = columns_of(Event, "id", "slug", "max_tickets_per_booking", "max_extensions")
# A rush asks for the same event again and again; all threads share it. Whether it is on sale, and in what
# money, is found out by each hold.
EVENT_SECONDS = 1.0
EVENTS_KEPT = 256
_found_lately: dict[str, tuple[float, Event]] = {}
FIND_EVENT = f"SELECT {', '.join(EVENT_FIELDS)} FROM events_event WHERE slug = %(slug)s"  # noqa: S608
TOKEN = OpenApiParameter(
    TOKEN_HEADER,
    str,
    OpenApiParameter.HEADER,
    description="A guest's proof: the `access_token` from the answer that created the booking.",
)
HOLD_PROBLEMS = ["already_booked", "hold_expired", "booking_closed"]


def account_of(request: Request) -> User | None:
    return request.user if isinstance(request.user, User) else None


def describe(booking_id: UUID, request: Request) -> dict[str, Any]:
    """The booking as it is now, in JSON."""
    booking = Booking.objects.with_details().get(pk=booking_id)
    return BookingSerializer(booking, context={"request": request}).data


class OneBookingView(StrictParameters, APIView):
    """What the views of one booking share: whose it must be, and whose idempotency keys count."""

    def find(self, *, to_change: bool) -> Booking:
        """The booking, if the caller may see or change it. Raises `Http404` otherwise."""
        visible = bookings_visible_to(self.request.user, booking_tokens(self.request), to_change=to_change)
        return get_object_or_404(visible, pk=self.kwargs["booking_id"])

    def caller(self, booking: Booking) -> str:
        """In whose name a key is kept: the account's, else that of whoever has the booking's token."""
        account = account_of(self.request)
        return f"account:{account.pk}" if account else f"token:{booking.access_token_hash}"


class BookingListView(StrictParameters, ListAPIView[Booking]):
    """The account's own bookings, and where new ones are made."""

    serializer_class = BookingSerializer
    cursor_ordering = ("-created_at", "-id")
    filter_backends = []

    @property
    def parameters(self) -> frozenset[str]:  # type: ignore[override]  # Only reading has pages.
        return PAGE_PARAMETERS if self.request.method != "POST" else frozenset()

    def get_queryset(self) -> BookingQuerySet:
        account = account_of(self.request)
        if account is None:
            raise NotAuthenticated
        return Booking.objects.of_account(account).with_details()

    @extend_schema(
        operation_id="bookings",
        tags=["bookings"],
        summary="The account's own bookings, newest first",
        extensions={"x-problems": ["not_authenticated"]},
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="hold_tickets",
        tags=["bookings"],
        summary="Hold tickets for ten minutes",
        description=(
            "Names either certain `tickets`, or a `price_tier` and a `quantity`. All are held, or none. "
            "The answer carries `access_token`, this once: a guest sends it later as `X-Booking-Token`."
        ),
        request=HoldSerializer,
        responses={201: HeldBookingSerializer},
        extensions={
            "x-problems": ["tickets_unavailable", "not_on_sale", "limit_exceeded"],
        },
    )
    def post(self, request: Request) -> Response:
        account = account_of(request)
        address = network_of(request)
        # Guests behind one address are told apart by their programs, as far as that goes.
        guest = hash_secret(f"{request.META.get('REMOTE_ADDR')} {request.META.get('HTTP_USER_AGENT')}")[:32]
        caller = f"account:{account.pk}" if account else f"guest:{guest}"

        def ask_database() -> Response:
            answer = answer_once(
                request,
                caller=caller,
                perform=lambda: self._hold(request, account, address),
                refuse=self.handle_exception,
            )
            if answer.status_code == 201:
                # Added last, so that it is not stored with the answer.
                answer.data["access_token"] = make_access_token(UUID(answer.data["id"]))
            return answer

        if account:
            return ask_database()
        return refuse_or(request, caller=caller, refuse=self.handle_exception, otherwise=ask_database)

    def _hold(self, request: Request, account: User | None, address: str | None) -> Response:
        wish = HOLD.run_validation(request.data)
        email = wish.get("email") or (account.email if account else "")
        held = _hold(find_event(wish["event"]), wish, Buyer(account=account, email=email, address=address))
        return Response(represent_held(held), status=201)


def find_event(slug: str) -> Event:
    """What a hold needs of the event; a draft is found too: it is not on sale, as the box office says."""
    found_at, event = _found_lately.get(slug, (0.0, None))
    now = time.monotonic()
    if event is not None and now - found_at < EVENT_SECONDS:
        return event
    row = execute(FIND_EVENT, {"slug": slug}).fetchone()
    if row is None:
        detail = ErrorDetail(_("There is no such event."), code="does_not_exist")
        raise ValidationError({"event": [detail]})
    if len(_found_lately) >= EVENTS_KEPT:
        _found_lately.clear()
    event = Event.from_db(None, EVENT_FIELDS, row)
    _found_lately[slug] = (now, event)
    return event


def _hold(event: Event, wish: dict[str, Any], buyer: Buyer) -> HeldBooking:
    if "tickets" in wish:
        return hold_tickets(event=event, ticket_ids=wish["tickets"], buyer=buyer)
    return hold_best_available(
        event=event, price_tier_id=wish["price_tier"], quantity=wish["quantity"], buyer=buyer
    )


class BookingView(OneBookingView):
    """One booking: to look at, to fill in, to give up."""

    @extend_schema(
        operation_id="booking",
        tags=["bookings"],
        summary="One booking",
        parameters=[TOKEN],
        responses=BookingSerializer,
        extensions={"x-problems": ["not_found"]},
    )
    def get(self, request: Request, booking_id: UUID) -> Response:
        return Response(describe(self.find(to_change=False).pk, request))

    @extend_schema(
        operation_id="change_details",
        tags=["bookings"],
        summary="Say who buys, and who will use each ticket",
        parameters=[TOKEN],
        request=DetailsSerializer,
        responses=BookingSerializer,
        extensions={"x-problems": ["not_found", "limit_exceeded", *HOLD_PROBLEMS]},
    )
    def patch(self, request: Request, booking_id: UUID) -> Response:
        booking = self.find(to_change=True)
        form = DetailsSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        details = form.validated_data
        change_details(
            booking_id=booking.pk,
            email=details.get("email"),
            name=details.get("name"),
            holder_names={ticket["id"]: ticket["holder_name"] for ticket in details.get("tickets", [])},
        )
        return Response(describe(booking.pk, request))

    @extend_schema(
        operation_id="release_hold",
        tags=["bookings"],
        summary="Give a hold's tickets back at once",
        parameters=[TOKEN],
        responses={204: OpenApiResponse(description="Given back, now or before.")},
        extensions={"x-problems": ["not_found", "already_booked", "booking_closed"]},
    )
    def delete(self, request: Request, booking_id: UUID) -> Response:
        release_hold(booking_id=self.find(to_change=True).pk)
        return Response(status=204)


class ExtendView(OneBookingView):
    @extend_schema(
        operation_id="extend_hold",
        tags=["bookings"],
        summary="Ten more minutes",
        parameters=[TOKEN],
        request=None,
        responses=BookingSerializer,
        extensions={"x-problems": ["not_found", "extension_limit", *HOLD_PROBLEMS]},
    )
    def post(self, request: Request, booking_id: UUID) -> Response:
        booking = self.find(to_change=True)
        _refuse_members(request)
        return answer_once(
            request,
            caller=self.caller(booking),
            perform=lambda: self._extend(booking.pk),
            refuse=self.handle_exception,
        )

    def _extend(self, booking_id: UUID) -> Response:
        extend_hold(booking_id=booking_id)
        return Response(describe(booking_id, self.request))


def _refuse_members(request: Request) -> None:
    """A body is not needed here; one that says something is not ignored in silence."""
    if request.data:
        detail = ErrorDetail(_("There is no such member."), code="unknown")
        raise ValidationError({name: [detail] for name in request.data})


class PaymentListView(OneBookingView, ListAPIView[Payment]):
    """The payments of one booking, and where one is started."""

    serializer_class = PaymentRecordSerializer
    cursor_ordering = ("-created_at", "-id")
    filter_backends = []

    @property
    def parameters(self) -> frozenset[str]:  # type: ignore[override]  # Only reading has pages.
        return PAGE_PARAMETERS if self.request.method != "POST" else frozenset()

    def get_queryset(self) -> PaymentQuerySet:
        return Payment.objects.filter(booking=self.find(to_change=False))

    @extend_schema(
        operation_id="payments",
        tags=["payments"],
        summary="What became of each payment, newest first",
        parameters=[TOKEN],
        extensions={"x-problems": ["not_found"]},
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="start_payment",
        tags=["payments"],
        summary="Start a payment",
        description=(
            "Send the buyer to `redirect_url`. While a payment is open, asking again answers with that one. "
            "A booking that costs nothing is booked at once, and has no `redirect_url`."
        ),
        parameters=[TOKEN],
        request=StartPaymentSerializer,
        responses={201: PaymentSerializer},
        extensions={"x-problems": ["not_found", *HOLD_PROBLEMS]},
    )
    def post(self, request: Request, booking_id: UUID) -> Response:
        booking = self.find(to_change=True)
        return answer_again(
            request,
            caller=self.caller(booking),
            perform=lambda: self._start(request, booking),
            refuse=self.handle_exception,
        )

    def _start(self, request: Request, booking: Booking) -> Response:
        form = StartPaymentSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        payment = start_payment(booking_id=booking.pk, return_url=form.validated_data.get("return_url", ""))
        return Response(PaymentSerializer(payment).data, status=201)


class AnyAccept(BaseContentNegotiation):
    """For files, which come in one form: whatever `Accept` says. Errors about them are JSON."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return next(iter(parsers), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class PaymentNoticeView(APIView):
    """Takes a gateway's signed notice and keeps it; the work that follows is done elsewhere."""

    authentication_classes = []
    throttle_classes = []
    content_negotiation_class = AnyAccept

    @extend_schema(exclude=True)
    def post(self, request: Request, gateway: str) -> Response:
        if gateway not in settings.PAYMENT_GATEWAYS:
            raise NotFound(_("There is no such payment gateway."))
        # The signature covers the bytes as they came, so nothing may parse them first.
        raw = request._request
        try:
            store_notice(gateway=gateway, body=raw.body, headers=raw.headers)
        except InvalidNotice as error:
            raise ValidationError(str(error), code="invalid_notice") from error
        wake_up(apply_notices)
        return Response({"received": True})
