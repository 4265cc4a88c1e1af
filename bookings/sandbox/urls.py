from django.urls import path

from bookings.sandbox import views

app_name = "sandbox"
urlpatterns = [path("pay/<str:intent_id>/", views.pay, name="pay")]
