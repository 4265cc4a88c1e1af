"""Door staff with a phone: typed codes, the camera, and a lost connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import segno
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from playwright.sync_api import Error as PlaywrightError

from bookings.codes import sign_code
from bookings.door.models import Scan
from bookings.door.services import admit
from bookings.models import BookingItem, User
from events.models import Event
from tests.browser.conftest import CHROMIUM
from tests.door import book, make_door_staff
from tests.factories import make_general_admission, make_seated_event

pytestmark = pytest.mark.django_db(transaction=True)

PHONE = {"width": 390, "height": 844}


@pytest.fixture
def staff() -> User:
    return make_door_staff(email="door@example.org")


@pytest.fixture
def event() -> Event:
    event = make_seated_event(rows=2, seats=6, price="0.00", title="The Long Night")
    make_general_admission(event, 10, price="0.00", name="Standing")
    return event


@pytest.fixture
def items(event: Event) -> list[BookingItem]:
    return book(event, 2)


@pytest.fixture
def at_the_door(
    open_page: Callable[..., Page], site: str, staff: User, event: Event, client
) -> Callable[..., Page]:
    """A phone, signed in, at the event's door; with JavaScript once all it needs is held."""

    def opened(**options) -> Page:
        page = open_page(viewport=PHONE, **options)
        sign_in(page, site, client, staff)
        page.goto("/door/")
        page.get_by_role("link", name="The Long Night").click()
        if options.get("java_script_enabled", True):
            page.wait_for_selector("[data-ready]")
        return page

    return opened


def sign_in(page: Page, site: str, client, user: User) -> None:
    client.force_login(user)
    cookie = client.cookies["session"]
    page.context.add_cookies([{"name": "session", "value": cookie.value, "url": site}])


def check_code(page: Page, code: str) -> None:
    page.get_by_label("Ticket code").fill(code)
    page.get_by_role("button", name="Check").click()


def verdict(page: Page):
    return page.locator(".door__verdict")


def results() -> list[tuple[str, bool, bool]]:
    scans = Scan.objects.order_by("recorded_at", "scanned_at")
    return list(scans.values_list("result", "is_offline", "let_in"))


@pytest.mark.parametrize("scripts", [True, False], ids=["javascript", "without"])
def test_typed_code_is_admitted_once_until_it_is_undone(at_the_door, items, scripts):
    page = at_the_door(java_script_enabled=scripts)
    page.get_by_label("This door").fill("North door")
    page.get_by_label("This door").blur()

    check_code(page, f" {items[0].code.lower()[:4]}-{items[0].code[4:]}")
    expect(verdict(page)).to_contain_text("Admitted")
    expect(verdict(page)).to_contain_text("row 1, seat 1")
    expect(verdict(page)).to_contain_text("Ada Lovelace")
    check_code(page, items[0].code)
    expect(verdict(page)).to_contain_text("Already used")
    expect(verdict(page)).to_contain_text("North door")
    check_code(page, items[1].code)
    page.get_by_role("button", name="Undo").click()
    expect(verdict(page)).to_contain_text("Undone")
    check_code(page, items[1].code)
    expect(verdict(page)).to_contain_text("Admitted")
    expect(page.get_by_role("listitem").filter(has_text="Stalls")).to_contain_text("2 of 2")

    assert [result for result, _offline, _let_in in results()] == [
        "admitted",
        "already_used",
        "admitted",
        "undone",
        "admitted",
    ]
    assert set(Scan.objects.values_list("door", flat=True)) == {"North door"}


# --- Without a connection ---------------------------------------------------------------


def connection(page: Page):
    return page.locator("[data-connection]")


def test_door_goes_on_without_a_connection_and_hands_in_later(at_the_door, event, items, staff):
    elsewhere = make_seated_event(seats=1, price="0.00", title="Another Night")
    page = at_the_door()
    page.context.set_offline(True)
    expect(connection(page)).to_have_text("Offline")

    check_code(page, sign_code(items[0]))
    expect(verdict(page)).to_contain_text("Admitted")
    expect(verdict(page)).to_contain_text("Stalls, row 1, seat 1")
    expect(connection(page)).to_have_text("Offline, 1 waiting")
    check_code(page, items[0].code)
    expect(verdict(page)).to_contain_text("Already used")
    check_code(page, sign_code(items[1])[:-4] + "AAAA")
    expect(verdict(page)).to_contain_text("Not a ticket")
    check_code(page, sign_code(book(elsewhere)[0]))
    expect(verdict(page)).to_contain_text("Wrong event")
    sold_meanwhile = book(event)[0]
    check_code(page, sign_code(sold_meanwhile))
    expect(verdict(page)).to_contain_text("A real ticket, but not on this device’s list")
    expect(connection(page)).to_have_text("Offline, 5 waiting")

    # A phone that was restarted: nothing is lost, and the door is still there.
    page.reload()
    expect(connection(page)).to_have_text("Offline, 5 waiting")
    check_code(page, items[0].code)
    expect(verdict(page)).to_contain_text("Already used")
    check_code(page, items[1].code)
    expect(verdict(page)).to_contain_text("Admitted")
    page.get_by_role("button", name="Undo").click()
    expect(verdict(page)).to_contain_text("Undone")
    check_code(page, items[1].code)
    expect(verdict(page)).to_contain_text("Admitted")
    expect(page.get_by_role("listitem").filter(has_text="Stalls")).to_contain_text("2 of 2")
    assert Scan.objects.count() == 0

    page.context.set_offline(False)
    expect(connection(page)).to_have_text("Online")
    assert results_by_code(items) == {
        items[0].code: ["admitted", "already_used", "already_used"],
        items[1].code: ["admitted", "undone", "admitted"],
    }
    assert Scan.objects.filter(item=None).values_list("result", "is_offline", "let_in").get() == (
        "unknown",
        True,
        False,
    )
    assert Scan.objects.filter(item=sold_meanwhile).values_list("result", "let_in").get() == (
        "unknown",
        False,
    )
    not_in = BookingItem.objects.filter(checked_in_at=None)
    assert set(not_in.values_list("booking__event", flat=True)) == {event.pk, elsewhere.pk}
    check_code(page, sold_meanwhile.code)
    expect(verdict(page)).to_contain_text("Admitted")


