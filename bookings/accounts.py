"""How accounts are guarded beyond what allauth does by itself."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.internal.ratelimit import get_ip
from django.http import HttpRequest

from bookings.limits import is_too_often

# From everywhere together, tries that went well included: enough for a household, too few to guess.
SIGN_INS_PER_HOUR_AND_ACCOUNT = 100


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth is not typed.
    """Counts sign-ins before any password is hashed, so that nobody is locked out by another.

    allauth's few tries for an account are each network's own here; all networks together have a
    limit that is far higher, beyond which its owner comes in by a mail.
    """

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        super().pre_authenticate(request, **credentials)
        account = self._account_of(credentials)
        if is_too_often(f"sign-in:{account}", SIGN_INS_PER_HOUR_AND_ACCOUNT, seconds=3600):
            raise self.validation_error("too_many_login_attempts")

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        return f"{self._account_of(credentials)} from {get_ip(request)}"

    @staticmethod
    def _account_of(credentials: dict[str, Any]) -> str:
        return str(credentials.get("email") or credentials.get("username") or "").lower()
