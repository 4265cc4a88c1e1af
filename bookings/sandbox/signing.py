"""How the sandbox signs its notices, and how a signature is checked."""

from __future__ import annotations

import hashlib
import hmac
import time

from django.conf import settings

from bookings.exceptions import InvalidNotice

SIGNATURE_HEADER = "Sandbox-Signature"
# As Stripe's libraries do: a notice that is older may be a replay. Nor is the future believed.
TOLERANCE_SECONDS = 300


def sign(body: bytes, *, timestamp: int) -> str:
    """The signature header of a notice: `t=…,v1=…`, an HMAC-SHA256 of the time stamp and the body."""
    message = str(timestamp).encode() + b"." + body
    digest = hmac.new(settings.SANDBOX_WEBHOOK_SECRET.encode(), message, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def check_signature(body: bytes, header: str) -> None:
    """Raises `InvalidNotice` unless the header signs this body, lately."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    stamp = parts.get("t", "")
    if not stamp.isascii() or not stamp.isdigit() or len(stamp) > 12:
        raise InvalidNotice("The signature header is missing or malformed.")
    if abs(time.time() - int(stamp)) > TOLERANCE_SECONDS:
        raise InvalidNotice("The time stamp is too old or in the future.")
    if not hmac.compare_digest(sign(body, timestamp=int(stamp)).encode(), header.encode()):
        raise InvalidNotice("The signature is wrong.")
