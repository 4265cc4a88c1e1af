"""Script in every text of the database that somebody can enter, and how one tells that it got out."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models

from bookings.door.models import Scan
from bookings.outbox.models import Mail
from tests.attacks.world import World

# Ends a string, an attribute, a tag or a script, whichever it stands in, and fits the shortest text.
SCRIPT = "'\"></script><svg onload=hacked()>"
# An address may be quoted, and then has what it likes before its `@`.
ADDRESS = '"{}\'><svg/onload=hacked()>"@example.org'
# Nobody types these: our own words for a state, what we draw by chance, hash or are told by a gateway,
# and letters of which a form takes no others. A new text is typed by somebody until it stands here.
NOT_TYPED = {
    "account.EmailConfirmation.key",
    "events.Category.slug",
    "events.Performer.slug",
    "events.Venue.slug",
    "events.Event.slug",
    "events.Venue.country",
    "events.Venue.timezone",
    "events.Venue.plan",  # Goes nowhere but into the exported file, which has a test of its own.
    "events.Event.currency",
    "events.Event.source_key",
    "events.PriceTier.sections",  # Which seats it sells; their own section is poisoned.
    "search.SearchDocument.names",  # Follows from the others, by triggers.
    "bookings.User.password",
    "bookings.ApiKey.key_hash",
    "bookings.ApiKey.hint",
    "bookings.Booking.reference",
    "bookings.Booking.access_token_hash",
    "bookings.Booking.currency",
    "bookings.BookingItem.code",
    "bookings.IdempotencyKey.caller",
    "bookings.IdempotencyKey.fingerprint",
    "bookings.IdempotencyKey.body",
    "bookings.Payment.gateway",
    "bookings.Payment.gateway_reference",
    "bookings.Payment.currency",
    "bookings.Payment.redirect_url",
    "bookings.Refund.currency",
    "bookings.PaymentNotice.gateway",
    "sandbox.SandboxIntent.id",
    "sandbox.SandboxIntent.idempotency_key",
    "sandbox.SandboxIntent.currency",
    "sandbox.SandboxIntent.notice_mode",
    "sandbox.SandboxRefund.id",
    "sandbox.SandboxRefund.idempotency_key",
    "sandbox.SandboxNotice.id",
    "outbox.Mail.key",
    # Written by us from texts that are poisoned, when the mail is sent.
    "outbox.Mail.to",
    "outbox.Mail.subject",
    "outbox.Mail.text",
    "outbox.Mail.html",
    "outbox.Mail.message_id",
}
# What the database only ever adds; poisoned by a row of its own.
ADDED_ONLY = {Scan}
# A browser leaves out white space and control characters in front of a scheme and in it.
LINKS = {"href", "src", "action", "formaction", "data", "xlink:href", "poster"}
PROGRAM = re.compile(
    r"[\0-\x20]*(j\s*a\s*v\s*a\s*s\s*c\s*r\s*i\s*p\s*t|vbscript|data(?!:image/))\s*:", re.IGNORECASE
)
OTHERS = {"admin", "auth", "contenttypes", "sessions"}


def typed_texts() -> list[tuple[type[models.Model], models.Field[Any, Any]]]:
    """Every text, list of texts and JSON of every model that somebody can enter, with its model."""
    kinds = (models.CharField, models.TextField, models.JSONField, ArrayField)
    return [
        (model, field)
        for model in apps.get_models()
        if model._meta.app_label not in OTHERS
        for field in model._meta.fields
        if isinstance(field, kinds)
        and not field.choices
        and f"{model._meta.label}.{field.name}" not in NOT_TYPED
    ]


def poison(world: World, script: str = SCRIPT) -> None:
    """Write `script` into every text of every row, past all forms, so that only the pages guard."""
    made_by_ours = {
        "payload": {"text": script},
        "facts": facts_with(script, world),
    }
    for model, field in typed_texts():
        if model in ADDED_ONLY:
            continue
        for number, pk in enumerate(model._default_manager.values_list("pk", flat=True)):
            value: Any = f"{number}{script}"
            if field.name in made_by_ours:
                value = made_by_ours[field.name]
            elif isinstance(field, models.EmailField):
                value = ADDRESS.format(number)
            elif isinstance(field, models.URLField):
                value = f"https://example.org/?{value}"
            assert field.max_length is None or len(value) <= field.max_length, field
            model._default_manager.filter(pk=pk).update(**{field.name: value})
    texts = dict.fromkeys(["code", "door", "device"], script)
    known = {"scanned_by": world.stan, "scanned_at": world.scan.scanned_at, "result": "unknown"}
    Scan.objects.create(event=world.event, **texts, **known)
    with connection.cursor() as cursor:
        # Constraints and triggers that wait for the end of a transaction speak now.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    for row in (world.event, world.booked, world.held, world.alice, world.stan):
        row.refresh_from_db()


def facts_with(text: str, world: World) -> dict[str, Any]:
    return {"reason": text, "old_venue": text, "refund": str(world.refund.pk)}


class Finder(HTMLParser):
    """Reads markup as a browser does, and collects what of the script would run or be evaluated."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._in_script = tag == "script"
        for name, value in attributes:
            said = value or ""
            # A handler, or an expression of the libraries of the office; a link that is a program.
            is_code = name.startswith(("on", "x-", "@", ":", "hx-on")) or name == "style"
            is_link = name in LINKS and PROGRAM.match(said)
            if ("hacked" in said and is_code) or is_link:
                self.found.append(f"<{tag} {name}={said!r}>")
            if name == "srcdoc":
                self.found += code_in(said)

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script and SCRIPT in data:
            self.found.append(f"<script>{data[:80]!r}")


def code_in(markup: str) -> list[str]:
    """What of the poison is code in this HTML or SVG."""
    finder = Finder()
    finder.feed(markup)
    finder.close()
    return finder.found


def mails_of_every_kind(world: World, script: str = SCRIPT) -> list[Mail]:
    """One unsent mail of each kind about Alice's poisoned booking."""
    facts = facts_with(script, world)
    return [Mail(kind=kind, booking=world.booked, facts=facts) for kind in Mail.Kind]
