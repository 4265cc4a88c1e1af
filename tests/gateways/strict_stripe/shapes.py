"""Objects with the fields of Stripe's own that a program may rely on."""

from __future__ import annotations

import secrets
import time
from typing import Any

Object = dict[str, Any]


def new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


def make_session(params: Object, *, amount: int, url: str) -> Object:
    session_id = new_id("cs_test")
    now = int(time.time())
    return {
        "id": session_id,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": params.get("adaptive_pricing", {}).get("enabled") != "false"},
        "amount_subtotal": amount,
        "amount_total": amount,
        "cancel_url": params.get("cancel_url"),
        "client_reference_id": params.get("client_reference_id"),
        "created": now,
        "currency": params["line_items"][0]["price_data"]["currency"],
        "customer": None,
        "customer_email": params.get("customer_email"),
        "expires_at": now + 24 * 3600,
        "livemode": False,
        "metadata": params.get("metadata", {}),
        "mode": params["mode"],
        "payment_intent": None,
        "payment_method_types": params.get("allowed_payment_method_types", ["card"]),
        "payment_status": "unpaid",
        "status": "open",
        "success_url": params.get("success_url"),
        "url": f"{url}/pay/{session_id}",
    }


def make_intent(session: Object, data: Object) -> Object:
    intent_id = new_id("pi")
    return {
        "id": intent_id,
        "object": "payment_intent",
        "amount": session["amount_total"],
        "amount_capturable": 0,
        "amount_received": 0,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": data.get("capture_method", "automatic_async"),
        "client_secret": f"{intent_id}_secret_{secrets.token_hex(8)}",
        "created": int(time.time()),
        "currency": session["currency"],
        "description": data.get("description"),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": data.get("metadata", {}),
        "next_action": None,
        "payment_method_types": ["card"],
        "status": "requires_payment_method",
    }


def make_charge(intent: Object) -> Object:
    return {
        "id": new_id("ch"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "captured": False,
        "created": int(time.time()),
        "currency": intent["currency"],
        "description": intent["description"],
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        # As Stripe does, when the charge is made: later changes of the intent's do not follow.
        "metadata": dict(intent["metadata"]),
        "paid": True,
        "payment_intent": intent["id"],
        "refunded": False,
        "status": "succeeded",
    }


def make_refund(charge: Object, params: Object, *, amount: int, status: str) -> Object:
    return {
        "id": new_id("re"),
        "object": "refund",
        "amount": amount,
        "charge": charge["id"],
        "created": int(time.time()),
        "currency": charge["currency"],
        "metadata": params.get("metadata", {}),
        "payment_intent": charge["payment_intent"],
        "reason": params.get("reason"),
        "status": status,
    }


def make_event(kind: str, about: Object, idempotency_key: str | None) -> Object:
    return {
        "id": new_id("evt"),
        "object": "event",
        "api_version": None,
        "created": int(time.time()),
        "data": {"object": about},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": new_id("req"), "idempotency_key": idempotency_key},
        "type": kind,
    }
