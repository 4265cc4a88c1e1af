"""Requests with what middleware adds to them, and where they come from."""

from __future__ import annotations

import functools
import ipaddress

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class HtmxHttpRequest(HttpRequest):
    htmx: HtmxDetails


def network_of(request: HttpRequest) -> str | None:
    """What counts as one network address: of IPv6 the first half, as subscribers choose the rest."""
    address = request.META.get("REMOTE_ADDR")
    return _network_of(address) if address else None


# Asked more than once for the same request.
@functools.lru_cache(maxsize=256)
def _network_of(address: str) -> str:
    found = ipaddress.ip_address(address)
    if found.version == 6:
        found = ipaddress.ip_network((found, 64), strict=False).network_address
    return str(found)
