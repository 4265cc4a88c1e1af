"""Which form an answer of the API has."""

from __future__ import annotations

from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request


class UsualNegotiation(DefaultContentNegotiation):
    """DRF's own, which is not asked where the caller takes anything, or what comes first, as most do.

    To read the two media types took it a twentieth of a whole hold.
    """

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        usual = renderers[0]
        if request.META.get("HTTP_ACCEPT", "*/*") in {"*/*", usual.media_type}:
            return usual, usual.media_type
        return super().select_renderer(request, renderers, format_suffix)
