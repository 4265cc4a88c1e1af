from django.urls import path

from events import views

app_name = "events"
urlpatterns = [
    path("", views.home, name="home"),
    path("events/<slug:slug>/", views.detail, name="detail"),
    path("posters/<slug:kind>/<slug:slug>.svg", views.poster, name="poster"),
]
