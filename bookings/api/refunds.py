"""Refunds of one booking: asked for, and looked up."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView, get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from bookings.api.fields import StrictSerializer, TextField, TicketIdField
from bookings.api.idempotency import answer_once
from bookings.api.views import TOKEN, OneBookingView, account_of
from bookings.models import Booking, Refund
from bookings.permissions import booking_tokens, bookings_refundable_by, may_refund_any
from bookings.querysets import RefundQuerySet
from bookings.refunds import request_refund
from bookings.tasks import finish_refunds
from events.api.parameters import PAGE_PARAMETERS
from events.wake_up import wake_up


class RefundRequestSerializer(StrictSerializer):
    """What to give back: certain tickets, or all that are left."""

    tickets = serializers.ListField(
        child=TicketIdField(),
        min_length=1,
        required=False,
        help_text=_("Ids of tickets of this booking, none twice. Without them: all that are left."),
    )
    reason = TextField(
        required=False, max_length=200, allow_blank=True, help_text=_("Kept, and told to the buyer.")
    )

    def validate_tickets(self, ids: list[int]) -> list[int]:
        if len(set(ids)) != len(ids):
            raise serializers.ValidationError(_("A ticket is named twice."), code="duplicate")
        return ids


class RefundSerializer(serializers.ModelSerializer[Refund]):
    """A refund from `RefundQuerySet.with_tickets()`; `done_at` is null until the money has gone."""

    tickets = serializers.SerializerMethodField()

    class Meta:
        model = Refund
        fields = ["id", "status", "amount", "fee", "currency", "tickets", "reason", "requested_at", "done_at"]

    def get_tickets(self, refund: Refund) -> list[int]:
        return [item.ticket_id for item in refund.items.all()]


class RefundListView(OneBookingView, ListAPIView[Refund]):
    """The refunds of one booking, and where one is asked for."""

    serializer_class = RefundSerializer
    cursor_ordering = ("-requested_at", "-id")
    filter_backends = []

    @property
    def parameters(self) -> frozenset[str]:  # type: ignore[override]  # Only reading has pages.
        return PAGE_PARAMETERS if self.request.method != "POST" else frozenset()

    def get_queryset(self) -> RefundQuerySet:
        return Refund.objects.filter(booking=self.find(to_change=False)).with_tickets()

    @extend_schema(
        operation_id="refunds",
        tags=["payments"],
        summary="What was given back, newest first",
        parameters=[TOKEN],
        extensions={"x-problems": ["not_found"]},
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="request_refund",
        tags=["payments"],
        summary="Give tickets back for money",
        description=(
            "For staff, and for the buyer where the event's rules allow it. The tickets are on sale again "
            "and their codes are dead with the answer; the money follows, and `status` says when it has gone."
        ),
        parameters=[TOKEN],
        request=RefundRequestSerializer,
        responses={201: RefundSerializer},
        extensions={"x-problems": ["permission_denied", "not_found", "booking_closed"]},
    )
    def post(self, request: Request, **kwargs: Any) -> Response:
        refundable = bookings_refundable_by(request.user, booking_tokens(request))
        booking = get_object_or_404(refundable, pk=kwargs["booking_id"])
        answer = answer_once(
            request,
            caller=self.caller(booking),
            perform=lambda: self._request(request, booking),
            refuse=self.handle_exception,
        )
        wake_up(finish_refunds)
        return answer

    def _request(self, request: Request, booking: Booking) -> Response:
        form = RefundRequestSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        is_staff = may_refund_any(request.user)
        refund = request_refund(
            booking_id=booking.pk,
            ticket_ids=form.validated_data.get("tickets"),
            origin=Refund.Origin.STAFF if is_staff else Refund.Origin.BUYER,
            by=account_of(request),
            reason=form.validated_data.get("reason", ""),
        )
        told = Refund.objects.with_tickets().get(pk=refund.pk)
        return Response(RefundSerializer(told).data, status=201)
