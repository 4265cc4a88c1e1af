"""Every address of the site, from its URL resolver: one that is added tomorrow is attacked tomorrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from tests.attacks.world import World

# Lines without a name, each with an address that leads there.
NAMELESS = {
    "^api/": "/api/v1/nowhere/",
    "webhooks/payments/<slug:gateway>/": "/webhooks/payments/sandbox/",
    "admin/(?P<url>.*)$": "/admin/nowhere/",
}


@dataclass(frozen=True)
class Route:
    """One line of a URL configuration."""

    name: str
    pattern: str
    parameters: frozenset[str]

    def address(self, world: World) -> str:
        """Where it leads, with rows that there are; with Alice's, where they are somebody's."""
        if not self.name:
            return NAMELESS.get(self.pattern, f"/{self.pattern.replace('<path:object_id>', '1')}")
        values = parameter_values(world)
        if "object_id" in self.parameters and "content_type_id" not in self.parameters:
            values["object_id"] = self._first_row()
        return reverse(self.name, kwargs={name: values[name] for name in self.parameters})

    def _first_row(self) -> Any:
        """The admin calls every model's id by one name; the address says which model it is of."""
        _admin, app, model, *_rest = self.pattern.split("/")
        row = apps.get_model(app, model)._default_manager.first()
        return 1 if row is None else row.pk


def parameter_values(world: World) -> dict[str, Any]:
    """A value for each parameter of an address; a new one is a KeyError until it stands here."""
    return {
        "slug": world.event.slug,
        "booking_id": world.booked.pk,
        "ticket_id": world.ticket_id,
        "scan_id": world.scan.pk,
        "gateway": "sandbox",
        "code": "not_found",
        "kind": "event",
        "intent_id": world.intent.pk,
        "key": "Mg:made-up:key",
        "key_id": world.api_key.pk,
        "uidb36": "1",
        "id": world.alice.pk,
        "content_type_id": 1,
        "object_id": 1,
        "app_label": "bookings",
    }


def all_routes() -> list[Route]:
    return list(_walk(get_resolver().url_patterns))


def _walk(
    patterns: Iterable[URLPattern | URLResolver], before: str = "", namespaces: tuple[str, ...] = ()
) -> Iterator[Route]:
    for pattern in patterns:
        path = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            inner = (*namespaces, pattern.namespace) if pattern.namespace else namespaces
            yield from _walk(pattern.url_patterns, path, inner)
        else:
            name = ":".join([*namespaces, pattern.name]) if pattern.name else ""
            yield Route(name, path, frozenset(pattern.pattern.regex.groupindex))