def results_by_code(items: list[BookingItem]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {item.code: [] for item in items}
    for code, result in Scan.objects.order_by("recorded_at", "scanned_at").values_list("code", "result"):
        if code in found:
            found[code].append(result)
    return found


def test_door_that_was_offline_is_told_of_the_double_entries_it_made(at_the_door, event, items, staff):
    page = at_the_door()
    page.context.set_offline(True)
    admit(event=event, code=items[0].code, door="South door", by=staff)
    check_code(page, items[0].code)
    expect(verdict(page)).to_contain_text("Admitted")

    page.context.set_offline(False)

    notice = page.get_by_role("alert").filter(has_text="Let in by mistake")
    expect(notice).to_contain_text("Stalls, row 1, seat 1")
    expect(notice).to_contain_text("South door")
    assert list(Scan.objects.double_entries().values_list("item", flat=True)) == [items[0].pk]
    page.get_by_role("button", name="I have dealt with it").click()
    expect(notice).to_be_hidden()


@pytest.mark.parametrize("where", ["door", "account"])
def test_signing_out_clears_what_the_device_holds(at_the_door, site, items, where):
    page = at_the_door()
    assert held(page) == 2
    if where == "account":
        page.goto("/accounts/logout/")

    page.get_by_role("main").get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{site}/")

    assert held(page) == 0
    page.context.set_offline(True)
    with pytest.raises(PlaywrightError, match=r"ERR_INTERNET_DISCONNECTED|ERR_FAILED"):
        page.goto("/door/")


def test_losing_the_permission_clears_what_the_device_holds(at_the_door, items, staff):
    page = at_the_door()
    assert held(page) == 2
    staff.user_permissions.clear()
    check_code(page, items[0].code)
    expect(page.get_by_text("You are signed out")).to_be_visible()
    expect(page.get_by_text("Admitted")).to_have_count(0)

    assert held(page) == 0
    assert Scan.objects.count() == 0


def held(page: Page) -> int:
    return page.evaluate(
        """() => new Promise((resolve) => {
            const request = indexedDB.open("holdfast-door");
            request.onsuccess = () => {
                const database = request.result;
                const count = database.transaction("tickets").objectStore("tickets").count();
                count.onsuccess = () => { database.close(); resolve(count.result); };
            };
        })"""
    )


# --- The camera -------------------------------------------------------------------------


@pytest.fixture
def phone_with_camera(browser: Browser, site: str, tmp_path: Path) -> Iterator[Callable[[str], Page]]:
    """A phone whose camera sees a QR code, as Chromium plays it from a file."""
    opened = []

    def open_with(code: str) -> Page:
        film = tmp_path / "camera.mjpeg"
        write_film(film, code)
        started = browser.browser_type.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={film}",
            ],
        )
        opened.append(started)
        return started.new_context(base_url=site, viewport=PHONE).new_page()

    yield open_with
    for started in opened:
        started.close()


def write_film(film: Path, code: str) -> None:
    """A few pictures of a ticket, held a little askew in front of a wall."""
    still = film.with_suffix(".png")
    segno.make(code, error="m", micro=False).save(still, kind="png", scale=5, border=4)
    ticket = Image.open(still).convert("RGB").rotate(6, expand=True, fillcolor="white")
    picture = Image.new("RGB", (1280, 720), "#8a9a94")
    picture.paste(ticket, ((1280 - ticket.width) // 2, (720 - ticket.height) // 2))
    with film.open("wb") as out:
        for _number in range(10):
            picture.save(out, format="JPEG", quality=85)


def test_code_in_front_of_the_camera_is_admitted_once(phone_with_camera, site, event, items, staff, client):
    page = phone_with_camera(sign_code(items[0]))
    sign_in(page, site, client, staff)
    page.goto(f"/door/{event.slug}/")

    page.get_by_role("button", name="Start the camera").click()
    expect(verdict(page)).to_contain_text("Admitted", timeout=20_000)
    page.wait_for_timeout(1500)

    # It is still in view, and that is no second ticket.
    assert results() == [("admitted", False, True)]
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Start the camera")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_door_is_accessible(at_the_door, items, scheme):
    page = at_the_door(color_scheme=scheme, reduced_motion="reduce")
    pages = [Axe().run(page)]
    for code in (items[0].code, items[0].code, "nothing"):
        check_code(page, code)
        expect(page.get_by_label("Ticket code")).to_have_value("")
        pages.append(Axe().run(page))

    assert [found.response["violations"] for found in pages] == [[]] * 4
