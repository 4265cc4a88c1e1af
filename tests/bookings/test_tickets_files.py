"""Tickets to take along: pictures that scan, paper that can be read, a calendar that follows the event."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import segno
from django.test import Client
from django.utils import timezone
from fontTools.ttLib import TTFont
from icalendar import Calendar
from PIL import Image

from bookings import printing
from bookings.access import access_link
from bookings.codes import sign_code
from bookings.models import Booking, BookingItem, Payment, Refund, User, make_code
from bookings.pdf_fonts import BOX, FOLDER, OTHERS, printable
from bookings.tickets_files import live_items, qr_png, qr_svg, tickets_calendar, tickets_pdf
from events.models import Event
from tests.factories import make_event, make_general_admission, make_seated, make_user, make_venue

pytestmark = pytest.mark.django_db

STARTS_AT = datetime(2027, 6, 12, 18, 0, tzinfo=UTC)


def make_booking(
    count: int = 1, *, is_seated: bool = True, holder: str = "", account: User | None = None, **fields: Any
) -> Booking:
    """A booked booking, as `with_details()` gives it."""
    facts = {
        "starts_at": STARTS_AT,
        "doors_at": STARTS_AT - timedelta(hours=1),
        "title": "A Night of Strings",
    }
    event = make_event(**facts | fields)
    tier = make_seated(event) if is_seated else make_general_admission(event, count)
    booking = Booking.objects.create(
        event=event,
        account=account,
        name="Mara Lind",
        total=Decimal(30 * count),
        currency="EUR",
        status=Booking.Status.BOOKED,
        expires_at=timezone.now(),
        booked_at=timezone.now(),
    )
    BookingItem.objects.bulk_create(
        BookingItem(
            booking=booking, ticket=ticket, price_tier=tier, price=30, holder_name=holder, code=make_code()
        )
        for ticket in event.tickets.order_by("position")[:count]
    )
    return look_again(booking)


def look_again(booking: Booking) -> Booking:
    return Booking.objects.with_details().get(pk=booking.pk)


def refund(booking: Booking, *items: BookingItem) -> None:
    """The rows of a refund alone; where it frees tickets is tested where it does."""
    payment = Payment.objects.create(
        booking=booking, gateway="sandbox", amount=booking.total, currency=booking.currency
    )
    made = Refund.objects.create(
        booking=booking, payment=payment, origin=Refund.Origin.STAFF, amount=30, currency=booking.currency
    )
    BookingItem.objects.filter(pk__in=[item.pk for item in items]).update(refund=made)
    if not BookingItem.objects.filter(booking=booking, refund=None).exists():
        Booking.objects.filter(pk=booking.pk).update(status=Booking.Status.REFUNDED)


def pages_of(pdf: bytes) -> int:
    return pdf.count(b"/Type /Page\n")


# --- Pictures ---------------------------------------------------------------------------


def test_png_is_the_signed_code_with_a_quiet_zone():
    (item,) = make_booking().items.all()

    picture = Image.open(io.BytesIO(qr_png(item))).convert("1")
    expected = segno.make_qr(sign_code(item), error="m", boost_error=False).matrix_iter(border=4)
    modules = [[int(not picture.getpixel((x * 16 + 8, y * 16 + 8))) for x in range(49)] for y in range(49)]
    assert picture.size == (49 * 16, 49 * 16)
    assert modules == [list(row) for row in expected]


def test_svg_has_its_own_white_ground():
    (item,) = make_booking().items.all()

    svg = qr_svg(item).decode()
    assert 'viewBox="0 0 49 49"' in svg
    assert '<path fill="#fff" d="M0 0h49v49h-49z"/>' in svg


def test_files_of_a_booking_with_details_ask_nothing_more(django_assert_num_queries):
    booking = make_booking(3)

    with django_assert_num_queries(0):
        tickets_pdf(booking)
        tickets_calendar(booking)
        for item in live_items(booking):
            qr_svg(item)


# --- Paper ------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3])
def test_pdf_has_a_page_for_each_ticket(count: int):
    assert pages_of(tickets_pdf(make_booking(count))) == count


def test_pdf_leaves_refunded_tickets_out():
    booking = make_booking(3)
    refund(booking, booking.items.all()[1])

    assert pages_of(tickets_pdf(look_again(booking))) == 2


@pytest.fixture
def texts_set(monkeypatch) -> list[tuple[str, float, float, float, float]]:
    """Every text that is set, with its place: left, top, width and lower edge."""
    seen = []
    put = printing.Sheet._put

    def watch(self, text, style, x, y, width, room, **how):
        bottom = put(self, text, style, x, y, width, room, **how)
        assert bottom <= y + room + 0.01, text
        seen.append((text, x, y, width, bottom))
        return bottom

    monkeypatch.setattr(printing.Sheet, "_put", watch)
    return seen


LONG = {
    "words": "Extraordinary evening of chamber music " * 6,
    "one word": "W" * 200,
    "German": "Donaudampfschifffahrtskapitänsgesellschaft " * 5,
    "Japanese": "東京国際フォーラム" * 22,
    "Arabic": "ليلة الموسيقى العربية " * 9,
}


@pytest.mark.parametrize("name", LONG)
def test_pdf_of_long_names_sets_nothing_over_something_else(texts_set, name: str):
    text = LONG[name]
    venue = make_venue(name=text[:160], address=text[:200].ljust(240, text[0]), city=text[:120])
    booking = make_booking(holder=text[:160], venue=venue, title=text[:200])

    assert pages_of(tickets_pdf(booking)) == 1
    for number, (_text, x, y, width, bottom) in enumerate(texts_set):
        assert bottom <= printing.PAGE_HEIGHT - 8
        for _other, left, top, wide, low in texts_set[number + 1 :]:
            is_apart = bottom <= top + 0.01 or low <= y + 0.01 or x + width <= left or left + wide <= x
            assert is_apart, (_text, _other)


def test_pdf_opens_a_big_font_only_for_a_text_that_needs_it(monkeypatch):
    opened = []
    add_font = printing.FPDF.add_font
    monkeypatch.setattr(
        printing.FPDF,
        "add_font",
        lambda pdf, *args, **how: opened.append(args[0]) or add_font(pdf, *args, **how),
    )

    tickets_pdf(make_booking(holder="Zoë Łukasiewicz"))
    plain = set(opened)
    opened.clear()
    tickets_pdf(make_booking(holder="山田太郎", title="ليلة שלום Ночь"))

    assert plain == {"text", "heading"}
    assert set(opened) == {"text", "heading", *(family for family, _file in OTHERS)}


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("Cafe\u0301\u00a0  Zoë\n", "Café Zoë"),
        ("Party 🎉 now", f"Party {BOX} now"),
        ("👨\u200d👩\u200d👧", BOX * 3),
        ("서울", BOX * 2),
        ("\u202eabc\u0007", "abc"),
        ("東京 سلام שלום Αθήνα Москва", "東京 سلام שלום Αθήνα Москва"),
    ],
)
def test_letters_without_a_form_are_boxes_and_none_is_lost(text: str, printed: str):
    assert printable(text) == printed


def test_box_is_in_the_first_font_that_is_looked_into():
    _family, file = OTHERS[0]
    with TTFont(FOLDER / file, lazy=True) as font:
        assert ord(BOX) in font.getBestCmap()


def test_every_font_has_its_licence():
    fonts = {path.stem.partition("-")[0] for path in FOLDER.glob("*.ttf")}
    assert {path.stem.removeprefix("LICENSE-") for path in FOLDER.glob("LICENSE-*.txt")} == fonts


# --- Calendar ---------------------------------------------------------------------------


def entry_of(booking: Booking) -> Any:
    (entry,) = Calendar.from_ical(tickets_calendar(look_again(booking))).walk("VEVENT")
    return entry


def test_calendar_has_the_event_where_and_when_it_is():
    venue = make_venue(
        name="Gewandhaus",
        address="Augustusplatz 8",
        city="Leipzig",
        country="DE",
        latitude=51.337,
        longitude=12.381,
        timezone="Europe/Berlin",
    )
    booking = make_booking(2, venue=venue)

    calendar = Calendar.from_ical(tickets_calendar(booking))
    (entry,) = calendar.walk("VEVENT")
    assert entry["DTSTART"].params["TZID"] == "Europe/Berlin"
    assert [zone["TZID"] for zone in calendar.walk("VTIMEZONE")] == ["Europe/Berlin"]
    assert entry.start.isoformat() == "2027-06-12T20:00:00+02:00"
    assert entry.end == booking.event.ends_at
    assert entry["LOCATION"] == "Gewandhaus, Augustusplatz 8, Leipzig, Germany"
    assert entry["GEO"].to_ical() == "51.337;12.381"
    assert entry["STATUS"] == "CONFIRMED"
    assert entry["URL"].endswith(f"/bookings/{booking.pk}/")
    assert "Stalls, row 1, seat 2" in entry["DESCRIPTION"]


def test_calendar_reminds_three_hours_before_the_doors():
    (alarm,) = entry_of(make_booking()).walk("VALARM")

    assert alarm["ACTION"] == "DISPLAY"
    assert alarm["TRIGGER"].dt == timedelta(hours=-4)


def test_calendar_of_a_moved_event_replaces_the_entry():
    booking = make_booking()
    before = entry_of(booking)
    event = Event.objects.get(pk=booking.event_id)
    Event.objects.filter(pk=event.pk).update(
        starts_at=STARTS_AT + timedelta(days=7),
        ends_at=STARTS_AT + timedelta(days=7, hours=2),
        updated_at=event.updated_at + timedelta(minutes=5),
    )

    after = entry_of(booking)
    assert after["UID"] == before["UID"]
    assert after["SEQUENCE"] == before["SEQUENCE"] + 300
    assert after.start - before.start == timedelta(days=7)


@pytest.mark.parametrize(("status", "told"), [("cancelled", "CANCELLED"), ("postponed", "TENTATIVE")])
def test_calendar_tells_what_became_of_the_event(status: str, told: str):
    booking = make_booking()
    Event.objects.filter(pk=booking.event_id).update(status=status)

    assert entry_of(booking)["STATUS"] == told


def test_calendar_of_a_refunded_booking_strikes_the_entry_out():
    booking = make_booking()
    before = entry_of(booking)
    refund(booking, *booking.items.all())

    after = entry_of(booking)
    assert (after["UID"], after["STATUS"]) == (before["UID"], "CANCELLED")
    assert after["SEQUENCE"] > before["SEQUENCE"]
    assert after.walk("VALARM") == []


# --- Pages and API ----------------------------------------------------------------------


@pytest.fixture
def buyer(client: Client) -> User:
    user = make_user()
    client.force_login(user)
    return user


def page_of(client: Client, booking: Booking, item: BookingItem) -> str:
    answer = client.get(f"/bookings/{booking.pk}/tickets/{item.ticket_id}/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_ticket_page_shows_the_code_and_leads_to_the_next(client: Client, buyer: User):
    booking = make_booking(3, account=buyer, holder="Mara Lind")
    first, second, third = booking.items.all()

    page = page_of(client, booking, second)
    assert 'src="data:image/svg+xml' in page
    assert second.grouped_code in page
    assert first.grouped_code not in page
    assert "Ticket 2 of 3" in page
    assert re.search(rf'rel="prev"[^>]*/tickets/{first.ticket_id}/"', page)
    assert re.search(rf'rel="next"[^>]*/tickets/{third.ticket_id}/"', page)


@pytest.mark.parametrize("count", [1, 3])
def test_ticket_page_takes_a_fixed_number_of_queries(
    client: Client, buyer: User, django_assert_num_queries, count: int
):
    booking = make_booking(count, account=buyer)
    (item, *_rest) = booking.items.all()

    with django_assert_num_queries(7):
        page_of(client, booking, item)


def test_guest_with_the_link_of_a_mail_may_show_the_ticket(client: Client):
    booking = make_booking()
    (item,) = booking.items.all()
    path = f"/bookings/{booking.pk}/tickets/{item.ticket_id}/"

    before = client.get(path).status_code
    client.get(access_link(booking))
    assert (before, client.get(path).status_code) == (404, 200)


def test_ticket_page_says_that_the_event_is_off(client: Client, buyer: User):
    booking = make_booking(account=buyer)
    Event.objects.update(status=Event.Status.CANCELLED)

    assert "This event was cancelled." in page_of(client, booking, booking.items.all()[0])


def test_ticket_page_says_that_it_was_used(client: Client, buyer: User):
    booking = make_booking(account=buyer)
    BookingItem.objects.update(checked_in_at=STARTS_AT)

    assert "Checked in 12 Jun 2027, 20:00" in page_of(client, booking, booking.items.all()[0])


def test_refunded_ticket_has_no_code_anywhere(client: Client, buyer: User):
    booking = make_booking(2, account=buyer)
    gone, kept = booking.items.all()
    refund(booking, gone)

    page = page_of(client, booking, gone)
    found = client.get(f"/api/v1/bookings/{booking.pk}/").json()
    paths = [f"/bookings/{booking.pk}/tickets/{gone.ticket_id}.{kind}" for kind in ("svg", "png")]
    paths += [f"/api/v1/bookings/{booking.pk}/tickets/{gone.ticket_id}/qr.{kind}" for kind in ("svg", "png")]
    assert "This ticket was refunded and is no longer valid." in page
    assert (gone.grouped_code in page, "data:image" in page) == (False, False)
    assert [client.get(path).status_code for path in paths] == [404] * 4
    assert [(ticket["code"], ticket["qr_svg_url"] is None) for ticket in found["tickets"]] == [
        (None, True),
        (sign_code(kept), False),
    ]
    whole = client.get(f"/bookings/{booking.pk}/").content.decode()
    assert (gone.grouped_code in whole, kept.grouped_code in whole) == (False, True)


def test_booking_without_a_valid_ticket_has_no_files_but_a_calendar(client: Client, buyer: User):
    booking = make_booking(account=buyer)
    refund(booking, *booking.items.all())

    for start in ("/bookings/", "/api/v1/bookings/"):
        assert client.get(f"{start}{booking.pk}/tickets.pdf").status_code == 404
        assert b"STATUS:CANCELLED" in client.get(f"{start}{booking.pk}/tickets.ics").content


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_pictures_come_from_the_page_and_the_api(client: Client, buyer: User, kind: str):
    booking = make_booking(account=buyer)
    (item,) = booking.items.all()
    expected = {"svg": qr_svg, "png": qr_png}[kind](item)

    page = client.get(f"/bookings/{booking.pk}/tickets/{item.ticket_id}.{kind}")
    api = client.get(f"/api/v1/bookings/{booking.pk}/tickets/{item.ticket_id}/qr.{kind}")
    assert page.content == api.content == expected
    assert page["Content-Type"] == api["Content-Type"] == {"svg": "image/svg+xml", "png": "image/png"}[kind]


def test_tickets_of_another_are_not_found(client: Client, buyer: User):
    others = make_booking(account=make_user())
    mine = make_booking(account=buyer)
    (item,) = others.items.all()

    paths = [
        f"/bookings/{others.pk}/tickets/{item.ticket_id}/",
        f"/bookings/{others.pk}/tickets/{item.ticket_id}.png",
        f"/bookings/{mine.pk}/tickets/{item.ticket_id}/",
        f"/bookings/{mine.pk}/tickets/{item.ticket_id}.png",
        f"/api/v1/bookings/{mine.pk}/tickets/{item.ticket_id}/qr.png",
    ]
    assert [client.get(path).status_code for path in paths] == [404] * 5


def test_hold_has_no_ticket_to_show(client: Client, buyer: User):
    booking = make_booking(account=buyer)
    Booking.objects.update(status=Booking.Status.RELEASED, booked_at=None)
    (item,) = booking.items.all()

    for end in (f"tickets/{item.ticket_id}/", "tickets.pdf", "tickets.ics"):
        assert client.get(f"/bookings/{booking.pk}/{end}").status_code == 404
