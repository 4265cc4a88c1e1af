"""The stand-in itself: its objects have Stripe's fields, and it refuses what Stripe refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings as project

from tests.gateways.houses import make_order
from tests.gateways.strict_stripe.client import API_KEY, StrictStripeProcess
from tests.gateways.strict_stripe.shapes import (
    make_charge,
    make_event,
    make_intent,
    make_refund,
    make_session,
)

EXAMPLES = project.BASE_DIR.parent / "shared" / "data" / "stripe-fixtures.json"


def made_objects() -> dict[str, dict[str, Any]]:
    line = {"price_data": {"currency": "eur"}}
    session = make_session({"mode": "payment", "line_items": [line]}, amount=100, url="http://x")
    intent = make_intent(session, {})
    charge = make_charge(intent)
    return {
        "checkout.session": session,
        "payment_intent": intent,
        "charge": charge,
        "refund": make_refund(charge, {}, amount=1, status="pending"),
        "event": make_event("charge.captured", charge, None),
    }


@pytest.mark.skipif(not EXAMPLES.exists(), reason="Stripe's examples are not on this machine.")
@pytest.mark.parametrize("kind", ["checkout.session", "payment_intent", "charge", "refund", "event"])
def test_object_has_only_fields_of_stripe_s_own_example(kind: str):
    example = json.loads(EXAMPLES.read_text())["resources"][kind]
    made = made_objects()[kind]

    assert made.keys() - example.keys() == set()
    of_one_type = {
        name
        for name in made
        if None in (made[name], example[name]) or type(made[name]) is type(example[name])
    }
    assert of_one_type == made.keys()


@pytest.fixture
def api(strict_stripe: StrictStripeProcess):
    with httpx.Client(base_url=strict_stripe.url, headers={"Authorization": f"Bearer {API_KEY}"}) as client:
        yield client


@pytest.fixture
def session_id(gateway) -> str:
    return gateway.create(make_order()).reference


@pytest.fixture
def intent_id(strict_stripe, session_id) -> str:
    strict_stripe.pay(session_id)
    return strict_stripe.ledger()[0]["id"]


def post(api: httpx.Client, path: str, key: str = "", **params: str) -> tuple[int, str]:
    """The status, and the code or type of the error."""
    headers = {"Idempotency-Key": key} if key else {}
    answer = api.post(path, data=params, headers=headers)
    error = answer.json().get("error", {})
    return answer.status_code, error.get("code") or error.get("type", "")


@pytest.mark.parametrize(
    ("path", "params", "param"),
    [
        (
            "/v1/checkout/sessions",
            {"mode": "payment", "payment_method_types[0]": "card"},
            "payment_method_types",
        ),
        ("/v1/checkout/sessions", {"line_items[0][price_data][unit_amout]": "1"}, "currency"),
        ("/v1/refunds", {"payment_intent": "pi_1", "api_key": "x"}, "api_key"),
    ],
)
def test_parameter_that_the_library_does_not_know_is_refused(
    api, path: str, params: dict[str, str], param: str
):
    answer = api.post(path, data=params)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_wrong_key_is_let_nowhere(strict_stripe):
    answer = httpx.get(f"{strict_stripe.url}/v1/refunds", headers={"Authorization": "Bearer sk_test_other"})

    assert answer.status_code == 401


def test_money_moves_only_as_stripe_lets_it(api, strict_stripe, intent_id):
    capture, cancel = f"/v1/payment_intents/{intent_id}/capture", f"/v1/payment_intents/{intent_id}/cancel"
    wrong_state = (400, "payment_intent_unexpected_state")

    assert post(api, "/v1/refunds", payment_intent=intent_id) == wrong_state
    assert post(api, capture, amount_to_capture="4991") == (400, "amount_too_large")
    assert post(api, capture) == (200, "")
    assert post(api, capture) == wrong_state
    assert post(api, cancel) == wrong_state
    assert post(api, "/v1/refunds", payment_intent=intent_id, amount="4991") == (400, "amount_too_large")
    assert post(api, "/v1/refunds", payment_intent=intent_id) == (200, "")
    assert post(api, "/v1/refunds", payment_intent=intent_id) == (400, "charge_already_refunded")
    (line,) = strict_stripe.ledger()
    assert (line["captured"], line["refunded"]) == (4990, 4990)


def test_cancelled_intent_is_not_captured(api, strict_stripe, intent_id):
    assert post(api, f"/v1/payment_intents/{intent_id}/cancel") == (200, "")
    assert post(api, f"/v1/payment_intents/{intent_id}/capture") == (400, "payment_intent_unexpected_state")
    assert strict_stripe.ledger()[0]["captured"] == 0


def test_idempotency_key_acts_once_and_for_one_request_alone(api, strict_stripe, intent_id):
    capture = f"/v1/payment_intents/{intent_id}/capture"
    post(api, capture)
    refund = {"payment_intent": intent_id, "amount": "10"}

    assert post(api, "/v1/refunds", "key", **refund) == post(api, "/v1/refunds", "key", **refund) == (200, "")
    assert post(api, "/v1/refunds", "key", **{**refund, "amount": "11"}) == (400, "idempotency_error")
    assert strict_stripe.ledger()[0]["refunded"] == 10


def test_expired_page_takes_no_card(strict_stripe, session_id):
    strict_stripe.tell("expire", session=session_id)

    assert strict_stripe.pay(session_id) == "closed"
    assert strict_stripe.ledger() == []


WRONG = """
from stripe.params import RefundCreateParams
from stripe.params.checkout import SessionCreateParams

refund: RefundCreateParams = {"payment_intent": "pi_1", "amount": "990"}
session: SessionCreateParams = {"mode": "payment", "payment_method_types": ["card"]}
"""


def test_mypy_refuses_a_parameter_that_stripe_does_not_know(tmp_path: Path):
    """The adapter's parameters have these types, and `make check` runs mypy over it."""
    source = tmp_path / "wrong.py"
    source.write_text(WRONG)
    # With the project's own options, and so with the cache that `make check` leaves.
    command = [sys.executable, "-m", "mypy", str(source)]
    done = subprocess.run(
        command, cwd=project.BASE_DIR, capture_output=True, text=True, check=False, timeout=300
    )

    assert done.returncode == 1
    errors = [line.partition("error: ")[2] for line in done.stdout.splitlines() if "error: " in line]
    assert [error.rpartition("[")[2] for error in errors] == ["typeddict-item]", "typeddict-unknown-key]"]
