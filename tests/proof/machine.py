"""Buyers, gateway, staff, doors, cache and timetable, in any order; the model says what must come of it."""

from __future__ import annotations

import logging
from collections import Counter
from decimal import Decimal
from uuid import UUID

from django.test import Client
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, precondition, rule

from bookings import cancellations, refunds, services
from bookings.audit import compare_with_gateways, find_violations
from bookings.door.services import admit, undo
from bookings.models import Booking, BookingItem, Payment, PaymentNotice, Refund
from bookings.outbox.models import Mail
from bookings.payments import settle_payment, start_payment
from bookings.sandbox.models import SandboxIntent, SandboxNotice, SandboxRefund
from bookings.services import Buyer
from events.models import Event, Ticket
from tests.factories import make_staff
from tests.proof import world
from tests.proof.gateway import FAULTS, METHODS, Network, UnreliableGateway
from tests.proof.model import Model, ModelBooking, ModelEvent, ModelPayment

EMAILS = ["ada@example.org", "bob@example.org", "eve@example.org"]
CARDS = {
    "4242424242424242": "authorised",
    "4000000000000002": "declined",
    "4000000000003220": "open",
}
NOTICE_MODES = ["normal", "duplicate", "never"]
# Between these, no sum of them comes near the end of a hold: a slow machine changes nothing.
PAUSES = [433, 433, 3701, 11003]
# The audit's words for what the timetable, which runs here only now and then, has not come to yet.
OVERDUE = ("not done for", "has been open since", "has waited since")
# Rounds of the timetable within which everything must have ended.
ROUNDS = 8

events = st.integers(0, 1)
picks = st.sets(st.integers(0, 6), max_size=3)


