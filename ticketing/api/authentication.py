"""Who calls the API: an account by its key, an account by its session, or a guest."""

from __future__ import annotations

from datetime import timedelta
from typing import NoReturn

from django.contrib.auth.models import AnonymousUser
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import authentication, exceptions
from rest_framework.request import Request

from bookings.models import ApiKey, User, hash_secret
from bookings.permissions import SESSION_TOKENS
from events.statements import columns_of, execute
from ticketing.api.limits import address_of, count_call

# What every request needs of them.
KEY_FIELDS = columns_of(ApiKey, "id", "account_id", "last_used_at")
ACCOUNT_FIELDS = columns_of(User, "id", "is_superuser", "is_staff", "is_active", "email")
FIND_KEY = f"""
    SELECT {", ".join(f"key.{name}" for name in KEY_FIELDS)},
        {", ".join(f"account.{name}" for name in ACCOUNT_FIELDS)}
    FROM bookings_apikey AS key JOIN bookings_user AS account ON account.id = key.account_id
    WHERE key.key_hash = %(key_hash)s
"""  # noqa: S608  # Names of columns.


class TokenAuthentication(authentication.BaseAuthentication):
    """`Authorization: Token <key>`, looked up by its hash."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        scheme, _space, key = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "token":
            return None
        found = find_key(key.strip())
        if found is None or not found.account.is_active:
            self._refuse(request)
        # Once an hour is enough to tell a key in use from a forgotten one.
        now = timezone.now()
        if found.last_used_at is None or now - found.last_used_at > timedelta(hours=1):
            ApiKey.objects.filter(pk=found.pk).update(last_used_at=now)
        return found.account, found

    def _refuse(self, request: Request) -> NoReturn:
        """Count the guess, which no throttle sees: those run once it is known who calls."""
        seconds_left, is_within = count_call(request, address_of(request))
        if not is_within:
            raise exceptions.Throttled(wait=seconds_left)
        raise exceptions.AuthenticationFailed(_("This key is not valid."))

    def authenticate_header(self, request: Request) -> str:
        return "Token"


def find_key(secret: str) -> ApiKey | None:
    """The key with its account, in one statement."""
    row = execute(FIND_KEY, {"key_hash": hash_secret(secret)}).fetchone()
    if row is None:
        return None
    key = ApiKey.from_db(None, KEY_FIELDS, row[: len(KEY_FIELDS)])
    key.account = User.from_db(None, ACCOUNT_FIELDS, row[len(KEY_FIELDS) :])
    return key


class SessionAuthentication(authentication.SessionAuthentication):
    """The site's own session; a guest whose session opens bookings needs the CSRF token too."""

    def authenticate(self, request: Request) -> tuple[User | AnonymousUser, None] | None:
        found = super().authenticate(request)
        if found is None and request._request.session.get(SESSION_TOKENS):
            self.enforce_csrf(request)
        return found

    def authenticate_header(self, request: Request) -> str:
        # Makes a missing sign-in 401 rather than 403.
        return "Token"


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tells the OpenAPI document how a key is sent."""

    target_class = "ticketing.api.authentication.TokenAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token <key>`, with a key from the account's page.",
        }


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tells the OpenAPI document about the site's session."""

    target_class = "ticketing.api.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "cookie",
            # The one of production, wherever the document is made.
            "name": "__Host-session",
            "description": (
                "The site's own session (`session` on a site without TLS). "
                "What changes anything needs `X-CSRFToken` too."
            ),
        }
