"""Codes: signed so that anyone can check one, read as people type them, one text for one ticket."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import segno
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from bookings.codes import ScannedCode, public_key, read_code, sign_code
from bookings.exceptions import InvalidCode
from bookings.models import Booking, BookingItem, make_code
from ticketing import checks

CODE = "7Z3KQ0VXJ2M9TBWD"
OLDER = "mR2_9w-cXz1QmR2_9wTcXz"
DOCS = Path(__file__).parents[2] / "docs" / "tickets.md"


def item_of(*, event: int = 12, ticket: int = 3456, code: str = CODE) -> BookingItem:
    return BookingItem(booking=Booking(event_id=event), ticket_id=ticket, code=code)


def test_new_code_can_be_typed_and_is_never_the_same():
    codes = {make_code() for _ in range(1000)}

    assert len(codes) == 1000
    assert all(re.fullmatch("[0-9A-HJKMNP-TV-Z]{16}", code) for code in codes)


def test_signed_code_reads_as_what_was_signed():
    signed = sign_code(item_of())

    assert signed.startswith(f"HF1.12.3456.{CODE}.")
    assert read_code(signed) == ScannedCode(code=CODE, event_id=12, ticket_id=3456, is_signed=True)


def test_signed_code_is_the_same_each_time():
    assert sign_code(item_of()) == sign_code(item_of())


def test_signed_code_makes_a_small_picture():
    signed = sign_code(item_of(event=2**40, ticket=2**40))

    picture = segno.make_qr(signed, error="m", boost_error=False)
    assert (picture.mode, picture.version) == ("alphanumeric", 6)


def test_public_key_is_enough_to_check_a_signed_code():
    message, _dot, signature = sign_code(item_of()).rpartition(".")

    key = Ed25519PublicKey.from_public_bytes(public_key())
    key.verify(base64.b32decode(signature + "="), message.encode())


@pytest.mark.parametrize(
    "typed",
    [
        CODE,
        "7Z3K-Q0VX-J2M9-TBWD",
        " 7z3k q0vx j2m9 tbwd\n",
        "7Z3KQOVXJ2M9TBWD",
        "7z3k-qovx-j2m9-tbwd",
    ],
)
def test_short_code_is_read_as_people_type_it(typed: str):
    assert read_code(typed) == ScannedCode(code=CODE)


def test_letters_that_look_like_figures_are_read_as_figures():
    assert read_code("ilol-ILOL-0000-0000") == ScannedCode(code="1101110100000000")


def test_older_code_is_still_read_and_signed():
    assert read_code(f" {OLDER} ") == ScannedCode(code=OLDER)
    assert read_code(sign_code(item_of(code=OLDER))).code == OLDER


def test_signed_code_may_come_in_lower_case():
    assert read_code(sign_code(item_of()).lower()).is_signed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7Z3KQ0VXJ2M9TBW",
        "7Z3KQ0VXJ2M9TBWDD",
        "7Z3KQ0VXJ2M9TBWU",
        "https://example.org/tickets/1",
        "HF1.12.3456",
        "HF1.0.3456.7Z3KQ0VXJ2M9TBWD.AAAA",
        "HF1.-1.3456.7Z3KQ0VXJ2M9TBWD.AAAA",
        "HF1.１２.3456.7Z3KQ0VXJ2M9TBWD.AAAA",
        "HF2.12.3456.7Z3KQ0VXJ2M9TBWD.AAAA",
        "HF1.12.3456.7Z3KQ0VXJ2M9TBWD.",
        "HF1.12.3456.7Z3KQ0VXJ2M9TBWD.ß",
        "." * 4,
        "0" * 5000,
    ],
)
def test_what_is_no_code_is_refused(text: str):
    with pytest.raises(InvalidCode):
        read_code(text)


@pytest.mark.parametrize("part", [1, 2, 3])
def test_code_of_another_ticket_does_not_pass_with_this_signature(part: int):
    parts = sign_code(item_of()).split(".")
    parts[part] = sign_code(item_of(event=13, ticket=3457, code=CODE[::-1])).split(".")[part]

    with pytest.raises(InvalidCode):
        read_code(".".join(parts))


def test_every_changed_letter_of_a_signature_is_noticed():
    message, _dot, signature = sign_code(item_of()).rpartition(".")
    for place, letter in enumerate(signature):
        forged = signature[:place] + ("A" if letter != "A" else "B") + signature[place + 1 :]
        with pytest.raises(InvalidCode):
            read_code(f"{message}.{forged}")


def test_one_ticket_has_one_text():
    """The last letter of a signature has three spare bits, which make seven more spellings of it."""
    *start, last = sign_code(item_of())
    for letter in set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") - {last}:
        with pytest.raises(InvalidCode):
            read_code("".join([*start, letter]))


@given(st.text(max_size=220))
def test_reading_anything_gives_a_code_or_a_refusal(text: str):
    try:
        scanned = read_code(text)
    except InvalidCode:
        return
    assert not scanned.is_signed


def test_ticket_without_a_code_is_not_signed():
    with pytest.raises(ValueError, match="has no code"):
        sign_code(BookingItem(booking=Booking(event_id=1), ticket_id=2))


def test_key_of_its_own_outlives_the_secret_key(settings):
    settings.TICKET_SIGNING_KEY = bytes(range(32))
    signed = sign_code(item_of())
    settings.SECRET_KEY = "another"

    assert read_code(signed).code == CODE


def test_new_secret_key_is_a_new_signing_key_where_there_is_no_own(settings):
    settings.TICKET_SIGNING_KEY = b""
    signed = sign_code(item_of())
    settings.SECRET_KEY = "another"

    with pytest.raises(InvalidCode):
        read_code(signed)


def test_check_warns_of_tickets_that_a_new_secret_key_would_kill(settings):
    settings.SECURE, settings.TICKET_SIGNING_KEY = True, b""
    assert [message.id for message in checks.check_ticket_key(None)] == ["holdfast.W010"]
    settings.TICKET_SIGNING_KEY = bytes(32)
    assert checks.check_ticket_key(None) == []


@pytest.mark.django_db
def test_public_key_is_told_to_everyone(client: Client):
    answer = client.get("/api/v1/check-in/key/")

    assert answer.status_code == 200
    assert answer.json() == {
        "algorithm": "Ed25519",
        "public_key": base64.b64encode(public_key()).decode(),
    }


def test_example_in_the_documentation_checks_a_code(tmp_path: Path):
    (example,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    program = tmp_path / "door.py"
    program.write_text(textwrap.dedent(example))
    key, signed = base64.b64encode(public_key()).decode(), sign_code(item_of())

    def run(code: str) -> str:
        done = subprocess.run(
            [sys.executable, program, key, code], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    assert run(signed) == f"event 12, ticket 3456, code {CODE}"
    assert run(signed.replace(".3456.", ".3457.")) == "not a ticket"
    assert run("nonsense") == "not a ticket"
