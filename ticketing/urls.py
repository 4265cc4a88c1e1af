"""Every address of the site."""

from allauth.account.decorators import secure_admin_login
from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import TemplateView

# Its own form would let passwords be guessed where no limit counts.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns: list[URLPattern | URLResolver] = [
    # First what thousands ask for at once: each address is compared with all that stand before it.
    path("", include("events.urls")),
    path("", include("ticketing.api.urls")),
    path("", include("bookings.urls")),
    path("door/", include("bookings.door.urls")),
    path("", include("bookings.outbox.urls")),
    path("search/", include("search.urls")),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("robots.txt", TemplateView.as_view(template_name="robots.txt", content_type="text/plain")),
]

if settings.SANDBOX_GATEWAY:
    urlpatterns.append(path("sandbox/", include("bookings.sandbox.urls")))

handler400 = "ticketing.error_views.bad_request"
handler403 = "ticketing.error_views.permission_denied"
handler404 = "ticketing.error_views.not_found"
handler500 = "ticketing.error_views.server_error"
