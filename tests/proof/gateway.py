"""A gateway that fails in every way, with the sandbox's records as its ledger.

It tells the model what the box office has heard, and writes down each order that the box office
had no right to give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from bookings.gateways import (
    GatewayError,
    GatewayPayment,
    GatewayRefund,
    GatewayRefused,
    PaymentOrder,
    RefundState,
)
from bookings.sandbox.gateway import SandboxGateway
from tests.proof.model import LET_GO, Model, ModelPayment

Answer = TypeVar("Answer")

METHODS = ["create", "retrieve", "capture", "void", "refund", "refunds", "payments_since"]
FAULTS = ["loses the answer", "does not answer", "refuses"]


@dataclass
class Network:
    """What is between the box office and the gateway, and everything that is wrong with it."""

    model: Model
    is_away: bool = False
    # The next call of the method fails so.
    faults: dict[str, str] = field(default_factory=dict)
    # The next refund is taken, and: "pending" for a while, or "failed" in the end.
    next_refund: str = ""
    pending_refunds: set[str] = field(default_factory=set)
    failed_refunds: list[tuple[str, GatewayRefund]] = field(default_factory=list)
    # Orders that should never have been given.
    wrongs: list[str] = field(default_factory=list)

    def heal(self) -> None:
        self.is_away, self.next_refund = False, ""
        self.faults.clear()
        self.pending_refunds.clear()


class UnreliableGateway(SandboxGateway):
    network: Network

    def create(self, order: PaymentOrder) -> GatewayPayment:
        model = self.network.model
        payment = model.begin_payment(order.key, model.bookings[UUID(order.booking)])
        self._expect(order.amount == payment.amount, f"asked for {order.amount}, not {payment.amount}")
        made = self._call("create", lambda: super(UnreliableGateway, self).create(order))
        payment.is_sent = True
        return made

    def retrieve(self, reference: str) -> GatewayPayment:
        return self._heard(self._call("retrieve", lambda: super(UnreliableGateway, self).retrieve(reference)))

    def capture(self, reference: str, *, key: str) -> GatewayPayment:
        payment = self._payment(reference)
        self._expect(payment.decision == "capture", f"took money for nothing: {payment.key}")

        def take() -> GatewayPayment:
            done = super(UnreliableGateway, self).capture(reference, key=key)
            payment.at_gateway = "captured"
            return done

        return self._heard(self._call("capture", take))

    def void(self, reference: str, *, key: str) -> GatewayPayment:
        payment = self._payment(reference)
        nobody_comes = payment.at_gateway == "open" and self.network.model.is_abandoned(payment.booking)
        may_let_go = payment.decision == "void" or payment.books in LET_GO or nobody_comes
        self._expect(may_let_go, f"let money go that paid for tickets: {payment.key}")

        def let_go() -> GatewayPayment:
            done = super(UnreliableGateway, self).void(reference, key=key)
            payment.at_gateway = "voided"
            return done

        return self._heard(self._call("void", let_go))

    def refund(self, reference: str, *, amount: Decimal, currency: str, key: str) -> GatewayRefund:
        payment, refund_id = self._payment(reference), key.partition(":")[0]
        self._expect(refund_id not in payment.went_back, f"gave back twice: {refund_id}")
        back = sum(payment.went_back.values(), amount)
        self._expect(back <= payment.promised_back, f"gave back {back} of {payment.promised_back}")

        def give() -> GatewayRefund:
            fate, self.network.next_refund = self.network.next_refund, ""
            if fate == "failed":
                failed = GatewayRefund(key, RefundState.FAILED, amount, "the account is closed")
                self.network.failed_refunds.append((reference, failed))
                return failed
            made = super(UnreliableGateway, self).refund(reference, amount=amount, currency=currency, key=key)
            payment.went_back[refund_id] = amount
            if fate == "pending":
                self.network.pending_refunds.add(key)
            return self._as_told(made)

        return self._call("refund", give)

    def refunds(self, reference: str) -> Sequence[GatewayRefund]:
        made = self._call("refunds", lambda: super(UnreliableGateway, self).refunds(reference))
        failed = [refund for of, refund in self.network.failed_refunds if of == reference]
        return failed + [self._as_told(refund) for refund in made]

    def payments_since(self, start: datetime) -> Iterator[GatewayPayment]:
        return self._call("payments_since", lambda: super(UnreliableGateway, self).payments_since(start))

    def _as_told(self, refund: GatewayRefund) -> GatewayRefund:
        is_pending = refund.key in self.network.pending_refunds
        state = RefundState.PENDING if is_pending else refund.state
        return GatewayRefund(refund.key, state, refund.amount)

    def _call(self, method: str, act: Callable[[], Answer]) -> Answer:
        fault = self.network.faults.pop(method, "")
        if self.network.is_away or fault == "does not answer":
            raise GatewayError("nobody answers")
        if fault == "refuses":
            raise GatewayRefused("no")
        answer = act()
        if fault == "loses the answer":
            raise GatewayError("the connection broke")
        return answer

    def _heard(self, told: GatewayPayment) -> GatewayPayment:
        model = self.network.model
        model.hear(model.payments[told.key], told.state.value)
        return told

    def _payment(self, reference: str) -> ModelPayment:
        return self.network.model.payments[super().retrieve(reference).key]

    def _expect(self, is_right: bool, wrong: str) -> None:
        # Not an assertion: the box office rightly survives whatever a gateway raises.
        if not is_right:
            self.network.wrongs.append(wrong)
