"""The machine finds what it is there to find: one line of the box office is broken at a time."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType

import pytest

from bookings import payments, reconciling, refunds, reserving
from tests.proof.machine import EMAILS, PAUSES, BoxOffice
from tests.proof.model import ModelBooking

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_unreliable_gateway")]

ADA, BOB, EVE = EMAILS
DECLINED = "4000000000000002"

Story = Callable[[BoxOffice], None]


def held(office: BoxOffice) -> ModelBooking:
    return office.hold_chosen(0, {0, 1}, ADA)


def bought(office: BoxOffice) -> ModelBooking:
    return office.buy(0, 0, 2, ADA, True)


def the_tickets_went_to_a_rival(office: BoxOffice) -> None:
    office.pay_too_late(held(office), EVE, True)


def the_money_was_taken_by_hand_and_the_tickets_went(office: BoxOffice) -> None:
    booking = held(office)
    office.start_and_pay(booking)
    office.act_unasked(booking, "captured")
    office.wait(PAUSES[-1])
    office.hold_chosen(0, {0, 1}, EVE)
    office.return_from_gateway(booking, False)


def the_refunds_answer_was_lost(office: BoxOffice) -> None:
    office.refund(bought(office), set(), False)
    office.break_gateway("refund", "loses the answer")
    office.run_task("finish_refunds")
    office.wait(PAUSES[0])
    office.run_task("finish_refunds")


def one_ticket_was_given_back(office: BoxOffice) -> None:
    office.refund(bought(office), {0}, True)


def two_wanted_one_ticket_without_the_cache(office: BoxOffice) -> None:
    office.change_cache("away", 0, 0)
    held(office)
    office.hold_chosen(0, {1}, EVE)


def the_event_was_cancelled_meanwhile(office: BoxOffice) -> None:
    booking = held(office)
    office.start_and_pay(booking)
    office.cancel_event(0)
    office.return_from_gateway(booking, False)


def the_second_card_was_good(office: BoxOffice) -> None:
    booking = held(office)
    office.start_payment(booking)
    office.pay_with_card(booking, DECLINED, "never", False)
    office.return_from_gateway(booking, True)
    office.try_second_card(booking)


def nobody_came_to_the_payment_page(office: BoxOffice) -> None:
    office.start_payment(held(office))


# The story, and each function with the words in it that are replaced by others.
BROKEN: dict[str, tuple[Story, list[tuple[ModuleType, str, str, str]]]] = {
    "books tickets of another": (
        the_tickets_went_to_a_rival,
        [(payments, "_take_tickets", "if not all(", "if False and not all(")],
    ),
    "takes money for nothing": (
        the_tickets_went_to_a_rival,
        [(payments, "_act", "payment.decision == Payment.Decision.CAPTURE", "True")],
    ),
    "does not let go of money that came too late": (
        the_tickets_went_to_a_rival,
        [(payments, "_carry_out", "not payment.decision", "payment.decision == 'void'")],
    ),
    "keeps what was taken for nothing": (
        the_money_was_taken_by_hand_and_the_tickets_went,
        [(payments, "_record_capture", "and payment.amount", "and False")],
    ),
    "gives back twice": (
        the_refunds_answer_was_lost,
        [(refunds, "_refund_at_gateway", "found.state is not RefundState.FAILED", "False")],
    ),
    "frees a ticket whose code stays alive": (
        one_ticket_was_given_back,
        [(refunds, "_put_on_sale", ".update(refund=refund)", ".update(refund=None)")],
    ),
    "holds a ticket that is held": (
        two_wanted_one_ticket_without_the_cache,
        [
            (
                reserving,
                "_reserve",
                "execute(statement,",
                "execute(statement.replace(IS_AVAILABLE, 'true'),",
            ),
        ],
    ),
    "books a cancelled event": (
        the_event_was_cancelled_meanwhile,
        [(payments, "_book", "booking.event.status == Event.Status.CANCELLED", "False")],
    ),
    "forgets a stray authorisation": (
        the_second_card_was_good,
        [(reconciling, "mend", "theirs.state is GatewayState.AUTHORISED", "False")],
    ),
    "waits for ever for a buyer": (
        nobody_came_to_the_payment_page,
        [(payments, "_is_abandoned", "booking.expires_at + ABANDONED_AFTER < database_time()", "False")],
    ),
}


def tell(story: Story) -> None:
    """The story, and then the end that every run of the machine comes to."""
    office = BoxOffice()
    try:
        story(office)
        office.agree()
    finally:
        office.teardown()


def break_words(monkeypatch, module: ModuleType, function: str, words: str, others: str) -> None:
    source = inspect.getsource(getattr(module, function))
    assert source.count(words) == 1
    made: dict = {}
    exec("from __future__ import annotations\n" + source.replace(words, others), vars(module), made)  # noqa: S102
    monkeypatch.setattr(module, function, made[function])


@pytest.mark.parametrize("story", dict.fromkeys(story for story, _ in BROKEN.values()))
def test_box_office_as_it_is_passes(story):
    tell(story)


@pytest.mark.parametrize("fault", BROKEN)
def test_broken_box_office_is_found(fault, monkeypatch):
    story, words = BROKEN[fault]
    for where in words:
        break_words(monkeypatch, *where)

    with pytest.raises(AssertionError):
        tell(story)
