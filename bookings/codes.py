"""What is on a ticket: a short code that nobody guesses, and the same code signed, for the QR picture.

A signed code names the event and the ticket, so that a door can check one with the public key alone.
It is the same each time it is made, and nothing of it is stored. `docs/tickets.md` tells the format.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from bookings.exceptions import InvalidCode

if TYPE_CHECKING:
    from bookings.models import BookingItem

ALGORITHM = "Ed25519"
# The text has only characters of a QR's alphanumeric mode, so that the picture stays small.
VERSION = "HF1"
SEPARATOR = "."
# The longest that is worth a look: whatever is longer was not made here.
MAXIMUM_LENGTH = 200

# Crockford's base 32, whose readers take these for what they look like.
SHORT_CODE = re.compile(r"[0-9A-HJKMNP-TV-Z]{16}")
MISREAD = str.maketrans("ILO", "110")
# How codes looked before: tickets with them stay valid.
OLDER_CODE = re.compile(r"[0-9A-Za-z_-]{22}")
NUMBER = re.compile(r"[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class ScannedCode:
    """What a code says. One without a signature tells neither event nor ticket."""

    code: str
    event_id: int | None = None
    ticket_id: int | None = None
    is_signed: bool = False


def sign_code(item: BookingItem) -> str:
    """What the QR of a booked ticket holds: `HF1.EVENT.TICKET.CODE.SIGNATURE`, at most 154 characters.

    Asks the database nothing where `item.booking` is loaded, as it is from `with_details()`.
    """
    if not item.code:
        raise ValueError(f"Ticket {item} has no code.")
    message = _message(item.booking.event_id, item.ticket_id, item.code)
    return f"{message}{SEPARATOR}{_encode(_private_key().sign(message.encode()))}"


def read_code(text: str) -> ScannedCode:
    """What was scanned or typed, whatever its case, spaces and dashes.

    Raises `InvalidCode` for a wrong signature and for what is no code at all. Whether there is such
    a ticket, and whether it is still valid, is for the caller to look up.
    """
    text = text.strip()
    if len(text) > MAXIMUM_LENGTH:
        raise InvalidCode("too long")
    if SEPARATOR not in text:
        return ScannedCode(code=_read_short(text))
    parts = text.split(SEPARATOR)
    if len(parts) != 5 or parts[0].upper() != VERSION:
        raise InvalidCode("not a ticket's code")
    _version, event, ticket, code, signature = parts
    if not (NUMBER.fullmatch(event) and NUMBER.fullmatch(ticket)):
        raise InvalidCode("not a ticket's code")
    scanned = ScannedCode(_read_short(code), int(event), int(ticket), is_signed=True)
    _verify(_message(int(event), int(ticket), scanned.code), signature.upper())
    return scanned


def public_key() -> bytes:
    """The 32 bytes with which anyone can check a signed code."""
    return _private_key().public_key().public_bytes_raw()


def _message(event_id: int, ticket_id: int, code: str) -> str:
    return SEPARATOR.join([VERSION, str(event_id), str(ticket_id), code])


def _read_short(text: str) -> str:
    compact = re.sub(r"[\s-]", "", text).upper().translate(MISREAD)
    if SHORT_CODE.fullmatch(compact):
        return compact
    if OLDER_CODE.fullmatch(text):
        return text
    raise InvalidCode("not a ticket's code")


def _verify(message: str, signature: str) -> None:
    try:
        _private_key().public_key().verify(_decode(signature), message.encode())
    except (InvalidSignature, binascii.Error, UnicodeEncodeError) as error:
        raise InvalidCode("the signature is wrong") from error


def _encode(signature: bytes) -> str:
    return base64.b32encode(signature).decode().rstrip("=")


def _decode(text: str) -> bytes:
    """Raises `binascii.Error`, also for a second spelling of the same bytes."""
    signature = base64.b32decode(text + "=" * (-len(text) % 8))
    if _encode(signature) != text:
        raise binascii.Error("not as it was written")
    return signature


def _private_key() -> Ed25519PrivateKey:
    return _load_key(settings.TICKET_SIGNING_KEY, settings.SECRET_KEY)


@lru_cache(maxsize=4)
def _load_key(own: bytes, secret: str) -> Ed25519PrivateKey:
    """The key of its own, else one that follows from the site's secret key."""
    if not own:
        derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"holdfast.ticket-codes.1")
        own = derive.derive(secret.encode())
    return Ed25519PrivateKey.from_private_bytes(own)
