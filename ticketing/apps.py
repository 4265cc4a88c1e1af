from django.apps import AppConfig


class TicketingConfig(AppConfig):
    name = "ticketing"

    def ready(self) -> None:
        # Registers the checks, which need the models to be loaded.
        from ticketing import checks  # noqa: F401
