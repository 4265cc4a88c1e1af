"""Stripe's notices: whose are believed, and what they are about."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from bookings.exceptions import InvalidNotice
from bookings.gateways.stripe.notices import LONGEST_BODY
from tests.gateways.houses import sign_as_stripe
from tests.gateways.strict_stripe.client import WEBHOOK_SECRET
from tests.gateways.strict_stripe.shapes import make_event

KEY = "5f0c9a8e-3c2b-4a58-9a1f-6f0e2a7d1b11"
SESSION = {"id": "cs_test_1", "object": "checkout.session", "metadata": {"payment": KEY}}


def read(gateway, event: Any, **signing: Any):
    body = json.dumps(event)
    return gateway.read_notice(body.encode(), sign_as_stripe(body, **signing))


def test_notice_is_kept_as_it_came(gateway):
    event = make_event("checkout.session.completed", SESSION, "a-key")

    notice = read(gateway, event)

    assert (notice.provider_id, notice.kind, notice.payload) == (event["id"], event["type"], event)


@pytest.mark.parametrize(
    ("about", "key", "reference"),
    [
        (SESSION, KEY, "cs_test_1"),
        ({**SESSION, "metadata": {}, "client_reference_id": KEY}, KEY, "cs_test_1"),
        ({**SESSION, "metadata": {"payment": KEY.upper()}}, KEY, "cs_test_1"),
        ({"id": "pi_1", "object": "payment_intent", "metadata": {"payment": KEY}}, KEY, ""),
        ({"id": "re_1", "object": "refund", "metadata": {"payment": KEY, "refund": "r1"}}, KEY, ""),
        ({"id": "pi_1", "object": "payment_intent", "metadata": {}}, "", ""),
        ({"id": "cs_1", "object": "checkout.session", "client_reference_id": "x" * 200}, "", ""),
        ({"id": "cs_1", "object": "checkout.session", "metadata": {"payment": "their own"}}, "", ""),
        ({"id": "po_1", "object": "payout", "metadata": None}, "", ""),
        ({"object": "balance", "metadata": ["no object"]}, "", ""),
    ],
)
def test_notice_says_which_payment_of_ours_it_is_about(
    gateway, about: dict[str, Any], key: str, reference: str
):
    notice = read(gateway, make_event("any.event", about, None))

    assert (notice.key, notice.reference) == (key, reference)


@pytest.mark.parametrize("secret", [WEBHOOK_SECRET, "whsec_next"])
def test_either_of_two_secrets_signs_while_one_takes_over(gateway, settings, secret: str):
    settings.STRIPE_WEBHOOK_SECRET = f"{WEBHOOK_SECRET}, whsec_next"

    assert read(gateway, make_event("any.event", SESSION, None), secret=secret).key == KEY


@pytest.mark.parametrize("known", ["", " , ", "whsec_other"])
def test_no_secret_and_another_secret_believe_nobody(gateway, settings, known: str):
    settings.STRIPE_WEBHOOK_SECRET = known
    for secret in (WEBHOOK_SECRET, ""):
        with pytest.raises(InvalidNotice):
            read(gateway, make_event("any.event", SESSION, None), secret=secret)


@pytest.mark.parametrize("seconds", [-299, 0, 299])
def test_notice_within_five_minutes_is_believed(gateway, seconds: int):
    event = make_event("any.event", SESSION, None)

    assert read(gateway, event, sent_at=time.time() + seconds).provider_id == event["id"]


@pytest.mark.parametrize("seconds", [-302, 302, 10**9])
def test_notice_of_another_time_is_refused(gateway, seconds: int):
    with pytest.raises(InvalidNotice):
        read(gateway, make_event("any.event", SESSION, None), sent_at=time.time() + seconds)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=",
        "t=,v1=",
        "v1=abc",
        "t=now,v1=abc",
        "t=1,v1",
        "=,=",
        "t=9" + "9" * 5000 + ",v1=a",
        "\x00",
        "t=1,v0=a",
    ],
)
def test_garbage_for_a_signature_is_refused(gateway, header: str):
    with pytest.raises(InvalidNotice):
        gateway.read_notice(b"{}", {"Stripe-Signature": header})


def test_body_that_is_no_text_is_refused(gateway):
    signed = sign_as_stripe("{}")
    with pytest.raises(InvalidNotice):
        gateway.read_notice(b"\xff\xfe{}", signed)


def test_body_that_is_too_long_is_refused_before_it_is_read(gateway):
    event = make_event("any.event", {**SESSION, "filling": ""}, None)
    room = LONGEST_BODY - len(json.dumps(event))
    event["data"]["object"]["filling"] = "x" * room
    fitting = read(gateway, event)
    event["data"]["object"]["filling"] += "x"

    assert fitting.key == KEY
    with pytest.raises(InvalidNotice):
        read(gateway, event)


@pytest.mark.parametrize(
    "body",
    [
        "no json",
        "[]",
        "null",
        "{}",
        '{"id": 1, "type": "x", "data": {"object": {}}}',
        '{"id": "evt_1", "type": "x", "data": []}',
        '{"id": "evt_1", "type": "x", "data": {"object": null}}',
        '{"id": "evt_1", "type": "x", "data": {"object": {"name": "\\u0000"}}}',
        '{"id": "evt_1", "type": "x", "data": {"object": {"name": "\\ud800"}}}',
        "[" * 50_000,
    ],
)
def test_signed_body_that_is_no_event_or_cannot_be_kept_is_refused(gateway, body: str):
    with pytest.raises(InvalidNotice):
        gateway.read_notice(body.encode(), sign_as_stripe(body))
