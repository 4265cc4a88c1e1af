"""Stripe Checkout: the buyer pays on Stripe's own page, and no card number comes near us.

A payment's reference is its Checkout Session's id; an intent's id is understood too. The parameters
of every request have the library's own types, so that mypy refuses one that Stripe does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

import stripe
from django.conf import settings
from stripe.checkout import Session
from stripe.params import PaymentIntentCancelParams, PaymentIntentCaptureParams, RefundCreateParams
from stripe.params.checkout import SessionCreateParams, SessionExpireParams, SessionListParams

from bookings.gateways import (
    GatewayError,
    GatewayPayment,
    GatewayRefund,
    GatewayRefused,
    GatewayState,
    Notice,
    PaymentOrder,
)
from bookings.gateways.stripe.http import BudgetedClient, is_kept, within_budget
from bookings.gateways.stripe.minor_units import to_minor
from bookings.gateways.stripe.notices import SIGNATURE_HEADER, read_signed
from bookings.gateways.stripe.records import Record, describe_refund

PAGE = 100
INTENT = ["latest_charge"]
SESSION = ["payment_intent.latest_charge"]
LISTED_SESSION = ["data.payment_intent.latest_charge"]

Written = TypeVar("Written", stripe.PaymentIntent, Session)

# With two, a buyer whom Stripe failed twice could not pay for that hold any more.
KEYS_OF_A_WRITE = 5


class StripeGateway:
    """Takes money through Stripe. Each call ends within four seconds; see `http.py`."""

    def __init__(self) -> None:
        self._http = BudgetedClient()
        client = stripe.StripeClient(
            settings.STRIPE_SECRET_KEY,
            http_client=self._http,
            base_addresses={"api": settings.STRIPE_API_BASE},
        )
        self._api = client.v1

    def close(self) -> None:
        """Give back the connections, where the process outlives the gateway."""
        self._http.close()

    def create(self, order: PaymentOrder) -> GatewayPayment:
        params = _session_params(order)
        with _asking():
            # Nobody was sent to a page that was ordered before, so that another is not paid twice.
            session = _write(lambda once: self._api.checkout.sessions.create(params, once), order.key)
        return Record.of(session).described()

    def retrieve(self, reference: str) -> GatewayPayment:
        with _asking():
            return self._read(reference).described()

    def capture(self, reference: str, *, key: str) -> GatewayPayment:
        params: PaymentIntentCaptureParams = {"expand": INTENT}
        with _asking():
            record = self._read(reference)
            intent = record.intent
            if record.state is GatewayState.AUTHORISED and intent is not None:
                taken = _write(lambda once: self._api.payment_intents.capture(intent.id, params, once), key)
                record = Record(record.session, taken)
        return _ended(record, GatewayState.CAPTURED)

    def void(self, reference: str, *, key: str) -> GatewayPayment:
        params: PaymentIntentCancelParams = {"expand": INTENT}
        with _asking():
            record = self._read(reference)
            if record.state is GatewayState.OPEN and record.session is not None:
                record = self._close_page(record.session.id, key=f"{key}-page")
            intent = record.intent
            has_no_page = record.session is None and record.state is GatewayState.OPEN
            if intent is not None and (has_no_page or record.state is GatewayState.AUTHORISED):
                left = _write(lambda once: self._api.payment_intents.cancel(intent.id, params, once), key)
                record = Record(record.session, left)
        return _ended(record, GatewayState.VOIDED)

    def refund(self, reference: str, *, amount: Decimal, currency: str, key: str) -> GatewayRefund:
        with _asking():
            record = self._read(reference)
            taken = _ended(record, GatewayState.CAPTURED)
            if record.intent is None or taken.currency != currency:
                raise GatewayRefused(f"it was paid in {taken.currency}, not in {currency}")
            params: RefundCreateParams = {
                "payment_intent": record.intent.id,
                "amount": to_minor(amount, currency),
                "metadata": {"refund": key, "payment": record.key},
            }
            made = self._api.refunds.create(params, {"idempotency_key": f"refund-{key}"})
        return describe_refund(made)

    def refunds(self, reference: str) -> Sequence[GatewayRefund]:
        with _asking():
            record = self._read(reference)
            if record.intent is None or record.state is not GatewayState.CAPTURED:
                return []
            found = self._api.refunds.list({"payment_intent": record.intent.id, "limit": PAGE})
            return [describe_refund(refund) for refund in found.auto_paging_iter()]

    def payments_since(self, start: datetime) -> Iterator[GatewayPayment]:
        """Newest first. Each page of the list is a call of its own."""
        params: SessionListParams = {
            "created": {"gte": int(start.timestamp())},
            "limit": PAGE,
            "expand": LISTED_SESSION,
        }
        while True:
            with _asking():
                page = self._api.checkout.sessions.list(params)
            yield from (Record.of(session).described() for session in page.data)
            if not page.has_more:
                return
            params["starting_after"] = page.data[-1].id

    def read_notice(self, body: bytes, headers: Mapping[str, str]) -> Notice:
        secrets = [secret.strip() for secret in settings.STRIPE_WEBHOOK_SECRET.split(",")]
        return read_signed(body, headers.get(SIGNATURE_HEADER, ""), [secret for secret in secrets if secret])

    def _read(self, reference: str) -> Record:
        if reference.startswith("pi_"):
            return Record(None, self._api.payment_intents.retrieve(reference, {"expand": INTENT}))
        return Record.of(self._api.checkout.sessions.retrieve(reference, {"expand": SESSION}))

    def _close_page(self, session_id: str, *, key: str) -> Record:
        """Let nobody pay there any more; a buyer who was quicker is found to have paid."""
        params: SessionExpireParams = {"expand": SESSION}
        try:
            session = _write(lambda once: self._api.checkout.sessions.expire(session_id, params, once), key)
        except stripe.InvalidRequestError as error:
            record = self._read(session_id)
            if record.state is GatewayState.OPEN:
                raise GatewayError("somebody is paying at this moment") from error
            return record
        return Record.of(session)


@contextmanager
def _asking() -> Iterator[None]:
    """Keeps to the budget, and tells what Stripe refused from what nobody knows.

    A wrong key is no refusal: payments wait until it is mended.
    """
    try:
        with within_budget():
            yield
    except (stripe.InvalidRequestError, stripe.CardError, stripe.IdempotencyError) as error:
        raise GatewayRefused(error.user_message or str(error)) from error
    except stripe.APIConnectionError as error:
        raise GatewayError(f"no answer: {error}") from error
    except stripe.StripeError as error:
        raise GatewayError(f"{type(error).__name__}: {error.user_message or error}") from error


def _write(write: Callable[[stripe.RequestOptions], Written], key: str) -> Written:
    """Write once, under the key; under the next of a few where one is taken.

    A key is taken for a day by a failure that Stripe keeps, or by an order with the buyer's old
    address. This is for writes alone that Stripe would not do twice under two keys: not for refunds.
    """
    names = [key, *(f"{key}-{number}" for number in range(2, KEYS_OF_A_WRITE + 1))]
    for name in names[:-1]:
        try:
            return write({"idempotency_key": name})
        except (stripe.IdempotencyError, stripe.APIError) as error:
            if not isinstance(error, stripe.IdempotencyError) and not is_kept(error.headers or {}):
                raise
    return write({"idempotency_key": names[-1]})


def _session_params(order: PaymentOrder) -> SessionCreateParams:
    """A page that asks for a card, which alone can be authorised first and charged later."""
    metadata = {"booking": order.booking, "payment": order.key}
    params: SessionCreateParams = {
        "mode": "payment",
        "allowed_payment_method_types": ["card"],
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": order.currency.lower(),
                    "unit_amount": to_minor(order.amount, order.currency),
                    "product_data": {"name": order.description},
                },
            }
        ],
        "payment_intent_data": {
            "capture_method": "manual",
            "description": order.description,
            "metadata": metadata,
        },
        # The buyer pays what they were shown, in the currency they were shown.
        "adaptive_pricing": {"enabled": False},
        "client_reference_id": order.key,
        "metadata": metadata,
        "success_url": order.return_url,
        "cancel_url": order.return_url,
    }
    if order.email:
        params["customer_email"] = order.email
    return params


def _ended(record: Record, wanted: GatewayState) -> GatewayPayment:
    """Raises `GatewayRefused` for a payment that went, or stays, another way."""
    if record.state is not wanted:
        raise GatewayRefused(f"the payment is {record.state.value}, and cannot become {wanted.value}")
    return record.described()
