"""The addresses of the API, its documentation, and the pages that explain its errors."""

from django.urls import include, path, re_path

from events.api import views as events
from ticketing import error_views
from ticketing.api import views

version_1 = [
    path("events/<slug:slug>/", events.EventView.as_view(), name="event"),
    path("events/<slug:slug>/tickets/", events.TicketListView.as_view(), name="tickets"),
    path("events/<slug:slug>/availability/", events.AvailabilityView.as_view(), name="availability"),
]

urlpatterns = [
    path("api/v1/", include((version_1, "api"))),
    path("api/schema/", views.SchemaView.as_view(), name="api-schema"),
    path("api/docs/", views.documentation, name="api-docs"),
    re_path(r"^api/", views.UnknownAddressView.as_view()),
    path("problems/<slug:code>/", error_views.problem_page, name="problem"),
]
