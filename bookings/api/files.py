"""Tickets to take along, as files, and the key that proves them at a door."""

from __future__ import annotations

import base64
from uuid import UUID

from django.http import HttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bookings.api.views import TOKEN, AnyAccept, OneBookingView
from bookings.codes import ALGORITHM, public_key
from bookings.models import Booking, BookingItem
from bookings.tickets_files import (
    has_calendar,
    live_items,
    qr_png,
    qr_svg,
    tickets_calendar,
    tickets_pdf,
)
from events.api.parameters import StrictParameters


class FileView(OneBookingView):
    """A file of a booked booking; before it is booked there is none, nor once all is given back."""

    content_negotiation_class = AnyAccept

    def find_details(self) -> Booking:
        visible = self.find(to_change=False)
        return Booking.objects.with_details().get(pk=visible.pk)

    def find_live(self) -> Booking:
        booking = self.find_details()
        if not live_items(booking):
            raise NotFound(_("This booking has no valid tickets: it is not paid for, or no longer."))
        return booking

    def find_item(self, ticket_id: int) -> BookingItem:
        for item in live_items(self.find_live()):
            if item.ticket_id == ticket_id:
                return item
        raise NotFound


def download(content: bytes, content_type: str, name: str) -> HttpResponse:
    return HttpResponse(
        content,
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


class TicketsPdfView(FileView):
    @extend_schema(
        operation_id="tickets_pdf",
        tags=["bookings"],
        summary="The tickets to print, one to a page",
        parameters=[TOKEN],
        responses={(200, "application/pdf"): OpenApiTypes.BINARY},
        extensions={"x-problems": ["not_found"]},
    )
    def get(self, request: Request, booking_id: UUID) -> HttpResponse:
        booking = self.find_live()
        return download(tickets_pdf(booking), "application/pdf", f"{booking.reference}.pdf")


class TicketsCalendarView(FileView):
    @extend_schema(
        operation_id="tickets_calendar",
        tags=["bookings"],
        summary="The event as a calendar entry",
        description=(
            "The entry keeps its `UID`: reading it again moves it, or, once the event or the booking is "
            "cancelled, strikes it out (`STATUS:CANCELLED`)."
        ),
        parameters=[TOKEN],
        responses={(200, "text/calendar"): OpenApiTypes.STR},
        extensions={"x-problems": ["not_found"]},
    )
    def get(self, request: Request, booking_id: UUID) -> HttpResponse:
        booking = self.find_details()
        if not has_calendar(booking):
            raise NotFound(_("The tickets are here once the booking is paid for."))
        return download(tickets_calendar(booking), "text/calendar; charset=utf-8", f"{booking.reference}.ics")


class TicketQrView(FileView):
    @extend_schema(
        operation_id="ticket_qr",
        tags=["bookings"],
        summary="A ticket's signed code as a picture",
        parameters=[TOKEN],
        responses={(200, "image/svg+xml"): OpenApiTypes.STR},
        extensions={"x-problems": ["not_found"]},
    )
    def get(self, request: Request, booking_id: UUID, ticket_id: int) -> HttpResponse:
        return HttpResponse(qr_svg(self.find_item(ticket_id)), content_type="image/svg+xml")


class TicketQrPngView(FileView):
    @extend_schema(
        operation_id="ticket_qr_png",
        tags=["bookings"],
        summary="A ticket's signed code as a picture, in pixels",
        parameters=[TOKEN],
        responses={(200, "image/png"): OpenApiTypes.BINARY},
        extensions={"x-problems": ["not_found"]},
    )
    def get(self, request: Request, booking_id: UUID, ticket_id: int) -> HttpResponse:
        return HttpResponse(qr_png(self.find_item(ticket_id)), content_type="image/png")


class CheckInKeySerializer(serializers.Serializer[dict[str, str]]):
    algorithm = serializers.CharField()
    public_key = serializers.CharField(help_text=_("The key's 32 bytes, in base64."))


class CheckInKeyView(StrictParameters, APIView):
    """Public, as its name says."""

    authentication_classes = []

    @extend_schema(
        operation_id="check_in_key",
        tags=["check-in"],
        summary="The public key that tells a true ticket code from a forged one",
        responses=CheckInKeySerializer,
    )
    def get(self, request: Request) -> Response:
        key = {"algorithm": ALGORITHM, "public_key": base64.b64encode(public_key()).decode()}
        return Response(CheckInKeySerializer(key).data)
