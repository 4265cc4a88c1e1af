"""Paying on another company's page: the browser has to follow a form's answer to another host."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from csp.constants import SELF
from django.conf import settings as project
from playwright.sync_api import Browser, Page, expect

from bookings.models import Booking
from tests.browser.test_journeys import choose_two_seats
from tests.factories import make_seated_event

# The stand-in for Stripe is shared with the tests of the gateways.
from tests.gateways.conftest import strict_stripe, strict_stripe_process, stripe_settings  # noqa: F401
from tests.gateways.strict_stripe.client import StrictStripeProcess

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _at_stripe(stripe_settings: None, site: str) -> None:  # noqa: F811
    make_seated_event(rows=2, seats=6, price="24.50", title="The Long Night")


def allow(settings, *origins: str) -> None:
    """Let forms lead to these and no others, as the settings do for Stripe's own page."""
    policy = project.CONTENT_SECURITY_POLICY
    directives = {**policy["DIRECTIVES"], "form-action": [SELF, *origins]}
    settings.CONTENT_SECURITY_POLICY = {**policy, "DIRECTIVES": directives}


def go_and_pay(page: Page) -> None:
    choose_two_seats(page)
    page.get_by_role("button", name="Hold these seats").click()
    page.get_by_label("Your name").fill("Ada Lovelace")
    page.get_by_label("E-mail address").fill("ada@example.org")
    page.get_by_role("button", name="Pay €49.00").click()


@pytest.mark.parametrize("javascript", [True, False])
def test_buyer_pays_at_stripe_and_comes_back_with_tickets(
    open_page: Callable[..., Page],
    strict_stripe: StrictStripeProcess,  # noqa: F811
    settings,
    javascript: bool,
):
    allow(settings, strict_stripe.url)
    page = open_page(java_script_enabled=javascript)
    go_and_pay(page)

    expect(page.get_by_role("heading", level=1)).to_have_text("4900 eur")
    page.get_by_label("Card").fill("4000 0000 0000 0002")
    page.get_by_role("button", name="Pay").click()
    expect(page.locator("#said")).to_have_text("card_declined")
    page.get_by_label("Card").fill("4242 4242 4242 4242")
    page.get_by_role("button", name="Pay").click()

    expect(page.get_by_text("Booked and paid")).to_be_visible()
    assert Booking.objects.get().status == "booked"
    assert [line["captured"] for line in strict_stripe.ledger()] == [4900]


def test_browser_follows_no_form_to_a_host_that_is_not_named(browser: Browser, site: str, settings):
    allow(settings)
    context = browser.new_context(base_url=site)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    go_and_pay(page)

    page.wait_for_timeout(1500)
    assert page.url.startswith(site)
    assert any("form-action" in text for text in said)
    context.close()
