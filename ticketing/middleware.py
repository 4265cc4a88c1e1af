"""What every answer gets on its way out, and what happens when the database is away."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import get_conditional_response, patch_cache_control, patch_vary_headers

from ticketing.api.errors import is_api, problem_json
from ticketing.api.limits import rate_limit_headers
from ticketing.client import client_address
from ticketing.database_away import RETRY_AFTER, is_database_away, note_database_away, watch

GetResponse = Callable[[HttpRequest], HttpResponseBase]

# The clock is in these answers for countdowns; it alone makes no answer a new one. Inside a
# JSON string quotes are escaped, so nothing that somebody typed can look like this.
CLOCK_MEMBERS = re.compile(rb'"(?:server_time|as_of)":"[^"]*"')


class DatabaseAwayMiddleware:
    """Turns a database that is away or busy into 503 with `Retry-After`, and waits for no silent one."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if watch.is_database_silent:
            return temporarily_unavailable(request)
        with watch.over_request():
            return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return database_away_response(request, error) if is_database_away(error) else None


def database_away_response(request: HttpRequest, error: BaseException) -> HttpResponse:
    """The 503 for this error, which is noted."""
    note_database_away(error)
    return temporarily_unavailable(request)


def temporarily_unavailable(request: HttpRequest) -> HttpResponse:
    """The 503 of the API or of the pages. Renders without touching the database."""
    if is_api(request):
        response: HttpResponse = problem_json("temporarily_unavailable", "Nothing was half done.")
    else:
        response = render(None, "503.html", status=503)
    response.headers["Retry-After"] = RETRY_AFTER
    return response


class ClientAddressMiddleware:
    """Makes `REMOTE_ADDR` the caller's address, so that whoever reads it later is right.

    Behind trusted proxies it would be a proxy's own.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.META["REMOTE_ADDR"] = client_address(request) or ""
        return self.get_response(request)


class ApiHeadersMiddleware:
    """`RateLimit` on every answer of the API; an `ETag`, and 304 for who has it, on every read."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if not is_api(request):
            return response
        if request.method in {"GET", "HEAD"} and isinstance(response, HttpResponse):
            response = conditional(request, response)
        for name, value in rate_limit_headers(request).items():
            response.headers[name] = value
        return response


def conditional(request: HttpRequest, response: HttpResponse) -> HttpResponseBase:
    """The response with its `ETag`, or 304 where the caller already has it."""
    # Kept by the caller alone, and asked about each time: it depends on who asks, and on now.
    if not response.has_header("Cache-Control"):
        patch_cache_control(response, private=True, no_cache=True)
    patch_vary_headers(response, ["Authorization", "Cookie", "X-Booking-Token"])
    if response.status_code != 200:
        return response
    if not response.has_header("ETag"):
        digest = hashlib.blake2b(CLOCK_MEMBERS.sub(b"", response.content), digest_size=12)
        response.headers["ETag"] = f'W/"{digest.hexdigest()}"'
    answer = get_conditional_response(request, etag=response.headers["ETag"], response=response)
    return answer or response
