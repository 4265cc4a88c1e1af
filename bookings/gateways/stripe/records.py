"""What Stripe's objects mean to the box office."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import stripe
from stripe.checkout import Session

from bookings.gateways import GatewayPayment, GatewayRefund, GatewayState, RefundState
from bookings.gateways.stripe.minor_units import from_minor

# Any other state of an intent is one in which the buyer, or the card's bank, is still busy.
INTENT_STATES = {
    "requires_capture": GatewayState.AUTHORISED,
    "succeeded": GatewayState.CAPTURED,
    "canceled": GatewayState.VOIDED,
}
REFUND_STATES = {
    "succeeded": RefundState.DONE,
    "failed": RefundState.FAILED,
    "canceled": RefundState.FAILED,
}


@dataclass(frozen=True)
class Record:
    """A payment at Stripe: a page for the buyer, and the intent that their paying makes.

    An intent that somebody made without a page has none.
    """

    session: Session | None
    intent: stripe.PaymentIntent | None

    @classmethod
    def of(cls, session: Session) -> Record:
        """Of a session that was asked for with its intent expanded."""
        intent = session.payment_intent
        return cls(session, intent if isinstance(intent, stripe.PaymentIntent) else None)

    @property
    def state(self) -> GatewayState:
        """A decline ends nothing while the page is open: the buyer may try another card there."""
        by_intent = GatewayState.OPEN
        if self.intent is not None:
            by_intent = INTENT_STATES.get(self.intent.status, GatewayState.OPEN)
        if self.session is None or by_intent in {GatewayState.AUTHORISED, GatewayState.CAPTURED}:
            return by_intent
        match self.session.status:
            case "expired":
                return GatewayState.VOIDED
            case "complete":
                return by_intent
        return GatewayState.OPEN

    @property
    def key(self) -> str:
        """Our payment's id."""
        carrier = self.session or self.intent
        return _read_metadata(carrier.metadata).get("payment", "") if carrier else ""

    def described(self) -> GatewayPayment:
        if self.session is not None:
            reference, currency = self.session.id, self.session.currency or ""
            minor, url = self.session.amount_total or 0, self.session.url or ""
        else:
            assert self.intent is not None  # noqa: S101  # There is nothing without either.
            reference, currency, minor, url = self.intent.id, self.intent.currency, self.intent.amount, ""
        if self.intent is not None:
            minor = _amount_of(self.intent)
        return GatewayPayment(
            reference=reference,
            state=self.state,
            amount=from_minor(minor, currency),
            currency=currency.upper(),
            key=self.key,
            refunded=self._refunded(),
            redirect_url=url,
            reason=self._reason(),
        )

    def _refunded(self) -> Decimal:
        """Of money that was taken: Stripe calls an authorisation that was let go refunded too."""
        charge = self.intent.latest_charge if self.intent else None
        if self.state is not GatewayState.CAPTURED or not isinstance(charge, stripe.Charge):
            return Decimal(0)
        return from_minor(charge.amount_refunded, charge.currency)

    def _reason(self) -> str:
        error = self.intent.last_payment_error if self.intent else None
        is_paid = self.state in {GatewayState.AUTHORISED, GatewayState.CAPTURED}
        return "" if error is None or is_paid else error.message or ""


def describe_refund(refund: stripe.Refund) -> GatewayRefund:
    return GatewayRefund(
        key=_read_metadata(refund.metadata).get("refund", ""),
        state=REFUND_STATES.get(refund.status or "", RefundState.PENDING),
        amount=from_minor(refund.amount, refund.currency),
        reason=getattr(refund, "failure_reason", None) or "",
    )


def _amount_of(intent: stripe.PaymentIntent) -> int:
    """What was taken, where that is less than what was authorised: staff can do so at Stripe."""
    received: int = getattr(intent, "amount_received", 0)
    return received or intent.amount


def _read_metadata(metadata: stripe.StripeObject | None) -> dict[str, str]:
    return metadata.to_dict() if metadata else {}
