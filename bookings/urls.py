from django.urls import path

from bookings import refund_views, views

app_name = "bookings"
urlpatterns = [
    path("events/<slug:slug>/hold/", views.hold, name="hold"),
    path("bookings/", views.listing, name="list"),
    path("bookings/find/", views.find, name="find"),
    path("bookings/<uuid:booking_id>/", views.detail, name="detail"),
    path("bookings/<uuid:booking_id>/extend/", views.extend, name="extend"),
    path("bookings/<uuid:booking_id>/release/", views.release, name="release"),
    path("bookings/<uuid:booking_id>/pay/", views.pay, name="pay"),
    path("bookings/<uuid:booking_id>/returned/", views.returned, name="returned"),
    path("bookings/<uuid:booking_id>/refund/", refund_views.refund, name="refund"),
    path("bookings/<uuid:booking_id>/tickets.pdf", views.pdf, name="pdf"),
    path("bookings/<uuid:booking_id>/tickets.ics", views.calendar, name="calendar"),
    path("bookings/<uuid:booking_id>/tickets/<int:ticket_id>/", views.ticket, name="ticket"),
    path("bookings/<uuid:booking_id>/tickets/<int:ticket_id>.svg", views.qr, {"kind": "svg"}, name="qr"),
    path("bookings/<uuid:booking_id>/tickets/<int:ticket_id>.png", views.qr, {"kind": "png"}, name="qr-png"),
    path("accounts/keys/", views.keys, name="keys"),
    path("accounts/keys/<int:key_id>/revoke/", views.revoke, name="revoke"),
]
