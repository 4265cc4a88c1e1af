"""The addresses of the API, its documentation, and the pages that explain its errors."""

from django.urls import include, path, re_path

from bookings.api import files, refunds
from bookings.api import views as bookings
from bookings.door.api import views as door
from events.api import views as events
from search.api import views as search
from ticketing import error_views
from ticketing.api import views

version_1 = [
    # First, as holds come by the thousand.
    path("bookings/", bookings.BookingListView.as_view(), name="bookings"),
    path("events/", search.EventSearchView.as_view(), name="events"),
    path("events/suggest/", search.SuggestView.as_view(), name="suggest"),
    path("events/<slug:slug>/", events.EventView.as_view(), name="event"),
    path("events/<slug:slug>/tickets/", events.TicketListView.as_view(), name="tickets"),
    path("events/<slug:slug>/availability/", events.AvailabilityView.as_view(), name="availability"),
    path("events/<slug:slug>/check-in/", door.CheckInView.as_view(), name="check-in"),
    path("events/<slug:slug>/check-in/sync/", door.SyncView.as_view(), name="check-in-sync"),
    path("events/<slug:slug>/check-in/<uuid:scan_id>/undo/", door.UndoView.as_view(), name="check-in-undo"),
    path("bookings/<uuid:booking_id>/", bookings.BookingView.as_view(), name="booking"),
    path("bookings/<uuid:booking_id>/extend/", bookings.ExtendView.as_view(), name="extend"),
    path("bookings/<uuid:booking_id>/payments/", bookings.PaymentListView.as_view(), name="payments"),
    path("bookings/<uuid:booking_id>/refunds/", refunds.RefundListView.as_view(), name="refunds"),
    path("bookings/<uuid:booking_id>/tickets.pdf", files.TicketsPdfView.as_view(), name="tickets-pdf"),
    path(
        "bookings/<uuid:booking_id>/tickets.ics",
        files.TicketsCalendarView.as_view(),
        name="tickets-calendar",
    ),
    path(
        "bookings/<uuid:booking_id>/tickets/<int:ticket_id>/qr.svg",
        files.TicketQrView.as_view(),
        name="ticket-qr",
    ),
    path(
        "bookings/<uuid:booking_id>/tickets/<int:ticket_id>/qr.png",
        files.TicketQrPngView.as_view(),
        name="ticket-qr-png",
    ),
    path("check-in/key/", files.CheckInKeyView.as_view(), name="check-in-key"),
]

urlpatterns = [
    path("api/v1/", include((version_1, "api"))),
    path(
        "api/v1/webhooks/payments/<slug:gateway>/",
        bookings.PaymentNoticeView.as_view(),
        name="payment-webhook",
    ),
    path("api/schema/", views.SchemaView.as_view(), name="api-schema"),
    path("api/docs/", views.documentation, name="api-docs"),
    re_path(r"^api/", views.UnknownAddressView.as_view()),
    # Where gateways were told to send their notices before the API's base path held for them too.
    path("webhooks/payments/<slug:gateway>/", bookings.PaymentNoticeView.as_view()),
    path("problems/<slug:code>/", error_views.problem_page, name="problem"),
]
