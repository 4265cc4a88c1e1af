"""Bookings and payments in JSON: what the API reads, and apart from it what it says."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request
from rest_framework.reverse import reverse

from bookings.api.fields import AddressField, StrictSerializer, TextField, TicketIdField, WholeNumberField
from bookings.codes import sign_code
from bookings.models import Booking, BookingItem, Payment
from bookings.services import HeldBooking
from bookings.tickets_files import is_live

PRINTABLE_ADDRESS = re.compile(r"[\x21-\x7e]+")

# --- Input ------------------------------------------------------------------------------


class HoldSerializer(StrictSerializer):
    """What to hold: certain tickets, or so many of a price tier."""

    schema_rules = {
        "oneOf": [
            {
                "required": ["tickets"],
                "not": {"anyOf": [{"required": ["price_tier"]}, {"required": ["quantity"]}]},
            },
            {"required": ["price_tier", "quantity"], "not": {"required": ["tickets"]}},
        ]
    }

    event = TextField(help_text=_("The event's `slug`."))
    tickets = serializers.ListField(
        child=TicketIdField(),
        min_length=1,
        required=False,
        help_text=_("Ids of certain tickets, none twice."),
    )
    price_tier = TicketIdField(required=False, help_text=_("The id of a price tier, with `quantity`."))
    quantity = WholeNumberField(
        min_value=1,
        max_value=2**31 - 1,
        required=False,
        help_text=_("General admission: any tickets; seated: the best available neighbours."),
    )
    email = AddressField(required=False, max_length=254, help_text=_("Where the tickets are sent."))

    def validate_tickets(self, ids: list[int]) -> list[int]:
        if len(set(ids)) != len(ids):
            raise serializers.ValidationError(_("A ticket is named twice."), code="duplicate")
        return ids

    def validate(self, wish: dict[str, Any]) -> dict[str, Any]:
        by_tier = {"price_tier", "quantity"} & set(wish)
        if ("tickets" in wish) == bool(by_tier):
            raise serializers.ValidationError(
                _("Name either “tickets”, or “price_tier” and “quantity”."), code="exclusive"
            )
        if len(by_tier) == 1:
            missing = ({"price_tier", "quantity"} - by_tier).pop()
            required = ErrorDetail(gettext("This field is required."), code="required")
            raise serializers.ValidationError({missing: [required]})
        return wish


class HolderSerializer(StrictSerializer):
    id = TicketIdField()
    holder_name = TextField(max_length=160, allow_blank=True)


class DetailsSerializer(StrictSerializer):
    """What a buyer may still change of a hold."""

    email = AddressField(required=False, max_length=254, allow_blank=True)
    name = TextField(required=False, max_length=160, allow_blank=True)
    tickets = HolderSerializer(many=True, required=False)

    def validate_tickets(self, holders: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if len({holder["id"] for holder in holders}) != len(holders):
            raise serializers.ValidationError(_("A ticket is named twice."), code="duplicate")
        return holders


class StartPaymentSerializer(StrictSerializer):
    return_url = TextField(
        required=False, max_length=2000, help_text=_("Where the buyer goes afterwards; on this site.")
    )

    def validate_return_url(self, url: str) -> str:
        """An absolute address on this site: nobody is sent elsewhere in its name."""
        site = settings.SITE_URL
        absolute = site + url if url.startswith("/") else url
        is_ours = f"{absolute}/".startswith(f"{site}/") and url_has_allowed_host_and_scheme(
            url, allowed_hosts={site.partition("://")[2]}, require_https=site.startswith("https:")
        )
        if not is_ours or not PRINTABLE_ADDRESS.fullmatch(url):
            raise serializers.ValidationError(
                _("Must begin with %(site)s.") % {"site": f"{site}/"}, code="not_on_this_site"
            )
        return absolute


# --- Output -----------------------------------------------------------------------------


class BookedTicketSerializer(serializers.ModelSerializer[BookingItem]):
    """One ticket of a booking. `code`, signed, and its picture are there while it is booked."""

    # For the document: `_represent_ticket` writes them out.
    id = serializers.IntegerField(source="ticket_id")
    price_tier = serializers.IntegerField(source="price_tier_id")
    section = serializers.CharField(allow_null=True)
    row = serializers.CharField(allow_null=True)
    seat = serializers.CharField(allow_null=True)
    code = serializers.CharField(allow_null=True)
    qr_svg_url = serializers.URLField(allow_null=True)

    class Meta:
        model = BookingItem
        fields = [
            "id",
            "price_tier",
            "section",
            "row",
            "seat",
            "price",
            "holder_name",
            "code",
            "qr_svg_url",
            "checked_in_at",
        ]


class PaymentStateSerializer(serializers.Serializer[Payment]):
    """How paying is going: where to send the buyer, while there is something to do there."""

    status = serializers.ChoiceField(choices=Payment.Status.choices)
    redirect_url = serializers.SerializerMethodField()

    @extend_schema_field({"type": ["string", "null"], "format": "uri"})
    def get_redirect_url(self, payment: Payment) -> str | None:
        return (payment.redirect_url or None) if payment.status == Payment.Status.PENDING else None


class PaymentSerializer(PaymentStateSerializer):
    """A payment that was just started, or is still open."""

    id = serializers.UUIDField()
    amount = serializers.DecimalField(max_digits=12, decimal_places=2)
    currency = serializers.CharField()

    class Meta:
        fields = ["id", "status", "amount", "currency", "redirect_url"]


class PaymentRecordSerializer(PaymentSerializer):
    """A payment and what became of it."""

    captured = serializers.DecimalField(max_digits=12, decimal_places=2)
    refunded = serializers.DecimalField(max_digits=12, decimal_places=2)
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()


class BookingSerializer(serializers.ModelSerializer[Booking]):
    """A booking from `BookingQuerySet.with_details()`; never queries."""

    # For the document: `_represent` writes them out.
    event = serializers.CharField(source="event.slug")
    # As of `server_time`, by the same clock.
    status = serializers.ChoiceField(choices=Booking.Status.choices)
    server_time = serializers.DateTimeField()
    extensions_left = serializers.IntegerField()
    tickets = BookedTicketSerializer(many=True)
    payment = PaymentStateSerializer(allow_null=True)

    class Meta:
        model = Booking
        fields = [
            "id",
            "reference",
            "event",
            "status",
            "expires_at",
            "server_time",
            "extensions_left",
            "total",
            "currency",
            "tickets",
            "payment",
        ]

    def to_representation(self, booking: Booking) -> dict[str, Any]:
        request = self.context.get("request")
        tickets = [_represent_item(booking, item, request) for item in booking.items.all()]
        latest = next(iter(booking.payments.all()), None)
        return _represent(booking, tickets, latest and PaymentStateSerializer(latest).data)


def represent_held(held: HeldBooking) -> dict[str, Any]:
    """What the fields of `BookingSerializer` say of a hold that was just made."""
    held.booking.current_status, held.booking.database_now = held.booking.status, held.now
    return _represent(held.booking, [_represent_ticket(*ticket) for ticket in held.tickets], None)


# Both are written out, as the answer to a hold is made by the thousand and fields take ten times as long.


def _represent(booking: Booking, tickets: list[dict[str, Any]], payment: Any) -> dict[str, Any]:
    is_hold = booking.current_status == Booking.Status.RESERVED
    return {
        "id": str(booking.pk),
        "reference": booking.reference,
        "event": booking.event.slug,
        "status": booking.current_status,
        "expires_at": booking.expires_at,
        "server_time": booking.database_now,
        "extensions_left": booking.extensions_left if is_hold else 0,
        "total": str(booking.total),
        "currency": booking.currency,
        "tickets": tickets,
        "payment": payment,
    }


def _represent_ticket(
    ticket_id: int,
    price_tier_id: int,
    price: str,
    section: str | None,
    row: str | None,
    seat: str | None,
    *,
    holder_name: str = "",
    code: str | None = None,
    qr_svg_url: str | None = None,
    checked_in_at: datetime | None = None,
) -> dict[str, Any]:
    return {
        "id": ticket_id,
        "price_tier": price_tier_id,
        "section": section,
        "row": row,
        "seat": seat,
        "price": price,
        "holder_name": holder_name,
        "code": code,
        "qr_svg_url": qr_svg_url,
        "checked_in_at": checked_in_at,
    }


def _represent_item(booking: Booking, item: BookingItem, request: Request | None) -> dict[str, Any]:
    seat, code, picture = item.ticket.seat, None, None
    if is_live(booking, item):
        code = sign_code(item)
        picture = reverse("api:ticket-qr", args=[booking.pk, item.ticket_id], request=request)
    return _represent_ticket(
        item.ticket_id,
        item.price_tier_id,
        str(item.price),
        seat.section if seat else None,
        seat.row if seat else None,
        seat.number if seat else None,
        holder_name=item.holder_name,
        code=code,
        qr_svg_url=picture,
        checked_in_at=item.checked_in_at,
    )


class HeldBookingSerializer(BookingSerializer):
    """A booking as it is answered once, to whoever made it: with the secret that opens it."""

    access_token = serializers.CharField()

    class Meta(BookingSerializer.Meta):
        fields = [*BookingSerializer.Meta.fields, "access_token"]


# Made once: to copy its fields costs more than to use them.
HOLD = HoldSerializer()
