"""The site's addresses, and beside them the least that Django and DRF can answer."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


def empty_page(request: HttpRequest) -> HttpResponse:
    """What a page costs that does nothing: Django, its middleware and ours."""
    return HttpResponse("")


class EmptyView(APIView):
    """What an answer of the API costs that says nothing: authentication, limits, headers, JSON."""

    def get(self, request: Request) -> Response:
        return Response({})


urlpatterns = [
    path("empty/", empty_page),
    path("api/v1/empty/", EmptyView.as_view()),
    path("", include("ticketing.urls")),
]
