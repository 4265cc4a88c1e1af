"""Reading Stripe's signed notices."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import stripe

from bookings.exceptions import InvalidNotice
from bookings.gateways import Notice, as_uuid

SIGNATURE_HEADER = "Stripe-Signature"
LONGEST_BODY = 64 * 1024
TOLERANCE_SECONDS = 300


def read_signed(body: bytes, header: str, secrets: Sequence[str]) -> Notice:
    """The notice, if one of the secrets signed it within the last five minutes.

    Raises `InvalidNotice`.
    """
    if len(body) > LONGEST_BODY:
        raise InvalidNotice("The notice is too long.")
    if not any(_is_signed(body, header, secret) for secret in secrets):
        raise InvalidNotice("The notice is not signed, or too old.")
    # The library lets a time stamp of the future pass, and a notice kept for later with it.
    if _signed_at(header) > time.time() + TOLERANCE_SECONDS:
        raise InvalidNotice("The notice is dated in the future.")
    return _read(_parse(body))


def _is_signed(body: bytes, header: str, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body, header, secret, TOLERANCE_SECONDS)
    except (stripe.SignatureVerificationError, ValueError):
        # A body that is no UTF-8 is refused with a ValueError.
        return False
    return True


def _signed_at(header: str) -> int:
    """Of a header that has been verified: the library reads the first one too."""
    return next(int(part[2:]) for part in header.split(",") if part.startswith("t="))


def _parse(body: bytes) -> dict[str, Any]:
    try:
        event = json.loads(body)
        # Half a surrogate pair and NUL are JSON that the database cannot keep.
        text = json.dumps(event, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidNotice("The notice cannot be read.") from error
    if not isinstance(event, dict) or b"\\u0000" in text:
        raise InvalidNotice("The notice cannot be read.")
    return event


def _read(event: dict[str, Any]) -> Notice:
    provider_id, kind, data = event.get("id"), event.get("type"), event.get("data")
    about = data.get("object") if isinstance(data, dict) else None
    if not (isinstance(provider_id, str) and isinstance(kind, str) and isinstance(about, dict)):
        raise InvalidNotice("The notice is no event.")
    key = _key_of(about)
    is_session = about.get("object") == "checkout.session"
    reference = str(about.get("id", "")) if key and is_session else ""
    return Notice(provider_id=provider_id, kind=kind, payload=event, key=key, reference=reference)


def _key_of(about: dict[str, Any]) -> str:
    """Our payment's id. Others may use the same account, with words of their own in its place."""
    metadata = about.get("metadata")
    told = metadata.get("payment") if isinstance(metadata, dict) else None
    found = as_uuid(str(told or about.get("client_reference_id") or ""))
    return str(found) if found else ""
