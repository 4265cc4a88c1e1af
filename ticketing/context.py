"""What every page's frame needs to know."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from bookings.access import open_hold


def site(request: HttpRequest) -> dict[str, Any]:
    """The site's name, and the tickets that this browser holds; reads the session alone."""
    return {"site_name": settings.SITE_NAME, "open_hold": open_hold(request, timezone.now())}
