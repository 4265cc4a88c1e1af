"""Django's own errors: problem documents under the API, the site's pages elsewhere."""

from __future__ import annotations

import sys

from django.core.exceptions import DisallowedHost, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views import csrf, defaults

from ticketing.api.errors import PROBLEMS, is_api, problem_json
from ticketing.database_away import is_database_away
from ticketing.middleware import database_away_response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400 for what Django refuses to read, or 413 where it is too much."""
    if not is_api(request):
        return defaults.bad_request(request, exception)
    if isinstance(exception, RequestDataTooBig):
        return problem_json("body_too_large")
    if isinstance(exception, DisallowedHost):
        detail = _("This host name is not one of ours.")
        field = "Host"
    else:
        detail = _("The request cannot be understood.")
        field = ""
    return problem_json(
        "invalid_parameter", detail, errors=[{"field": field, "code": "invalid", "detail": detail}]
    )


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return problem_json("permission_denied")
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return problem_json("not_found", _("There is nothing at this address."))
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """500; or 503 where a middleware, which `process_exception` does not see, lost the database."""
    error = sys.exc_info()[1]
    if error is not None and is_database_away(error):
        return database_away_response(request, error)
    if is_api(request):
        return problem_json("internal_error", _("It is in our log. Nothing was half done."))
    return defaults.server_error(request)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    if is_api(request):
        return problem_json("permission_denied", reason)
    return csrf.csrf_failure(request, reason=reason)


def problem_page(request: HttpRequest, code: str) -> HttpResponse:
    """The page that the `type` of a problem document leads to."""
    if code not in PROBLEMS:
        raise Http404
    return render(request, "problem.html", {"problem": PROBLEMS[code], "code": code})
