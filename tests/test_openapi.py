"""The OpenAPI document: the one in `docs/` is the one that the code makes, and answers are as it says."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator

from bookings.models import ApiKey, hash_secret
from tests.factories import make_event, make_general_admission, make_seated, make_user, ticket_ids
from ticketing.api.urls import version_1
from ticketing.api.views import openapi_document

SNAPSHOT = settings.BASE_DIR / "docs" / "openapi.yaml"


def test_document_is_the_one_in_the_repository():
    made = OpenApiYamlRenderer().render(SchemaGenerator().get_schema(request=None, public=True))

    assert made.decode() == SNAPSHOT.read_text(), "Run `make openapi` and look at the difference."


def test_document_is_valid_and_made_without_a_warning():
    GENERATOR_STATS.reset()
    with GENERATOR_STATS.silence():
        document = SchemaGenerator().get_schema(request=None, public=True)

    validate_schema(document)
    assert not GENERATOR_STATS


def test_document_has_every_address_of_the_api():
    documented = {path.removeprefix("/api/v1/").replace("{", "<").replace("}", ">") for path in paths()}

    routes = {
        str(route.pattern).replace("uuid:", "").replace("slug:", "").replace("int:", "")
        for route in version_1
    }
    assert documented == routes


def test_every_operation_has_a_name_of_its_own_and_names_its_problems():
    operations = [operation for methods in paths().values() for operation in methods.values()]
    names = [operation["operationId"] for operation in operations]

    assert len(set(names)) == len(names)
    for operation in operations:
        assert {"400", "429", "503"} <= set(operation["responses"])
        assert "x-problems" not in operation
    posts = [methods["post"] for methods in paths().values() if "post" in methods]
    for post in posts:
        assert "Idempotency-Key" in [parameter["name"] for parameter in post["parameters"]]
        assert {"409", "422"} <= set(post["responses"])


@pytest.mark.django_db
def test_document_is_served(client: Client):
    response = client.get("/api/schema/")

    assert response.json() == openapi_document()
    assert response.headers["Content-Type"].startswith("application/")


@pytest.mark.django_db
def test_documentation_is_a_page_without_anything_from_elsewhere(client: Client):
    page = client.get("/api/docs/").content.decode()

    assert 'data-schema="/api/schema/"' in page
    assert "//" not in page.replace("<!doctype", "")
    assert client.post("/api/docs/").json()["code"] == "method_not_allowed"


@pytest.mark.django_db
def test_answers_are_as_the_document_says(client: Client):
    event = make_event()
    make_seated(event, seats=2)
    make_general_admission(event, 2)
    ApiKey.objects.create(account=make_user(), key_hash=hash_secret("key"))
    key = {"Authorization": "Token key"}
    base = f"/api/v1/events/{event.slug}/"
    wish = {"event": event.slug, "tickets": ticket_ids(event)[1:3]}

    def post(url: str, body: Any) -> Any:
        return client.post(url, body, content_type="application/json", headers=key)

    held = post("/api/v1/bookings/", wish)
    booking = f"/api/v1/bookings/{held.json()['id']}/"
    version = client.get(base + "availability/").json()["version"]

    assert_as_documented(held, "/api/v1/bookings/", "post")
    assert_as_documented(post("/api/v1/bookings/", wish), "/api/v1/bookings/", "post")
    assert_as_documented(post("/api/v1/bookings/", {}), "/api/v1/bookings/", "post")
    assert_as_documented(client.get(base), "/api/v1/events/{slug}/")
    assert_as_documented(client.get(base + "tickets/?page_size=1"), "/api/v1/events/{slug}/tickets/")
    assert_as_documented(client.get(base + "availability/"), "/api/v1/events/{slug}/availability/")
    assert_as_documented(
        client.get(f"{base}availability/?since={version}"), "/api/v1/events/{slug}/availability/"
    )
    assert_as_documented(client.get("/api/v1/events/"), "/api/v1/events/")
    assert_as_documented(client.get("/api/v1/events/suggest/?q=ev"), "/api/v1/events/suggest/")
    assert_as_documented(post(booking + "payments/", {}), "/api/v1/bookings/{booking_id}/payments/", "post")
    assert_as_documented(
        client.get(booking + "payments/", headers=key), "/api/v1/bookings/{booking_id}/payments/"
    )
    assert_as_documented(client.get(booking, headers=key), "/api/v1/bookings/{booking_id}/")
    assert_as_documented(client.get("/api/v1/bookings/", headers=key), "/api/v1/bookings/")
    assert_as_documented(post(booking + "extend/", {}), "/api/v1/bookings/{booking_id}/extend/", "post")
    assert_as_documented(client.get(booking), "/api/v1/bookings/{booking_id}/")
    assert_as_documented(
        client.delete(booking, headers=key), "/api/v1/bookings/{booking_id}/", "delete", has_body=False
    )


def paths() -> dict[str, Any]:
    return openapi_document()["paths"]


def assert_as_documented(response: Any, path: str, method: str = "get", *, has_body: bool = True) -> None:
    """The status is one of the document's, and the body fits its schema with no member more."""
    described = paths()[path][method]["responses"][str(response.status_code)]
    for header in described.get("headers", {}).keys() - {"Idempotent-Replayed", "Retry-After"}:
        assert header in response.headers
    if has_body:
        content_type = response.headers["Content-Type"]
        schema = described["content"][content_type]["schema"]
        document = {**schema, "components": openapi_document()["components"]}
        Draft202012Validator(document).validate(response.json())
        assert set(response.json()) <= members(schema)


def members(schema: dict[str, Any]) -> set[str]:
    name = schema["$ref"].rpartition("/")[2]
    return set(openapi_document()["components"]["schemas"][name]["properties"])