class BoxOffice(RuleBasedStateMachine):
    """Each rule does one thing to the box office and to the model; `agree` compares the two."""

    bookings: Bundle[ModelBooking] = Bundle("bookings")
    done: Counter[str] = Counter()

    def __init__(self) -> None:
        super().__init__()
        world.empty_the_database()
        world.quiet_brokers()
        self.model = Model(world.open_two_events())
        self.network = UnreliableGateway.network = Network(self.model)
        self.cache = world.Cache()
        self.cache.flush()
        self.alarms = world.Alarms()
        logging.getLogger("bookings.retrying").addHandler(self.alarms)
        self.staff = make_staff()
        self.admissions: list[tuple[UUID, ModelBooking, int]] = []
        self.agrees = True
        self.done["examples"] += 1

    # --- Buyers hold ----------------------------------------------------------------------

    @rule(target=bookings, event=events, picks=picks, email=st.sampled_from(EMAILS))
    def hold_chosen(self, event: int, picks: set[int], email: str):
        """Exactly these tickets, or none of them."""
        show = self.model.events[event]
        wanted = [ticket for place, ticket in enumerate(show.prices) if place in picks]
        if not wanted:
            return multiple()
        return self._hold(show, wanted, email)

    def _hold(self, show: ModelEvent, wanted: list[int], email: str):
        why_not = self.model.why_not_sold(show, email, len(wanted))
        if not all(map(self.model.is_free, wanted)):
            why_not.add("TicketsUnavailable")
        is_locked = bool(self.cache.locked(show.id).intersection(wanted))
        held, refusal = world.attempt(
            lambda: services.hold_tickets(event=self._row(show), ticket_ids=wanted, buyer=Buyer(email=email))
        )
        return self._held(held, refusal, why_not, is_locked, show, email)

    @rule(
        target=bookings,
        event=events,
        tier=st.integers(0, 1),
        quantity=st.integers(1, 3),
        email=st.sampled_from(EMAILS),
    )
    def hold_best_available(self, event: int, tier: int, quantity: int, email: str):
        """Neighbours where seats are numbered, any free ones otherwise."""
        show = self.model.events[event]
        price_tier = list(self._row(show).price_tiers.order_by("pk"))[tier]
        why_not = self.model.why_not_sold(show, email, quantity)
        locked = self.cache.locked(show.id)
        of_tier = list(price_tier.tickets.order_by("position").values_list("pk", flat=True))
        free = [
            self.model.is_free(one) and (one not in locked or not price_tier.is_seated) for one in of_tier
        ]
        if price_tier.is_seated:
            starts = range(len(free) - quantity + 1)
            is_enough = any(all(free[start : start + quantity]) for start in starts)
        else:
            is_enough = sum(free) >= quantity
        if not is_enough:
            why_not.add("TicketsUnavailable")
        held, refusal = world.attempt(
            lambda: services.hold_best_available(
                event=self._row(show),
                price_tier_id=price_tier.pk,
                quantity=quantity,
                buyer=Buyer(email=email),
            )
        )
        return self._held(held, refusal, why_not, False, show, email)

    def _held(self, held, refusal, why_not, is_locked, show, email):
        if held is None:
            assert refusal in why_not or (is_locked and refusal == "TicketsUnavailable"), (refusal, why_not)
            return multiple()
        assert not why_not, f"sold in spite of {why_not}"
        tickets = list(held.booking.items.values_list("ticket_id", flat=True))
        self.model.hold(held.booking.pk, show, email, tickets)
        return self.model.bookings[held.booking.pk]

    @rule(booking=bookings)
    def extend(self, booking: ModelBooking):
        why_not = self.model.why_not_live(booking)
        if not why_not and booking.extensions >= booking.event.max_extensions:
            why_not = "ExtensionLimit"
        _, refusal = world.attempt(lambda: services.extend_hold(booking_id=booking.id))
        assert refusal == why_not
        if not refusal:
            booking.ends += 600
            booking.extensions += 1

    @rule(booking=bookings)
    def release(self, booking: ModelBooking):
        """Give a hold up; once is as good as twice."""
        refusals = {"booked": "AlreadyBooked", "refunded": "BookingClosed", "cancelled": "BookingClosed"}
        _, refusal = world.attempt(lambda: services.release_hold(booking_id=booking.id))
        assert refusal == refusals.get(booking.status, "")
        if booking.status == "reserved":
            self.model.close(booking, "released")

    @rule(booking=bookings, email=st.sampled_from(EMAILS))
    def change_email(self, booking: ModelBooking, email: str):
        why_not = self.model.why_not_live(booking)
        is_other = email != booking.email
        if not why_not and is_other:
            adding = len(booking.tickets)
            too_many = self.model.has_too_many(booking.event, email, adding, booking)
            why_not = "LimitExceeded" if too_many else ""
        _, refusal = world.attempt(lambda: services.change_details(booking_id=booking.id, email=email))
        assert refusal == why_not
        if not refusal:
            booking.email = email

    # --- Buyers pay -----------------------------------------------------------------------

    @rule(booking=bookings)
    def start_payment(self, booking: ModelBooking):
        """To the payment page; a second click leads to the same one."""
        if not booking.total:
            self._take_for_nothing(booking)
            return
        payment, refusal = world.attempt(lambda: start_payment(booking_id=booking.id))
        why_not = self.model.why_not_live(booking) or ("NotOnSale" if booking.event.is_cancelled else "")
        open_payment = booking.open_payment
        if not why_not and open_payment is not None and not open_payment.is_sent:
            why_not = "GatewayUnavailable"
        assert refusal == why_not
        if payment is not None:
            assert open_payment is not None
            assert str(payment.pk) == open_payment.key

    def _take_for_nothing(self, booking: ModelBooking) -> None:
        why_not = self.model.why_not_live(booking) or ("NotOnSale" if booking.event.is_cancelled else "")
        payment, refusal = world.attempt(lambda: start_payment(booking_id=booking.id))
        assert refusal == why_not
        if payment is not None:
            made = self.model.begin_payment(str(payment.pk), booking)
            self.model.hear(made, "authorised")
            self.model.hear(made, "captured")

    @rule(
        booking=bookings,
        card=st.sampled_from(list(CARDS)),
        mode=st.sampled_from(NOTICE_MODES),
        is_confirmed=st.booleans(),
    )
    def pay_with_card(self, booking: ModelBooking, card: str, mode: str, is_confirmed: bool):
        """On time or late, with a good card or not; whoever is asked by the bank says yes or no."""
        payment = self._payment_at(booking, "open")
        if payment is None or not payment.is_sent:
            return
        page = world.page_of(payment.key)
        if SandboxIntent.objects.get(idempotency_key=payment.key).status == "open":
            Client().post(page, {"card_number": card, "notice": mode})
            payment.at_gateway = CARDS[card]
        else:
            Client().post(page, {"confirmation": "accept" if is_confirmed else "refuse"})
            payment.at_gateway = "authorised" if is_confirmed else "declined"

    @rule(booking=bookings)
    def start_and_pay(self, booking: ModelBooking):
        """What most buyers do."""
        self.start_payment(booking)
        self.pay_with_card(booking, "4242424242424242", "normal", True)

    @rule(
        target=bookings,
        event=events,
        tier=st.integers(0, 1),
        quantity=st.integers(1, 3),
        email=st.sampled_from(EMAILS),
        is_back=st.booleans(),
    )
    def buy(self, event: int, tier: int, quantity: int, email: str, is_back: bool):
        """The whole way, with or without coming back from the payment page."""
        booking = self.hold_best_available(event, tier, quantity, email)
        if isinstance(booking, ModelBooking):
            self.start_and_pay(booking)
            if is_back:
                self.return_from_gateway(booking, False)
        return booking

    @rule(target=bookings, booking=bookings, email=st.sampled_from(EMAILS), is_back=st.booleans())
    def pay_too_late(self, booking: ModelBooking, email: str, is_back: bool):
        """The card is good, but the hold runs out before anybody hears of it, and a rival comes."""
        self.start_and_pay(booking)
        self.wait(PAUSES[-1])
        rival = self._hold(booking.event, sorted(booking.tickets), email)
        if is_back:
            self.return_from_gateway(booking, False)
        return rival

    @rule(booking=bookings, second_click=st.booleans())
    def return_from_gateway(self, booking: ModelBooking, second_click: bool):
        for payment in booking.payments[-1:] * (1 + second_click):
            settle_payment(UUID(payment.key))

    def _payment_at(self, booking: ModelBooking, state: str) -> ModelPayment | None:
        """The newest of the booking's payments that the gateway has in this state."""
        return next((one for one in reversed(booking.payments) if one.at_gateway == state), None)

    # --- The gateway ----------------------------------------------------------------------

    @rule(method=st.sampled_from(METHODS), fault=st.sampled_from(FAULTS))
    def break_gateway(self, method: str, fault: str):
        self.network.faults[method] = fault

    @rule(state=st.sampled_from(["away", "well", "pending", "failed"]))
    def change_gateway(self, state: str):
        """It goes away, comes back, or lets the next refund wait or fail."""
        if state == "well":
            self.network.heal()
        elif state == "away":
            self.network.is_away = True
        else:
            self.network.next_refund = state

    @rule(booking=bookings, to=st.sampled_from(["voided", "captured"]))
    def act_unasked(self, booking: ModelBooking, to: str):
        """An authorisation lapses, or someone takes the money on the gateway's own pages."""
        payment = self._payment_at(booking, "authorised")
        if payment is not None and payment.books in {"pending", "authorised"}:
            world.force_ledger(payment.key, to)
            payment.at_gateway = to

    @rule(booking=bookings)
    def try_second_card(self, booking: ModelBooking):
        """On a page that stayed open after the first was declined."""
        payment = self._payment_at(booking, "declined")
        if payment is not None:
            world.force_ledger(payment.key, "authorised")
            payment.at_gateway = "authorised"

    @precondition(lambda self: self.model.payments)
    @rule(number=st.integers(0, 99))
    def send_notice(self, number: int):
        """Any that was ever to be sent: in any order, late, and again."""
        sent = list(SandboxNotice.objects.order_by("created_at"))
        if sent:
            world.deliver(sent[number % len(sent)])

    # --- Staff and doors ------------------------------------------------------------------

    @rule(booking=bookings, picks=picks, by_buyer=st.booleans())
    def refund(self, booking: ModelBooking, picks: set[int], by_buyer: bool):
        """Some tickets, or all that are left; by staff, or by the buyer within the event's rules."""
        chosen = {one for place, one in enumerate(sorted(booking.tickets)) if place in picks}
        tickets = chosen or booking.left
        why_not = self.model.why_not_returned(booking, tickets, by_buyer=by_buyer)
        refund, refusal = world.attempt(
            lambda: refunds.request_refund(
                booking_id=booking.id,
                ticket_ids=sorted(chosen) or None,
                origin=Refund.Origin.BUYER if by_buyer else Refund.Origin.STAFF,
            )
        )
        assert refusal == why_not
        if refund is not None:
            assert refund.amount == self.model.give_back(booking, tickets, by_buyer=by_buyer)

    @precondition(lambda self: len(self.model.bookings) > 3)
    @rule(event=events)
    def cancel_event(self, event: int):
        show = self.model.events[event]
        if not show.is_cancelled:
            cancellations.cancel_event(self._row(show), by=self.staff, reason="The singer is ill.")
            show.is_cancelled = show.is_being_cancelled = True

    @rule(booking=bookings, place=st.integers(0, 2))
    def come_to_the_door(self, booking: ModelBooking, place: int):
        ticket = sorted(booking.tickets)[place % len(booking.tickets)]
        code = BookingItem.objects.values_list("code", flat=True).get(booking=booking.id, ticket=ticket)
        if code is None:
            return
        found = admit(event=self._row(booking.event), code=code, door="North", by=self.staff)
        if ticket in booking.given_back:
            assert found.result == "refunded"
        elif ticket in booking.used:
            assert found.result == "already_used"
        else:
            assert (found.result, booking.status) == ("admitted", "booked")
            booking.used.add(ticket)
            self.admissions.append((found.scan.pk, booking, ticket))

    @precondition(lambda self: self.admissions)
    @rule()
    def undo_admission(self):
        scan, booking, ticket = self.admissions.pop()
        undo(scan_id=scan, by=self.staff)
        booking.used.discard(ticket)

    # --- The timetable and the clock ------------------------------------------------------

    @rule(name=st.sampled_from(list(world.TIMETABLE)))
    def run_task(self, name: str):
        world.TIMETABLE[name]()
        if name == "sweep":
            self.model.sweep()
        elif name == "run_cancellations":
            self.model.run_cancellations()

    @rule(seconds=st.sampled_from(PAUSES))
    def wait(self, seconds: int):
        self.model.now += seconds
        world.let_pass(seconds)
        for event in self.model.events:
            self.cache.let_locks_end(event.id, self._may_hold_locks)

    def _may_hold_locks(self, booking_id: UUID) -> bool:
        booking = self.model.bookings.get(booking_id)
        return booking is None or self.model.is_live(booking)

    # --- The cache ------------------------------------------------------------------------

    @rule(state=st.sampled_from(["away", "back", "empty", "ghost"]), event=events, place=st.integers(0, 6))
    def change_cache(self, state: str, event: int, place: int):
        if state == "away":
            self.cache.go_away()
        elif state == "back":
            self.cache.come_back()
        elif state == "empty":
            self.cache.flush()
        else:
            show = self.model.events[event]
            tickets = list(show.prices)
            self.cache.leave_ghost(show.id, tickets[place % len(tickets)])

    # --- What must be true ----------------------------------------------------------------

    @invariant()
    def agree(self):
        """The database says what the model says, the audit finds nothing, no wrong order was given."""
        self.agrees = False
        self.done["steps"] += 1
        assert self.network.wrongs == []
        assert self.alarms.heard == []
        self._close_unsent()
        assert self._tickets() == {
            ticket: ("available", None)
            if owner is None
            else ("booked" if owner.status == "booked" else "reserved", owner.id)
            for ticket, owner in self.model.owner.items()
        }
        assert self._bookings() == {one.id: (one.status, one.email) for one in self.model.bookings.values()}
        self._agree_about_items()
        self._agree_about_money()
        assert self._violations() == []
        self.agrees = True

    def _tickets(self) -> dict:
        rows = Ticket.objects.values_list("pk", "status", "booking_id")
        return {pk: (status, booking) for pk, status, booking in rows}

    def _bookings(self) -> dict:
        return {
            pk: (status, email) for pk, status, email in Booking.objects.values_list("pk", "status", "email")
        }

    def _agree_about_items(self) -> None:
        rows = BookingItem.objects.values_list("booking", "ticket", "code", "refund", "checked_in_at")
        for booking_id, ticket, code, refund, checked_in_at in rows:
            booking = self.model.bookings[booking_id]
            was_booked = booking.status in {"booked", "refunded", "cancelled"}
            facts = (code is not None, refund is not None, checked_in_at is not None)
            assert facts == (was_booked, ticket in booking.given_back, ticket in booking.used)

    def _agree_about_money(self) -> None:
        ledger = dict(SandboxIntent.objects.values_list("idempotency_key", "status"))
        promised: Counter[str] = Counter()
        for payment_id, amount in Refund.objects.values_list("payment", "amount"):
            promised[str(payment_id)] += amount
        rows = Payment.objects.all()
        assert {str(row.pk) for row in rows} == self.model.payments.keys()
        for row in rows:
            payment = self.model.payments[str(row.pk)]
            books = "captured" if row.status == "refunded" else row.status
            assert (books, row.decision) == (payment.books, payment.decision)
            assert promised[payment.key] == payment.promised_back
            assert row.refunded <= sum(payment.went_back.values(), Decimal(0))
            if payment.key in ledger:
                assert ledger[payment.key].replace("confirming", "open") == payment.at_gateway

    def _close_unsent(self) -> None:
        """A payment whose page nobody was told of is closed without asking the gateway."""
        for payment in self.model.payments.values():
            if (
                payment.books == "pending"
                and not payment.is_sent
                and self.model.is_abandoned(payment.booking)
            ):
                payment.books = Payment.objects.values_list("status", flat=True).get(pk=payment.key)
                assert payment.books in {"pending", "voided"}

    def _violations(self) -> list[str]:
        """Without those that only wait for the timetable, or for the person who is told of them."""
        unpaid = world.references_of(one.id for one in self.model.bookings.values() if one.is_unpaid)
        return [
            line
            for line in find_violations()
            if not any(words in line for words in OVERDUE)
            if not (line.startswith("I3 booking") and any(reference in line for reference in unpaid))
        ]

    # --- The end --------------------------------------------------------------------------

    def teardown(self):
        try:
            if self.agrees:
                self._end_everything()
        finally:
            self.cache.come_back()
            logging.getLogger("bookings.retrying").removeHandler(self.alarms)

    def _end_everything(self) -> None:
        """With gateway and cache well, the timetable alone ends all that was begun."""
        self.network.heal()
        self.cache.come_back()
        for number in range(ROUNDS):
            self.wait(26 * 3600)
            for name in world.TIMETABLE:
                self.run_task(name)
            if number == ROUNDS // 2:
                self._let_staff_mend()
            self.agree()
        assert find_violations() == []
        Payment.objects.update(updated_at="2020-01-01T00:00Z")
        assert compare_with_gateways() == []
        self._nothing_is_left()

    def _let_staff_mend(self) -> None:
        """A person looks at bookings whose money was let go, which no rule can mend, and ends them."""
        for booking in self.model.bookings.values():
            if booking.is_unpaid and booking.status == "booked":
                assert Payment.objects.get(booking=booking.id, decision="capture").problem
                refunds.request_refund(booking_id=booking.id, origin=Refund.Origin.STAFF)
                self.model.give_back(booking, booking.left)

    def _nothing_is_left(self) -> None:
        """Every payment is tickets or money back, by the gateway's own ledger."""
        assert not SandboxIntent.objects.filter(status="authorised").exists()
        assert not Refund.objects.exclude(status="done").exists()
        assert not PaymentNotice.objects.exclude(status="applied").exists()
        assert not Payment.objects.filter(status__in=["pending", "authorised"]).exists()
        for booking in self.model.bookings.values():
            keys = [payment.key for payment in booking.payments]
            taken = SandboxIntent.objects.filter(idempotency_key__in=keys, status="captured")
            back = SandboxRefund.objects.filter(intent__in=taken)
            money = sum(taken.values_list("amount", flat=True)) - sum(back.values_list("amount", flat=True))
            kept = sum(booking.tickets[one] for one in booking.left) if booking.status == "booked" else 0
            assert money == (0 if booking.is_unpaid else kept + booking.fees)
            was_booked = booking.status in {"booked", "refunded", "cancelled"}
            mails = Mail.objects.filter(booking=booking.id, kind=Mail.Kind.BOOKED)
            assert mails.count() == int(was_booked)
            self.done[booking.status] += 1
        self.done["payments"] += len(self.model.payments)

    def _row(self, event: ModelEvent) -> Event:
        return Event.objects.get(pk=event.id)
