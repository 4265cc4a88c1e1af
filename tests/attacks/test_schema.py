"""Every call of the OpenAPI document, with what fits it and what does not: no answer outside of it."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from schemathesis import HookContext, openapi
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.engine import from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.openapi.checks import RejectedPositiveData

from tests.attacks.conftest import EXAMPLES
from tests.attacks.web import Web
from tests.attacks.world import World, known_values

pytestmark = pytest.mark.django_db(transaction=True)

# A request may fit the document and still be refused for what no schema can say: what it names is
# not there, or one of its members does not go with another.
BEYOND_SCHEMAS = {
    "blank",
    "does_not_exist",
    "duplicate",
    "empty_range",
    "idempotency_key_reused",
    "malformed_json",
    "needs_near",
    "needs_q",
    "not_on_this_site",
}
# Tickets that there are, of another event or booking: of the list itself, not of the shape of a member.
OTHERS_TICKETS = {("tickets", "invalid"), ("price_tier", "invalid")}
# What only the list itself can make, and days that no calendar has.
LISTS_OWN = {"cursor", "starts_after", "starts_before"}


@schemathesis.hook
def map_body(context: HookContext, body: Any) -> Any:
    """A whole number is written without a fraction here, though JSON Schema takes 1.0 for one."""
    match body:
        case dict():
            return {name: map_body(context, member) for name, member in body.items()}
        case list():
            return [map_body(context, member) for member in body]
        case float() if body.is_integer():
            return int(body)
    return body


@pytest.mark.parametrize("who", ["nobody", "guest", "alice", "stan"])
def test_no_answer_is_outside_the_document(web: Web, world: World, who: str):
    headers = {"nobody": {}, "guest": {"X-Booking-Token": world.guest.access_token}}
    schema = openapi.from_url(
        f"{web.url}/api/schema/",
        config=configuration(
            world,
            headers=headers[who] if who in headers else world.headers(who),
            # Each member's every border, one at a time; in a short run for the two ends alone.
            covers_all=who in {"nobody", "stan"} or EXAMPLES > 5,
        ),
    )

    found, called = run(schema)

    assert found == []
    assert called >= {operation.ok().label for operation in schema.get_all_operations()}


def configuration(world: World, *, headers: dict[str, str], covers_all: bool) -> SchemathesisConfig:
    """Every check, every phase, and parameters that are mostly ones there are."""
    values = known_values(world)
    return SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "headers": headers,
            "request-timeout": 60,
            "checks": {"enabled": True},
            "phases": {"coverage": {"enabled": covers_all}},
            "generation": {"max-examples": EXAMPLES, "database": "none"},
            "dictionaries": {name: {"values": found} for name, found in values.items()},
            "parameters": {name: {"dictionary": name, "probability": 0.7} for name in values},
        }
    )


def run(schema: Any) -> tuple[list[str], set[str]]:
    """What was found, each with the request that shows it, and the operations that were called."""
    found: dict[str, None] = {}
    called: set[str] = set()
    for event in from_schema(schema).execute():
        if isinstance(event, FatalError):
            raise event.exception
        if isinstance(event, NonFatalError):
            found[f"{event.label}: {event.value}"] = None
        if isinstance(event, ScenarioFinished):
            called |= {case.value.operation.label for case in event.recorder.cases.values()}
            found |= dict.fromkeys(describe(event.recorder))
    return list(found), called


def describe(recorder: ScenarioRecorder) -> list[str]:
    """The failures of a scenario, each as text with the request that shows it."""
    return [
        f"{recorder.label}: {check.failure_info.failure}\n{check.failure_info.code_sample}"
        for case_id, checks in recorder.checks.items()
        for check in checks
        if check.failure_info is not None
        and not is_beyond_schemas(check.failure_info.failure, recorder, case_id)
    ]


def is_beyond_schemas(failure: Failure, recorder: ScenarioRecorder, case_id: str) -> bool:
    if not isinstance(failure, RejectedPositiveData):
        return False
    answer = recorder.interactions[case_id].response
    assert answer is not None
    problem = answer.json()
    if "errors" not in problem:
        return problem["code"] in BEYOND_SCHEMAS
    return all(
        error["code"] in BEYOND_SCHEMAS
        or error["field"] in LISTS_OWN
        or (error["field"], error["code"]) in OTHERS_TICKETS
        for error in problem["errors"]
    )
