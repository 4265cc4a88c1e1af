"""Keys with which a program acts for an account."""

from __future__ import annotations

import secrets

from bookings.models import ApiKey, User, hash_secret


def make_key(*, account: User, name: str) -> tuple[ApiKey, str]:
    """A new key and its secret, which is told this once: only its hash is kept."""
    secret = f"hf_{secrets.token_urlsafe(32)}"
    key = ApiKey.objects.create(account=account, name=name, key_hash=hash_secret(secret), hint=secret[:8])
    return key, secret


def revoke_key(*, account: User, key_id: int) -> None:
    """Make the account's key worthless at once. Asking again changes nothing."""
    ApiKey.objects.filter(account=account, pk=key_id).delete()
