"""The API's own documentation, and what answers at addresses that do not exist."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.shortcuts import render
from django.urls import Resolver404, resolve
from django.utils.translation import gettext as _
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiJsonRenderer2
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from events.api.parameters import StrictParameters
from ticketing.api.errors import problem_json


@cache
def openapi_document() -> dict[str, Any]:
    """The OpenAPI 3.1 document, made once per process: it depends on the code alone."""
    return SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call,no-any-return]


class SchemaView(StrictParameters, APIView):
    renderer_classes = [OpenApiJsonRenderer2, OpenApiJsonRenderer]

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return Response(openapi_document())


def documentation(request: HttpRequest) -> HttpResponse:
    """The document for people, to read and to try out."""
    if request.method not in {"GET", "HEAD"}:
        refusal = problem_json("method_not_allowed")
        refusal.headers["Allow"] = "GET, HEAD"
        return refusal
    return render(request, "api_docs.html")


class UnknownAddressView(APIView):
    """404 for any method; an address that only lacks its last slash is redirected there."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not self._with_slash(request):
            raise NotFound(_("There is nothing at this address."))

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        address = request.get_full_path(force_append_slash=True)
        return HttpResponsePermanentRedirect(address, preserve_request=True)

    options = http_method_not_allowed

    @staticmethod
    def _with_slash(request: Request) -> bool:
        if request.path.endswith("/"):
            return False
        try:
            found = resolve(request.path + "/").func
        except Resolver404:
            return False
        return getattr(found, "cls", None) is not UnknownAddressView
