"""The life of a booking, in memory: who has which ticket, and what becomes of the money.

The real box office is held against this after every step. It knows nothing of databases, locks,
caches or transactions: time is a number of seconds, and a gateway is something that says what it
has done with a payment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

HOLD = 600
# So long after its hold, nobody is expected on the payment page any more.
ABANDONED_AFTER = 3600
LET_GO = {"declined", "voided"}


@dataclass
class ModelEvent:
    """`prices` and `seats` by ticket id; a seat's neighbours are beside it in `seats`."""

    id: int
    prices: dict[int, Decimal]
    seats: list[int]
    limit: int
    max_extensions: int
    # Kept of each ticket that its buyer returns; None where buyers may not.
    fee: Decimal | None
    is_cancelled: bool = False
    is_being_cancelled: bool = False


@dataclass
class ModelPayment:
    """`at_gateway` is what the card and the gateway did, `books` what the box office has heard of it."""

    key: str
    booking: ModelBooking
    amount: Decimal
    at_gateway: str = "open"
    books: str = "pending"
    decision: str = ""
    # Whether the box office knows the gateway's page, and so can send the buyer there.
    is_sent: bool = False
    promised_back: Decimal = Decimal(0)
    # By the refund's id.
    went_back: dict[str, Decimal] = field(default_factory=dict)


@dataclass
class ModelBooking:
    id: UUID
    event: ModelEvent
    email: str
    tickets: dict[int, Decimal]
    ends: int
    status: str = "reserved"
    extensions: int = 0
    given_back: set[int] = field(default_factory=set)
    fees: Decimal = Decimal(0)
    used: set[int] = field(default_factory=set)
    payments: list[ModelPayment] = field(default_factory=list)

    @property
    def total(self) -> Decimal:
        return sum(self.tickets.values(), Decimal(0))

    @property
    def left(self) -> set[int]:
        return self.tickets.keys() - self.given_back

    @property
    def open_payment(self) -> ModelPayment | None:
        return next((payment for payment in self.payments if payment.books == "pending"), None)

    @property
    def is_unpaid(self) -> bool:
        """Booked, but the gateway let the money go before it was taken: only a person can mend that."""
        return any(one.decision == "capture" and one.books == "voided" for one in self.payments)


