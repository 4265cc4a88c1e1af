from django.urls import path

from bookings.outbox import views

app_name = "outbox"
urlpatterns = [
    path("bookings/<uuid:booking_id>/mail/", views.send_again, name="again"),
]
