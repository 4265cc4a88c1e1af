"""The network address a request came from."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str | None:
    """The caller's address, believing as many proxies as `TRUSTED_PROXIES` says and no more.

    A caller can write anything into `X-Forwarded-For`; only the entries that our own proxies
    appended, counted from the right, are facts.
    """
    candidate = request.META.get("REMOTE_ADDR", "")
    if settings.TRUSTED_PROXIES:
        forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
        if len(forwarded) >= settings.TRUSTED_PROXIES:
            candidate = forwarded[-settings.TRUSTED_PROXIES]
    try:
        address = ipaddress.ip_address(candidate.strip())
    except ValueError:
        return None
    # A server that listens for both writes IPv4 as IPv6, where all of it would look like one network.
    return str(getattr(address, "ipv4_mapped", None) or address)
