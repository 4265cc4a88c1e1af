"""One account at Stripe: what is in it, and the rules that Stripe keeps."""

from __future__ import annotations

import copy
import operator
import time
from collections.abc import Callable
from typing import Any

from tests.gateways.strict_stripe.shapes import (
    Object,
    make_charge,
    make_event,
    make_intent,
    make_refund,
    make_session,
)

# What a card does when it is tried; every other number is no card.
CARDS = {
    "4242424242424242": "authorise",
    "4000000000003220": "ask",
    "4000000000000002": "card_declined",
    "4000000000009995": "insufficient_funds",
}
MESSAGES = {
    "card_declined": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
    "payment_intent_authentication_failure": "The payment could not be authenticated.",
}
CANCELLABLE = {"requires_payment_method", "requires_confirmation", "requires_action", "requires_capture"}
COMPARISONS = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}
LARGEST_AMOUNT = 99_999_999


class Refusal(Exception):
    """An answer that is an error, as Stripe words it."""

    def __init__(self, status: int, code: str, message: str, *, kind: str = "", param: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body: Object = {
            "error": {"type": kind or "invalid_request_error", "code": code, "message": message}
        }
        if param:
            self.body["error"]["param"] = param


class Account:
    """Not safe for threads by itself: the server lets one request in at a time."""

    def __init__(self, *, url: str, on_event: Callable[[Object], None]) -> None:
        self.url = url
        self.on_event = on_event
        self.objects: dict[str, Object] = {}
        # What a session's intent is to be made of, once somebody pays.
        self.intent_data: dict[str, Object] = {}
        self.refunds_become = "succeeded"
        self.idempotency_key: str | None = None

    # --- Sessions -------------------------------------------------------------------------

    def create_session(self, params: Object) -> Object:
        if params.get("mode") != "payment" or len(params.get("line_items", [])) != 1:
            raise Refusal(400, "parameter_invalid", "This stand-in sells one line in mode payment.")
        line = params["line_items"][0]
        amount = _amount(line["price_data"].get("unit_amount")) * _amount(line.get("quantity", "1"))
        session = make_session(params, amount=amount, url=self.url)
        self.intent_data[session["id"]] = params.get("payment_intent_data", {})
        return self._add(session)

    def retrieve_session(self, params: Object, session_id: str) -> Object:
        return self._find(session_id, "checkout.session")

    def list_sessions(self, params: Object) -> Object:
        return self._list("checkout.session", params)

    def expire_session(self, params: Object, session_id: str) -> Object:
        session = self._find(session_id, "checkout.session")
        if session["status"] != "open":
            raise Refusal(
                400,
                "",
                f"Only Checkout Sessions with a status in ['open'] can be expired: {session['status']}.",
            )
        session.update(status="expired", url=None)
        intent = self.objects.get(session["payment_intent"] or "")
        if intent is not None:
            self._cancel(intent)
        self._tell("checkout.session.expired", session)
        return session

    # --- The buyer ------------------------------------------------------------------------

    def pay(self, session_id: str, card: str) -> str:
        """Try a card on a session's page; returns what became of it, in a word."""
        session = self._find(session_id, "checkout.session")
        if session["status"] != "open" or card not in CARDS:
            return "closed" if card in CARDS else "incorrect_number"
        intent = self._intent_of(session)
        result = CARDS[card]
        if result == "authorise":
            self._authorise(session, intent)
        elif result == "ask":
            intent.update(status="requires_action", next_action={"type": "use_stripe_sdk"})
            self._tell("payment_intent.requires_action", intent)
        else:
            self._decline(intent, result)
        return result

    def answer_bank(self, session_id: str, *, yes: bool) -> str:
        """What the buyer says to their bank, which asked."""
        session = self._find(session_id, "checkout.session")
        intent = self._intent_of(session)
        if session["status"] != "open" or intent["status"] != "requires_action":
            return "closed"
        intent["next_action"] = None
        if not yes:
            self._decline(intent, "payment_intent_authentication_failure")
            return "payment_intent_authentication_failure"
        self._authorise(session, intent)
        return "authorise"

    def _intent_of(self, session: Object) -> Object:
        """An intent is made when the buyer first tries to pay, not with the page."""
        if session["payment_intent"] is None:
            intent = self._add(make_intent(session, self.intent_data[session["id"]]))
            session["payment_intent"] = intent["id"]
            self._tell("payment_intent.created", intent)
        return self.objects[session["payment_intent"]]

    def _authorise(self, session: Object, intent: Object) -> None:
        charge = self._add(make_charge(intent))
        intent.update(latest_charge=charge["id"], last_payment_error=None, amount_capturable=intent["amount"])
        intent["status"] = "requires_capture"
        session.update(status="complete", url=None)
        self._tell("charge.succeeded", charge)
        if intent["capture_method"] == "manual":
            self._tell("payment_intent.amount_capturable_updated", intent)
        else:
            self._take(intent, intent["amount"])
            session["payment_status"] = "paid"
        self._tell("checkout.session.completed", session)

    def _decline(self, intent: Object, code: str) -> None:
        charge = self._add(make_charge(intent))
        charge.update(status="failed", paid=False, failure_code=code, failure_message=MESSAGES[code])
        error = {"type": "card_error", "code": code, "message": MESSAGES[code], "charge": charge["id"]}
        intent.update(status="requires_payment_method", latest_charge=charge["id"], last_payment_error=error)
        self._tell("charge.failed", charge)
        self._tell("payment_intent.payment_failed", intent)

    # --- Intents --------------------------------------------------------------------------

    def retrieve_intent(self, params: Object, intent_id: str) -> Object:
        return self._find(intent_id, "payment_intent")

    def list_intents(self, params: Object) -> Object:
        return self._list("payment_intent", params)

    def capture_intent(self, params: Object, intent_id: str) -> Object:
        intent = self._find(intent_id, "payment_intent")
        if intent["status"] != "requires_capture":
            raise _unexpected_state(intent, "captured")
        amount = _amount(params.get("amount_to_capture", str(intent["amount_capturable"])))
        if amount > intent["amount_capturable"]:
            raise Refusal(400, "amount_too_large", "The amount is more than what can be captured.")
        self._take(intent, amount)
        return intent

    def cancel_intent(self, params: Object, intent_id: str) -> Object:
        intent = self._find(intent_id, "payment_intent")
        pages = [one for one in self._all("checkout.session") if one["payment_intent"] == intent_id]
        if any(page["status"] == "open" for page in pages):
            raise Refusal(400, "", "You cannot cancel the PaymentIntent of an open Checkout Session.")
        if intent["status"] not in CANCELLABLE:
            raise _unexpected_state(intent, "canceled")
        self._cancel(intent)
        return intent

    def _take(self, intent: Object, amount: int) -> None:
        charge = self.objects[intent["latest_charge"]]
        charge.update(captured=True, amount_captured=amount)
        intent.update(status="succeeded", amount_received=amount, amount_capturable=0)
        self._tell("charge.captured", charge)
        self._tell("payment_intent.succeeded", intent)

    def _cancel(self, intent: Object) -> None:
        charge = self.objects.get(intent["latest_charge"] or "")
        if charge is not None and intent["status"] == "requires_capture":
            # Stripe shows money that was let go as refunded.
            charge.update(refunded=True, amount_refunded=charge["amount"])
            self._tell("charge.refunded", charge)
        intent.update(status="canceled", canceled_at=int(time.time()), amount_capturable=0, next_action=None)
        self._tell("payment_intent.canceled", intent)

    # --- Refunds --------------------------------------------------------------------------

    def create_refund(self, params: Object) -> Object:
        intent = self._find(params.get("payment_intent", ""), "payment_intent")
        if intent["status"] != "succeeded":
            raise _unexpected_state(intent, "refunded")
        charge = self.objects[intent["latest_charge"]]
        left = charge["amount_captured"] - charge["amount_refunded"]
        if left == 0:
            raise Refusal(400, "charge_already_refunded", f"Charge {charge['id']} has already been refunded.")
        amount = _amount(params.get("amount", str(left)))
        if amount > left:
            raise Refusal(400, "amount_too_large", f"Refund amount {amount} is greater than {left}.")
        refund = self._add(make_refund(charge, params, amount=amount, status="pending"))
        self._tell("refund.created", refund)
        self._move_refunded(charge, amount)
        if self.refunds_become != "pending":
            self.settle_refund(refund["id"], self.refunds_become)
        return refund

    def list_refunds(self, params: Object) -> Object:
        return self._list("refund", params)

    def settle_refund(self, refund_id: str, status: str) -> Object:
        """The bank has taken the money, or sent it back to us."""
        refund = self._find(refund_id, "refund")
        if refund["status"] != "pending":
            raise Refusal(400, "", f"The refund is {refund['status']}.")
        refund["status"] = status
        if status == "failed":
            refund["failure_reason"] = "expired_or_canceled_card"
            self._move_refunded(self.objects[refund["charge"]], -refund["amount"])
            self._tell("refund.failed", refund)
        else:
            self._tell("refund.updated", refund)
        return refund

    def _move_refunded(self, charge: Object, amount: int) -> None:
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
        self._tell("charge.refunded" if amount > 0 else "charge.updated", charge)

    # --- All objects ----------------------------------------------------------------------

    def ledger(self) -> list[Object]:
        """What money did, a line for each intent; amounts in the smallest unit."""
        return [self._line(intent) for intent in self._all("payment_intent")]

    def _line(self, intent: Object) -> Object:
        charge = self.objects.get(intent["latest_charge"] or "", {})
        refunds = [one for one in self._all("refund") if one["payment_intent"] == intent["id"]]
        return {
            "id": intent["id"],
            "payment": intent["metadata"].get("payment", ""),
            "booking": intent["metadata"].get("booking", ""),
            "status": intent["status"],
            "currency": intent["currency"],
            "amount": intent["amount"],
            "captured": charge.get("amount_captured", 0),
            "refunded": sum(one["amount"] for one in refunds if one["status"] == "succeeded"),
            "refund_ids": [one["id"] for one in refunds],
            "refunds_pending": sum(one["amount"] for one in refunds if one["status"] == "pending"),
        }

    def expand(self, found: Object, paths: list[str]) -> Object:
        """A copy, with the objects at these paths in place of their ids."""
        answer = copy.deepcopy(found)
        for path in paths:
            self._expand(answer, path.split("."))
        return answer

    def _expand(self, node: Any, path: list[str]) -> None:
        if not path or node is None:
            return
        if isinstance(node, list):
            for one in node:
                self._expand(one, path)
            return
        step, *rest = path
        if step not in node:
            raise Refusal(400, "", f"This property cannot be expanded ({step}).", param="expand")
        if isinstance(node[step], str):
            node[step] = copy.deepcopy(self.objects[node[step]])
        self._expand(node[step], rest)

    def _add(self, made: Object) -> Object:
        self.objects[made["id"]] = made
        return made

    def _all(self, kind: str) -> list[Object]:
        return [one for one in self.objects.values() if one["object"] == kind]

    def _find(self, object_id: str, kind: str) -> Object:
        found = self.objects.get(object_id)
        if found is None or found["object"] != kind:
            raise Refusal(404, "resource_missing", f"No such {kind}: '{object_id}'")
        return found

    def _list(self, kind: str, params: Object) -> Object:
        """Newest first, a page at a time."""
        found = self._all(kind)[::-1]
        for name, edge in params.get("created", {}).items():
            found = [one for one in found if COMPARISONS[name](one["created"], int(edge))]
        if intent := params.get("payment_intent"):
            found = [one for one in found if one["payment_intent"] == intent]
        if after := params.get("starting_after"):
            found = found[[one["id"] for one in found].index(after) + 1 :]
        limit = int(params.get("limit", "10"))
        if not 1 <= limit <= 100:
            raise Refusal(400, "", "limit must be between 1 and 100", param="limit")
        url = f"/v1/{kind.replace('.', '/')}s"
        return {"object": "list", "data": found[:limit], "has_more": len(found) > limit, "url": url}

    def _tell(self, kind: str, about: Object) -> None:
        self.on_event(make_event(kind, copy.deepcopy(about), self.idempotency_key))


def _amount(text: Any) -> int:
    if not isinstance(text, str) or not text.isdecimal() or not 0 < int(text) <= LARGEST_AMOUNT:
        raise Refusal(400, "parameter_invalid_integer", f"Invalid positive integer: {text}")
    return int(text)


def _unexpected_state(intent: Object, wanted: str) -> Refusal:
    return Refusal(
        400,
        "payment_intent_unexpected_state",
        f"This PaymentIntent could not be {wanted} because it has a status of {intent['status']}.",
    )
