"""The door for scanners. Views translate; the services decide."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.utils.decorators import method_decorator
from django.views.decorators.gzip import gzip_page
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bookings.api.idempotency import answer_once
from bookings.codes import public_key
from bookings.door.api.serializers import (
    DoorEventSerializer,
    HeldListSerializer,
    NothingSerializer,
    ScanResultSerializer,
    ScanSerializer,
    SectionCountSerializer,
    SyncedSerializer,
    SyncSerializer,
)
from bookings.door.held_list import count_sections, held_tickets, list_version, version_time
from bookings.door.models import Scan
from bookings.door.permissions import may_check_in
from bookings.door.querysets import events_at_the_door
from bookings.door.services import admit, sync, undo
from bookings.models import User
from bookings.services import database_time
from events.api.parameters import StrictParameters
from events.models import Event

PROBLEMS = ["not_authenticated", "not_found"]


class MayCheckIn(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        return may_check_in(request.user)


class DoorView(StrictParameters, APIView):
    """What the door's views share: who may, which event, and in whose name keys are kept."""

    permission_classes = [MayCheckIn]

    def find_event(self) -> Event:
        return get_object_or_404(events_at_the_door(), slug=self.kwargs["slug"])

    @property
    def account(self) -> User:
        # The permission let nobody else through.
        assert isinstance(self.request.user, User)  # noqa: S101
        return self.request.user

    def answer_once(self, perform: Callable[[], Response]) -> Response:
        """Carry out what was asked, or answer again what was answered under the same key."""
        return answer_once(
            self.request,
            caller=f"account:{self.account.pk}",
            perform=perform,
            refuse=self.handle_exception,
        )


class CheckInView(DoorView):
    """The event's list to hold, and where a code is shown."""

    @property
    def parameters(self) -> frozenset[str]:  # type: ignore[override]  # Only the list has one.
        return frozenset({"since"}) if self.request.method != "POST" else frozenset()

    @extend_schema(
        operation_id="held_list",
        tags=["check-in"],
        summary="The event's list, for work without a connection",
        description=(
            "All tickets, each named by a hash of its code, in one document; compressed it is small. "
            "With `since`, a `version` from before, only what has changed after it. "
            "Needs the permission to check tickets in."
        ),
        parameters=[OpenApiParameter("since", str, description="A `version` that the device already has.")],
        responses=HeldListSerializer,
        extensions={"x-problems": PROBLEMS},
    )
    @method_decorator(gzip_page)
    def get(self, request: Request, slug: str) -> HttpResponse:
        event = self.find_event()
        version = list_version(event)
        etag = f'W/"{version}"'
        unchanged = get_conditional_response(request._request, etag=etag)
        if unchanged is not None:
            return unchanged
        # Read after the version: what comes in between is told again next time.
        body = describe_list(event, version, since=request.query_params.get("since"))
        return Response(body, headers={"ETag": etag})

    @extend_schema(
        operation_id="check_in",
        tags=["check-in"],
        summary="Show a code at a door",
        description=(
            "`result` is `admitted`, `already_used` (`first` says when and where), `refunded`, `wrong_event` "
            "(`event` says which) or `unknown`: all of them are answers, and none an error."
        ),
        request=ScanSerializer,
        responses=ScanResultSerializer,
        extensions={"x-problems": PROBLEMS},
    )
    def post(self, request: Request, slug: str) -> Response:
        event = self.find_event()
        return self.answer_once(lambda: self._admit(request, event))

    def _admit(self, request: Request, event: Event) -> Response:
        form = ScanSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        found = admit(event=event, by=self.account, **form.to_attempt())
        return Response(ScanResultSerializer(found).data)


def describe_list(event: Event, version: str, *, since: str | None) -> dict[str, Any]:
    """The list in full, or what has changed since another version of it."""
    start = None if since is None else version_time(since)
    return {
        "version": version,
        "server_time": database_time(),
        "event": DoorEventSerializer(event).data,
        "public_key": base64.b64encode(public_key()).decode(),
        "complete": start is None,
        "sections": SectionCountSerializer(count_sections(event), many=True).data,
        "tickets": held_tickets(event, since=start),
    }


class SyncView(DoorView):
    @extend_schema(
        operation_id="sync_scans",
        tags=["check-in"],
        summary="Hand in the scans of a device that was offline",
        description=(
            "Each counts once, however often it is sent, in the order of `scanned_at`. `double_entry` marks "
            "people whom the device let in and who should not have been: `first` says when and where "
            "their ticket was used before."
        ),
        request=SyncSerializer,
        responses=SyncedSerializer,
        extensions={"x-problems": PROBLEMS},
    )
    def post(self, request: Request, slug: str) -> Response:
        event = self.find_event()
        return self.answer_once(lambda: self._sync(request, event))

    def _sync(self, request: Request, event: Event) -> Response:
        form = SyncSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        results = sync(event=event, attempts=form.to_attempts(), by=self.account)
        return Response(SyncedSerializer({"results": results}).data)


class UndoView(DoorView):
    @extend_schema(
        operation_id="undo_check_in",
        tags=["check-in"],
        summary="Take an admission back",
        description="The ticket lets in again. Undoing twice is undoing once.",
        request=None,
        responses=ScanResultSerializer,
        extensions={"x-problems": [*PROBLEMS, "not_admitted"]},
    )
    def post(self, request: Request, slug: str, scan_id: UUID) -> Response:
        scan = get_object_or_404(Scan, pk=scan_id, event=self.find_event())
        NothingSerializer(data=request.data).is_valid(raise_exception=True)
        return self.answer_once(
            lambda: Response(ScanResultSerializer(undo(scan_id=scan.pk, by=self.account)).data)
        )