class Model:
    """What is true. Where a method answers with names of refusals, the box office must give one of them."""

    def __init__(self, events: list[ModelEvent]) -> None:
        self.now = 0
        self.events = events
        self.owner: dict[int, ModelBooking | None] = {
            ticket: None for event in events for ticket in event.prices
        }
        self.bookings: dict[UUID, ModelBooking] = {}
        self.payments: dict[str, ModelPayment] = {}

    # --- Holding --------------------------------------------------------------------------

    def is_live(self, booking: ModelBooking) -> bool:
        return booking.status == "reserved" and booking.ends > self.now

    def is_free(self, ticket: int) -> bool:
        """A ticket whose hold ran out is free, whether anything tidied it up or not."""
        owner = self.owner[ticket]
        return owner is None or (owner.status == "reserved" and not self.is_live(owner))

    def has_too_many(
        self, event: ModelEvent, email: str, adding: int, besides: ModelBooking | None = None
    ) -> bool:
        """Whether a buyer would have more tickets than one may, of those that still count."""
        counting = [
            booking
            for booking in self.bookings.values()
            if booking is not besides and (booking.event, booking.email) == (event, email)
            if booking.status == "booked" or self.is_live(booking)
        ]
        return sum(len(booking.left) for booking in counting) + adding > event.limit

    def why_not_sold(self, event: ModelEvent, email: str, quantity: int) -> set[str]:
        refusals = {"NotOnSale"} if event.is_cancelled else set()
        return refusals | ({"LimitExceeded"} if self.has_too_many(event, email, quantity) else set())

    def hold(self, booking_id: UUID, event: ModelEvent, email: str, tickets: list[int]) -> None:
        booking = ModelBooking(
            booking_id, event, email, {one: event.prices[one] for one in tickets}, self.now + HOLD
        )
        self.bookings[booking_id] = booking
        for ticket in tickets:
            assert self.is_free(ticket), f"ticket {ticket} was sold twice"
            self.owner[ticket] = booking

    def why_not_live(self, booking: ModelBooking) -> str:
        if booking.status == "booked":
            return "AlreadyBooked"
        if booking.status in {"released", "refunded", "cancelled"}:
            return "BookingClosed"
        return "" if self.is_live(booking) else "HoldExpired"

    def close(self, booking: ModelBooking, status: str) -> None:
        """End a hold; tickets that it lost to others meanwhile are theirs."""
        booking.status = status
        self.free(booking, booking.tickets)

    def free(self, booking: ModelBooking, tickets: set[int] | dict[int, Decimal]) -> None:
        for ticket in tickets:
            if self.owner[ticket] is booking:
                self.owner[ticket] = None

    def sweep(self) -> None:
        for booking in self.bookings.values():
            if booking.status == "reserved" and not self.is_live(booking):
                self.close(booking, "expired")

    # --- Paying ---------------------------------------------------------------------------

    def begin_payment(self, key: str, booking: ModelBooking) -> ModelPayment:
        """A payment is in the books before the gateway hears of it; asking again is the same payment."""
        payment = self.payments.get(key)
        if payment is None:
            payment = self.payments[key] = ModelPayment(key, booking, booking.total)
            assert booking.open_payment is None, "a second payment while one is open"
            booking.payments.append(payment)
        return payment

    def is_abandoned(self, booking: ModelBooking) -> bool:
        return booking.status == "released" or booking.ends + ABANDONED_AFTER < self.now

    def hear(self, payment: ModelPayment, said: str) -> None:
        """The box office was told by the gateway what it did with a payment: what follows from it.

        This is the heart: money that is there books the tickets or goes back, and both for good.
        """
        if payment.books == "pending" and said in LET_GO:
            payment.books = said
        elif payment.books == "pending" and said in {"authorised", "captured"}:
            payment.decision = "capture" if self.book(payment.booking) else "void"
            payment.books = "authorised"
        if payment.books == "authorised" and said in {"captured", "voided"}:
            payment.books = said
            if said == "captured" and payment.decision == "void":
                payment.promised_back = payment.amount

    def book(self, booking: ModelBooking) -> bool:
        """All tickets that are still the booking's, or free to take again, however late; or none."""
        if booking.status not in {"reserved", "expired"} or booking.event.is_cancelled:
            return False
        is_late = booking.ends <= self.now
        if is_late and self.has_too_many(booking.event, booking.email, len(booking.tickets), booking):
            return False
        if not all(self.owner[one] is booking or self.is_free(one) for one in booking.tickets):
            if booking.status == "reserved":
                self.close(booking, "expired")
            return False
        booking.status = "booked"
        self.owner |= dict.fromkeys(booking.tickets, booking)
        return True

    # --- Giving back ----------------------------------------------------------------------

    def why_not_returned(self, booking: ModelBooking, tickets: set[int], *, by_buyer: bool) -> str:
        if booking.status != "booked":
            return "BookingClosed"
        if not tickets <= booking.left:
            return "InvalidTickets"
        is_refused = booking.event.fee is None or bool(tickets & booking.used)
        return "NotRefundable" if by_buyer and is_refused else ""

    def give_back(
        self, booking: ModelBooking, tickets: set[int], *, by_buyer: bool = False, ended: str = "refunded"
    ) -> Decimal:
        """The tickets are on sale again at once, and their price, less the fee, is promised back."""
        prices = [booking.tickets[one] for one in tickets]
        fee = booking.event.fee or Decimal(0)
        fees = sum((min(fee, price) for price in prices), Decimal(0)) if by_buyer else Decimal(0)
        paid = next(one for one in booking.payments if one.decision == "capture")
        amount = sum(prices, Decimal(0)) - fees
        paid.promised_back += amount
        booking.fees += fees
        booking.given_back |= tickets
        self.free(booking, tickets)
        if not booking.left:
            booking.status = ended
        return amount

    def run_cancellations(self) -> None:
        """Every buyer of a cancelled event has the money back, and every hold ends."""
        for booking in self.bookings.values():
            if not booking.event.is_being_cancelled:
                continue
            if booking.status == "reserved":
                self.close(booking, "released")
            elif booking.status == "booked":
                self.give_back(booking, booking.left, ended="cancelled")
