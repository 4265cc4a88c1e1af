from django.apps import AppConfig


class TicketingConfig(AppConfig):
    name = "ticketing"

    def ready(self) -> None:
        # Registers the checks, which need the models to be loaded, and makes the application that tasks
        # are sent with: without it the web server would send them to a queue that nobody reads.
        from ticketing import celery, checks  # noqa: F401
