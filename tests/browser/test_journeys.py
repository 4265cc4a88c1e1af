"""From the front page to tickets in hand, with JavaScript and without."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from bookings.models import Booking
from events.models import Category, Event
from tests.factories import make_general_admission, make_seated, make_seated_event, make_user

pytestmark = pytest.mark.django_db(transaction=True)

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}


@pytest.fixture
def event() -> Event:
    music = Category.objects.create(slug="music", name="Music")
    return make_seated_event(rows=2, seats=6, price="24.50", title="The Long Night", category=music)


def choose_two_seats(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="The Long Night").click()
    row = page.get_by_role("group", name="Row 2")
    # The boxes lie unseen over the seats they belong to.
    row.get_by_role("checkbox", name="Seat 3").check()
    row.get_by_role("checkbox", name="Seat 4").check()


def fill_in_and_pay(page: Page) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("Your tickets are held")
    page.get_by_label("Your name").fill("Ada Lovelace")
    page.get_by_label("E-mail address").fill("ada@example.org")
    page.get_by_role("button", name="Pay €49.00").click()
    page.get_by_label("Card number").fill("4242 4242 4242 4242")
    page.get_by_role("button", name="Pay €49.00").click()


def assert_two_tickets(page: Page) -> None:
    expect(page.get_by_text("Booked and paid")).to_be_visible()
    codes = page.get_by_role("img", name="QR code to show at the door")
    expect(codes).to_have_count(2)
    page.wait_for_load_state("load")
    widths = codes.evaluate_all("pictures => pictures.map(picture => picture.naturalWidth > 0)")
    assert widths == [True, True]
    booking = Booking.objects.get()
    seats = booking.items.order_by("ticket__position").values_list(
        "ticket__seat__row", "ticket__seat__number"
    )
    assert (booking.status, list(seats)) == ("booked", [("2", "3"), ("2", "4")])


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_two_seats_with_javascript(open_page: Callable[..., Page], event: Event, viewport):
    page = open_page(viewport=viewport)
    choose_two_seats(page)
    expect(page.get_by_text("2 seats · €49.00")).to_be_visible()
    page.get_by_role("button", name="Hold these seats").click()
    fill_in_and_pay(page)
    assert_two_tickets(page)


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_two_seats_without_javascript(open_page: Callable[..., Page], event: Event, viewport):
    page = open_page(viewport=viewport, java_script_enabled=False)
    choose_two_seats(page)
    page.get_by_role("button", name="Hold these seats").click()
    expect(page.get_by_text("Held for you until")).to_be_visible()
    fill_in_and_pay(page)
    assert_two_tickets(page)


def test_clock_warns_and_gives_ten_more_minutes(open_page: Callable[..., Page], event: Event):
    page = open_page()
    page.clock.install()
    choose_two_seats(page)
    page.get_by_role("button", name="Hold these seats").click()
    page.get_by_label("Your name").fill("Ada Lovelace")
    warning = page.get_by_role("dialog", name="Less than two minutes left")
    page.clock.run_for(7 * 60_000)
    expect(warning).to_be_hidden()
    page.clock.run_for(65_000)
    expect(warning).to_be_visible()
    expect(page.locator("[data-clock-said]")).to_have_text(
        "Less than two minutes left to pay for your tickets."
    )
    warning.get_by_role("button", name="Ten more minutes").click()
    expect(warning).to_be_hidden()
    assert Booking.objects.get().extensions_used == 1
    # What was typed is still there, and kept.
    expect(page.get_by_label("Your name")).to_have_value("Ada Lovelace")
    assert Booking.objects.get().name == "Ada Lovelace"
    fill_in_and_pay(page)
    assert_two_tickets(page)


def test_section_of_a_large_hall_opens_in_place(open_page: Callable[..., Page], event: Event, monkeypatch):
    monkeypatch.setattr("events.hall.SEATS_AT_ONCE", 5)
    make_seated(event, name="Balcony", seats=4)
    page = open_page()
    page.goto(event.get_absolute_url())
    page.get_by_role("link", name="Balcony").click()
    expect(page.get_by_role("group", name="Row 1")).to_be_visible()
    assert page.url.endswith("?section=Balcony")
    assert page.get_by_role("heading", level=1).count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_page: Callable[..., Page], event: Event, scheme):
    make_general_admission(event, 3, name="Standing")
    user = make_user(email="ada@example.org", password="correct horse battery")
    user.emailaddress_set.create(email=user.email, verified=True, primary=True)
    page = open_page(color_scheme=scheme, viewport=PHONE, reduced_motion="reduce")
    for path in (
        "/",
        "/search/",
        "/search/?city=Leipzig&price_min=1",
        "/bookings/find/",
        "/accounts/signup/",
    ):
        page.goto(path)
        assert_accessible(page)
    page.goto("/accounts/password/reset/")
    assert_accessible(page)
    page.goto("/nowhere/")
    assert_accessible(page)
    choose_two_seats(page)
    assert_accessible(page)
    page.get_by_role("button", name="Hold these seats").click()
    expect(page.get_by_text("Held for you until")).to_be_visible()
    assert_accessible(page)
    page.get_by_role("button", name="Give the tickets back").click()
    choose_two_seats(page)
    page.get_by_role("button", name="Hold these seats").click()
    page.get_by_label("Your name").fill("Ada Lovelace")
    page.get_by_label("E-mail address").fill("ada@example.org")
    page.get_by_role("button", name="Pay").click()
    assert_accessible(page)
    page.get_by_label("Card number").fill("4000 0000 0000 0002")
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_text("The payment was declined")).to_be_visible()
    assert_accessible(page)
    page.get_by_role("button", name="Pay").click()
    page.get_by_label("Card number").fill("4242 4242 4242 4242")
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_text("Booked and paid")).to_be_visible()
    assert_accessible(page)
    page.goto("/accounts/login/")
    assert_accessible(page)
    page.get_by_label("Email").fill("ada@example.org")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("My bookings")
    for path in ("/bookings/", "/accounts/keys/", "/accounts/email/", "/accounts/password/change/"):
        page.goto(path)
        assert_accessible(page)


def assert_accessible(page: Page) -> None:
    results = Axe().run(page)
    assert results.violations_count == 0, f"{page.url}\n{results.generate_report()}"
    wider = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wider <= 0, f"{page.url} is wider than the screen"
