"""What tells browsers to trust an answer as little as it can do with."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.utils import build_policy
from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from ticketing.api.errors import is_api

GetResponse = Callable[[HttpRequest], HttpResponseBase]
Directives = dict[str, list[str]]

# Written once: an answer costs no more for having one.
# Nothing is done with what programs read; opened as a page, a picture or file may do nothing either.
_OF_PROGRAMS: Directives = {
    "default-src": [NONE],
    "base-uri": [NONE],
    "form-action": [NONE],
    "frame-ancestors": [NONE],
}
POLICY_OF_PROGRAMS = build_policy(_OF_PROGRAMS)
# The documentation's library writes styles, and has pictures in them.
POLICY_OF_DOCUMENTATION = build_policy(
    {
        **_OF_PROGRAMS,
        "script-src": [SELF],
        "connect-src": [SELF],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
    }
)
# The admin's library writes styles, and reads the expressions in its pages as programs (Alpine).
POLICY_OF_THE_OFFICE = build_policy(
    {
        "default-src": [SELF],
        "script-src": [SELF, UNSAFE_EVAL],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "frame-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
)

# Rights of a browser that no page here asks for; the camera is the door's alone.
NEVER_ASKED_FOR = (
    "accelerometer",
    "autoplay",
    "browsing-topics",
    "display-capture",
    "encrypted-media",
    "fullscreen",
    "geolocation",
    "gyroscope",
    "hid",
    "identity-credentials-get",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "publickey-credentials-create",
    "publickey-credentials-get",
    "serial",
    "usb",
    "xr-spatial-tracking",
)
NO_RIGHTS = ", ".join(f"{right}=()" for right in ("camera", *NEVER_ASKED_FOR))
RIGHTS_OF_THE_DOOR = NO_RIGHTS.replace("camera=()", "camera=(self)")

# Also said by Django, but not of what never gets as far, such as a request for another host.
ALWAYS = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": settings.SECURE_REFERRER_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class SecurityHeadersMiddleware:
    """Outermost of all, so that errors of the other layers get these headers too."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        for name, value in ALWAYS.items():
            response.headers.setdefault(name, value)
        response.headers["Permissions-Policy"] = (
            RIGHTS_OF_THE_DOOR if request.path.startswith("/door/") else NO_RIGHTS
        )
        return response


class PolicyMiddleware:
    """The Content-Security-Policy of every answer."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        # Django's own pages about an error, which a developer reads, write styles.
        if not (response.status_code in {404, 500} and settings.DEBUG):
            response.headers.setdefault("Content-Security-Policy", policy_for(request))
        return response


def policy_for(request: HttpRequest) -> str:
    """The policy of the site's own pages, or of what is none of them."""
    if request.path.startswith("/api/docs/"):
        return POLICY_OF_DOCUMENTATION
    if request.path.startswith("/admin/"):
        return POLICY_OF_THE_OFFICE
    return POLICY_OF_PROGRAMS if is_api(request) else policy_of_the_site()


@cache
def policy_of_the_site() -> str:
    return build_policy(settings.CONTENT_SECURITY_POLICY["DIRECTIVES"])


@receiver(setting_changed)
def _forget_policy(*, setting: str, **_facts: Any) -> None:
    if setting == "CONTENT_SECURITY_POLICY":
        policy_of_the_site.cache_clear()
