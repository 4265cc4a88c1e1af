"""How accounts are guarded beyond what allauth does by itself."""

from __future__ import annotations

import logging
from smtplib import SMTPException
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.internal.ratelimit import get_ip
from django.contrib import messages
from django.core.mail import EmailMessage, get_connection
from django.http import HttpRequest
from django.utils.translation import gettext as _

from bookings.limits import is_too_often
from bookings.models import User

logger = logging.getLogger(__name__)

# For each step with the mail server, as somebody waits for the page.
MAIL_SECONDS = 3

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

    def send_account_already_exists_mail(self, email: str) -> None:
        """With the work of a new account's password: a sooner answer would tell that there is one."""
        User().set_password(email)
        super().send_account_already_exists_mail(email)

    def render_mail(self, *args: Any, **kwargs: Any) -> EmailMessage:
        letter: EmailMessage = super().render_mail(*args, **kwargs)
        letter.connection = get_connection(timeout=MAIL_SECONDS)
        return letter

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send a mail that somebody waits for; where the mail server fails, the page says so."""
        try:
            super().send_mail(template_prefix, email, context)
        except (SMTPException, OSError) as error:
            logger.warning("A mail to an account could not be sent: %s", error)
            told = _("The mail could not be sent just now. Try again in a few minutes.")
            messages.error(self.request, told)

    @staticmethod
    def _account_of(credentials: dict[str, Any]) -> str:
        return str(credentials.get("email") or credentials.get("username") or "").lower()
