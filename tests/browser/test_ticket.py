"""A ticket at the door, on a phone: bright, awake, and a swipe away from the next."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Page, expect

from bookings.access import access_link
from bookings.models import Booking, BookingItem, make_code
from tests.factories import make_seated_event

pytestmark = pytest.mark.django_db(transaction=True)

PHONE = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "has_touch": True}
# What the phone's screen is told, for want of a phone.
NOTE_WAKE_LOCKS = """
    window.asked = [];
    Object.defineProperty(navigator, "wakeLock", { value: { request: async (kind) => asked.push(kind) } });
"""
SWIPE_LEFT = """
    const finger = (x) => new Touch({ identifier: 1, target: document.body, clientX: x, clientY: 400 });
    const options = (x) => ({ touches: [finger(x)], changedTouches: [finger(x)], bubbles: true });
    document.body.dispatchEvent(new TouchEvent("touchstart", options(300)));
    document.body.dispatchEvent(new TouchEvent("touchend", { ...options(80), touches: [] }));
"""


@pytest.fixture
def booking() -> Booking:
    event = make_seated_event(seats=2, title="The Long Night")
    made = Booking.objects.create(
        event=event,
        status=Booking.Status.BOOKED,
        total=60,
        currency="EUR",
        expires_at=timezone.now(),
        booked_at=timezone.now(),
    )
    tier = event.price_tiers.get()
    BookingItem.objects.bulk_create(
        BookingItem(booking=made, ticket=ticket, price_tier=tier, price=30, code=make_code())
        for ticket in event.tickets.order_by("position")
    )
    return made


def open_first_ticket(page: Page, booking: Booking) -> None:
    page.goto(access_link(booking))
    page.get_by_role("link", name="Show at the door").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Stalls, row 1, seat 1")


def test_ticket_is_white_in_the_dark_and_keeps_the_screen_awake(
    open_page: Callable[..., Page], booking: Booking
):
    page = open_page(**PHONE)
    page.add_init_script(NOTE_WAKE_LOCKS)

    open_first_ticket(page, booking)

    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("asked") == ["screen"]
    code = page.get_by_role("img", name="QR code to show at the door")
    assert code.evaluate("picture => [picture.complete, picture.clientWidth >= 300]") == [True, True]
    assert Axe().run(page).violations_count == 0


def test_swipe_shows_the_next_ticket(open_page: Callable[..., Page], booking: Booking):
    page = open_page(**PHONE)
    open_first_ticket(page, booking)

    page.evaluate(SWIPE_LEFT)

    expect(page.get_by_role("heading", level=1)).to_have_text("Stalls, row 1, seat 2")


def test_ticket_needs_no_javascript(open_page: Callable[..., Page], booking: Booking):
    page = open_page(**PHONE, java_script_enabled=False)
    open_first_ticket(page, booking)

    page.get_by_role("link", name="Next ticket").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Stalls, row 1, seat 2")
    expect(page.get_by_role("img", name="QR code to show at the door")).to_be_visible()
