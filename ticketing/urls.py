"""Every address of the site."""

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("ticketing.api.urls")),
    path("search/", include("search.urls")),
]

handler400 = "ticketing.error_views.bad_request"
handler403 = "ticketing.error_views.permission_denied"
handler404 = "ticketing.error_views.not_found"
handler500 = "ticketing.error_views.server_error"
