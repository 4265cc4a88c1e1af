from django.urls import path

from bookings.door import views

app_name = "door"
urlpatterns = [
    path("", views.listing, name="list"),
    path("worker.js", views.worker, name="worker"),
    path("<slug:slug>/", views.check_in, name="event"),
    path("<slug:slug>/<uuid:scan_id>/undo/", views.undo_scan, name="undo"),
]
