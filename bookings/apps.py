from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BookingsConfig(AppConfig):
    name = "bookings"
    verbose_name = _("Bookings")

    def ready(self) -> None:
        """Hear of what happens to events."""
        from bookings import postponements  # noqa: F401  # Models are not ready before.
