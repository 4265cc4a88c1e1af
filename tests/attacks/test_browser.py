"""What a real Chromium makes of it: stored script on the pages, and pages under their policies."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.conf import settings as configured
from django.test import Client
from django.utils.http import urlencode
from playwright.sync_api import BrowserContext, Page

from bookings.models import User
from tests.attacks.conftest import EXAMPLES
from tests.attacks.poison import poison
from tests.attacks.routes import all_routes
from tests.attacks.world import World
from tests.browser.conftest import browser, open_page, site  # noqa: F401
from tests.factories import make_user

pytestmark = pytest.mark.django_db(transaction=True)

# Each kind of page that the office has; `make attack` opens all of them.
KINDS = {
    "admin:index",
    "admin:events_event_changelist",
    "admin:events_event_change",
    "admin:events_event_publish",
    "admin:events_event_cancel",
    "admin:events_venue_edit_seats",
    "admin:bookings_booking_change",
    "admin:bookings_booking_refund",
    "admin:bookings_needs_a_person",
    "admin:outbox_mail_change",
}
# They are no pages.
FILES = ("logout", "export_plan", "jsi18n", "autocomplete", "view_on_site", "clone")


def sign_in(context: BrowserContext, user: User, site: str) -> None:  # noqa: F811
    client = Client()
    client.force_login(user)
    cookie = client.cookies[configured.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": configured.SESSION_COOKIE_NAME, "value": cookie, "url": site}])


def test_office_works_under_its_policy(open_page: Callable[..., Page], world: World, site: str):  # noqa: F811
    """`open_page` fails for every breach of a policy and every error of a script."""
    page = open_page()
    sign_in(page.context, make_user(is_staff=True, is_superuser=True), site)
    names = {route.name for route in all_routes() if route.name.startswith("admin:")}
    wanted = KINDS if EXAMPLES <= 5 else {name for name in names if not name.endswith(FILES)}
    addresses = [route.address(world) for route in all_routes() if route.name in wanted]

    answers = [page.goto(address) for address in addresses]

    assert [answer.url for answer in answers if answer and answer.status >= 500] == []
    assert sum(answer.status == 200 for answer in answers if answer) >= len(KINDS)


def test_script_in_every_text_runs_nowhere(open_page: Callable[..., Page], world: World, site: str):  # noqa: F811
    """Also where our own scripts put texts on the page; not even where no policy would stop it."""
    poison(world)
    office = make_user(is_staff=True, is_superuser=True)
    wanted = {
        "admin:events_event_change",
        "admin:events_venue_edit_seats",
        "admin:bookings_booking_change",
        "admin:outbox_mail_change",
    }
    visits = [(office, route.address(world)) for route in all_routes() if route.name in wanted]
    visits += [(world.alice, booking.get_absolute_url()) for booking in (world.booked, world.held)]
    visits += [(world.alice, f"{world.booked.get_absolute_url()}tickets/{world.ticket_id}/")]
    visits += [(world.alice, address) for address in ("/", "/search/?q=hacked", "/accounts/keys/")]
    visits += [(world.alice, f"{world.event.get_absolute_url()}?{urlencode({'section': section_of(world)})}")]
    visits += [(world.stan, f"/door/{world.event.slug}/")]
    page = open_page()
    page.add_init_script("window.hacked = () => { window.wasHacked = true; }")
    page.on("dialog", lambda dialog: dialog.dismiss())
    ran, shown = [], 0

    for person, address in visits:
        sign_in(page.context, person, site)
        page.goto(address, wait_until="networkidle")
        if page.evaluate("Boolean(window.wasHacked || document.querySelector('svg[onload]'))"):
            ran.append(address)
        shown += page.evaluate("document.documentElement.innerHTML.includes('hacked')")

    assert ran == []
    assert shown == len(visits)


def section_of(world: World) -> str:
    return str(world.event.tickets.filter(seat__isnull=False).select_related("seat")[0].seat.section)


def test_documentation_works_under_its_policy(open_page: Callable[..., Page], world: World):  # noqa: F811
    page = open_page()

    page.goto("/api/docs/")
    page.get_by_text("Search events", exact=True).click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()

    page.get_by_text("Response headers").first.wait_for()
