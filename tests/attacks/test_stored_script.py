"""Script in every text that an organiser or a buyer can enter, followed to wherever the text is shown."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.core import mail as outbox
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse
from django.utils.http import urlencode

from bookings.models import Booking, User
from bookings.outbox.models import Mail
from bookings.outbox.rendering import make_message, write_mail
from bookings.tickets_files import tickets_calendar, tickets_pdf
from events.descriptions import render_description
from events.importing.records import Refused
from events.importing.text import clean_url
from events.models import Event
from events.seating_plan import import_plan
from tests.attacks.conftest import EXAMPLES
from tests.attacks.poison import SCRIPT, code_in, mails_of_every_kind, poison, typed_texts
from tests.attacks.routes import all_routes
from tests.attacks.world import World
from tests.events.test_seating_plan import make_plan
from tests.factories import make_user, make_venue

pytestmark = pytest.mark.django_db

# Whatever else is served needs a look of its own: a table for a spreadsheet above all, whose cells may
# begin with what is a formula there.
MARKUP = {"text/html", "image/svg+xml", "application/xhtml+xml"}
HARMLESS = {
    "",
    "application/json",
    "application/pdf",
    "application/problem+json",
    "application/vnd.oai.openapi",
    "image/png",
    "text/calendar",
    "text/javascript",
    "text/plain",
}


def signed_in(person: User | None) -> Client:
    client = Client(raise_request_exception=False)
    if person is not None:
        client.force_login(person)
    return client


def is_of_programs(address: str) -> bool:
    return address.startswith(("/api/", "/webhooks/"))


def office() -> Client:
    return signed_in(make_user(is_staff=True, is_superuser=True))


def addresses(world: World) -> list[str]:
    """Every address of the site, and those pages that only certain rows or parameters bring about."""
    section = world.event.tickets.filter(seat__isnull=False).first().seat.section
    everything = dict.fromkeys(["q", "city", "near", "category", "next", "page", "token", "section"], SCRIPT)
    event = world.event.get_absolute_url()
    more = [booking.get_absolute_url() for booking in world.own_bookings]
    more += [f"{event}?{urlencode({'section': section})}", f"{event}?{urlencode(everything)}"]
    more += [f"/search/?{urlencode({'q': word})}" for word in (SCRIPT, world.event.title, "hacked")]
    more += [f"/search/?{urlencode(everything)}", f"/accounts/login/?{urlencode(everything)}"]
    # The document of the API says nothing of any row, and takes long.
    return [route.address(world) for route in all_routes() if route.name != "api-schema"] + more


def test_every_text_of_every_model_is_thought_of():
    """A new field is poisoned without anybody thinking of it; this only shows that the search finds them."""
    found = {f"{model._meta.label}.{field.name}" for model, field in typed_texts()}

    assert {
        "events.Event.title",
        "events.Event.description",
        "events.Seat.row",
        "events.PriceTier.name",
        "bookings.Booking.name",
        "bookings.BookingItem.holder_name",
        "bookings.Refund.reason",
        "bookings.ApiKey.name",
        "door.Scan.door",
        "outbox.Mail.facts",
    } <= found


def test_script_in_every_text_is_text_wherever_it_is_shown(world: World):
    poison(world)
    everywhere = addresses(world)
    outside = [address for address in everywhere if not address.startswith(("/admin/", "/door/"))]
    # First all pages as they are, and then what the forms make of nothing.
    rounds = [(office(), "GET", everywhere), (signed_in(world.alice), "GET", outside)]
    if EXAMPLES > 5:
        rounds += [(signed_in(world.stan), "GET", everywhere), (signed_in(None), "GET", outside)]
    rounds += [(office(), "POST", [address for address in everywhere if not is_of_programs(address)])]
    code, unknown, broken, shown = [], set(), [], 0

    for client, method, asked in rounds:
        for address in asked:
            answer = client.generic(method, address, content_type="application/x-www-form-urlencoded")
            kind = answer.headers.get("Content-Type", "").partition(";")[0]
            if answer.status_code >= 500:
                broken.append((method, address))
            if kind not in MARKUP | HARMLESS:
                unknown.add(kind)
            if kind in MARKUP and "hacked" in (text := answer.content.decode()):
                shown += 1
                code += [(method, address, found) for found in code_in(text)]

    assert broken == []
    assert code == []
    assert unknown == set()
    # Or nothing was looked at.
    assert shown > 60


def test_script_typed_into_forms_comes_back_as_text(world: World):
    """What is refused is shown again beside the reason."""
    names = "title name email login reference reason code door summary city slug website description currency"
    names += " starts_at_0 holder_1 tickets quantity amount"
    form = dict.fromkeys(names.split(), f"javascript:{SCRIPT}")
    code, shown = [], 0

    for client in (office(), signed_in(world.alice)):
        for address in addresses(world):
            if is_of_programs(address):
                continue
            answer = client.post(address, form)
            if answer.headers["Content-Type"].startswith("text/html"):
                text = answer.content.decode()
                shown += "hacked" in text
                code += [(address, found) for found in code_in(text)]

    assert code == []
    assert shown > 10


@pytest.mark.parametrize("kind", list(Mail.Kind))
def test_script_in_every_text_is_text_in_every_mail(world: World, kind: Mail.Kind):
    poison(world)
    booking = Booking.objects.with_details().get(pk=world.booked.pk)
    mail = next(mail for mail in mails_of_every_kind(world) if mail.kind == kind)

    written = write_mail(mail, booking, booking.database_now)

    assert code_in(written.html) == []
    assert "hacked()" in written.html
    Mail.objects.filter(pk=world.mail.pk).update(
        html=written.html, text=written.text, subject=written.subject
    )
    page = office().get(reverse("admin:outbox_mail_change", args=[world.mail.pk]))
    assert code_in(page.content.decode()) == []
    assert 'sandbox=""' in page.content.decode()


def test_lines_of_a_text_are_no_lines_of_a_calendar_entry_or_a_mail_header(world: World):
    """A line more is a property or a header more: an alarm that runs, another recipient."""
    poison(world, "\r\nATTACH:x\r\nBcc:e@example.org")
    booking = Booking.objects.with_details().get(pk=world.booked.pk)
    calendar = tickets_calendar(booking)
    text = calendar.decode() if isinstance(calendar, bytes) else calendar
    for mail in mails_of_every_kind(world, "\r\nBcc:e@example.org"):
        written = write_mail(mail, booking, booking.database_now)
        make_message(mail, written, "ada@example.org").send()

    unfolded = text.replace("\r\n ", "")
    assert [line for line in unfolded.splitlines() if line.startswith(("ATTACH", "Bcc"))] == []
    assert "ATTACH:x" in unfolded
    assert {tuple(sent.recipients()) for sent in outbox.outbox} == {("ada@example.org",)}
    assert [sent for sent in outbox.outbox if "Bcc" in sent.message()] == []
    assert len(outbox.outbox) == len(Mail.Kind)


def test_printed_tickets_have_no_actions(world: World):
    poison(world)

    document = tickets_pdf(Booking.objects.with_details().get(pk=world.booked.pk))

    assert [word for word in (b"/JS", b"/JavaScript", b"/Launch", b"/URI", b"/AA") if word in document] == []


def test_exported_plan_is_a_file_and_no_page(world: World):
    venue = make_venue()
    import_plan(venue, json.dumps(make_plan()).replace("Stalls", json.dumps(SCRIPT)[1:-1]).encode())

    answer = office().get(reverse("admin:events_venue_export_plan", args=[venue.pk]))

    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert SCRIPT in [zone["name"] for zone in answer.json()["zones"]]


# Each of them did something in some renderer of Markdown.
DESCRIPTIONS = [
    "<script>hacked()</script>",
    "<svg onload=hacked()>",
    "<img src=x onerror=hacked()>",
    "[press](javascript:hacked())",
    "[press](JaVaScRiPt:hacked())",
    "[press](java\nscript:hacked())",
    "[press](&#106;avascript:hacked())",
    "[press](\x01javascript:hacked())",
    "[press](data:text/html,<script>hacked()</script>)",
    "[press](vbscript:hacked())",
    "![x](javascript:hacked())",
    '![x](x"onerror="hacked())',
    '[press](https://example.org "onmouseover=hacked()")',
    '[press](https://example.org"onmouseover="hacked())',
    "<javascript:hacked()>",
    "<https://example.org/\"onmouseover='hacked()'>",
    "[a]: javascript:hacked()\n\n[a]",
    "`<svg onload=hacked()>`",
    '```"onload=hacked()\n<svg onload=hacked()>\n```',
    "<a href=javascript:hacked()>press</a>",
    "<iframe srcdoc='<script>hacked()</script>'>",
    "<style>@import 'javascript:hacked()'</style>",
    "<math><mtext></form><form><mglyph><style></math><svg onload=hacked()>",
    "<noscript><p title='</noscript><svg onload=hacked()>'>",
    "<!--><svg onload=hacked()>-->",
    "<![CDATA[><svg onload=hacked()>]]>",
    "<form action=javascript:hacked()><button>x",
    "<base href=javascript:hacked()//>",
    "| a |\n|---|\n| <svg onload=hacked()> |",
    "&lt;svg onload=hacked()&gt;",
]


@pytest.mark.parametrize("text", DESCRIPTIONS)
def test_descriptions_run_nothing(text: str):
    html = render_description(text)

    assert code_in(html) == []
    assert not re.search(r"<(script|svg|img|iframe|style|form|base|math|noscript)\b", html, re.IGNORECASE)


@pytest.mark.parametrize(
    "link",
    [
        "javascript:hacked()",
        " JaVaScRiPt:hacked()",
        "data:text/html,x",
        "vbscript:x",
        "//x",
        "java\nscript:x",
    ],
)
def test_an_events_website_is_an_address_of_the_web(world: World, link: str):
    event: Any = Event.objects.get(pk=world.event.pk)
    event.website = link

    with pytest.raises(ValidationError) as refusal:
        event.full_clean()
    with pytest.raises(Refused):
        clean_url(link)

    assert set(refusal.value.message_dict) == {"website"}
