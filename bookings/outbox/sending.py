"""Sending what is due: one mail at a time, by as many workers as there are.

A mail is claimed in one short transaction, sent outside any, and what came of it is written down.
So each is sent once, with one exception that nothing can mend: when the mail server has taken a mail,
and this process dies, or the server's answer is lost, before that is written down, the mail is
sent again. It has the same Message-ID then, by which many programs show it once.
"""

from __future__ import annotations

import logging
import random
import time
from contextlib import suppress
from datetime import timedelta
from smtplib import SMTPDataError, SMTPException, SMTPRecipientsRefused
from typing import Any

from django.core.mail import get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from bookings.models import Booking
from bookings.outbox.models import Mail
from bookings.outbox.moments import why_not_needed
from bookings.outbox.rendering import Written, make_message, message_id, write_mail

logger = logging.getLogger(__name__)

# Longer than the five minutes that a task may run: whoever claimed a mail is done or dead by then.
CLAIM = timedelta(minutes=6)
FIRST_PAUSE_SECONDS = 30
LONGEST_PAUSE_SECONDS = 2 * 3600
# With these pauses about two days: after nine tries they are two hours each.
MOST_ATTEMPTS = 32
# A task ends in time, however many mails there are; the next one goes on.
TURN_SECONDS = 20
# After so many failures in a row it is the server, and the rest waits for the next turn.
FAILURES_PER_TURN = 3


class Unreachable(OSError):
    """There is no connection to the mail server, so that another mail would fail too."""


class Refused(Exception):
    """The mail server will not take this mail, now or later."""


def send_mails() -> int:
    """Send the mails that are due; returns how many went out. Never fails because of one of them."""
    connection = get_connection()
    started, sent, failures = time.monotonic(), 0, 0
    try:
        while failures < FAILURES_PER_TURN and time.monotonic() - started < TURN_SECONDS:
            mail = _claim_next()
            if mail is None:
                break
            failures = _send(mail, connection, failures)
            sent += mail.state == Mail.State.SENT
    finally:
        _close(connection)
    return sent


def _claim_next() -> Mail | None:
    """Take the next due mail for a while, so that no other worker sends it too."""
    with transaction.atomic():
        mail = Mail.objects.due().select_for_update(skip_locked=True).first()
        if mail is not None:
            mail.claimed_until = mail.database_now + CLAIM
            mail.attempts += 1
            mail.save(update_fields=["claimed_until", "attempts"])
    return mail


def _send(mail: Mail, connection: BaseEmailBackend, failures: int) -> int:
    """Send a claimed mail and write down what came of it; returns how often the server has failed now."""
    try:
        _send_or_drop(mail, connection)
    except Refused as refusal:
        logger.warning("Mail %s was refused: %s", mail.pk, refusal)
        _record(mail, state=Mail.State.FAILED, error=str(refusal))
    except OSError as error:
        # What smtplib raises is an OSError too. A connection that failed once is not used again.
        _close(connection)
        logger.warning("Mail %s did not go out: %s", mail.pk, error)
        _put_off(mail, str(error) or type(error).__name__)
        return FAILURES_PER_TURN if isinstance(error, Unreachable) else failures + 1
    except Exception as error:
        logger.exception("Mail %s could not be written.", mail.pk)
        _put_off(mail, f"{type(error).__name__}: {error}")
    return 0


def _send_or_drop(mail: Mail, connection: BaseEmailBackend) -> None:
    booking = Booking.objects.with_details().get(pk=mail.booking_id)
    now = booking.database_now
    if reason := why_not_needed(mail, booking, now):
        _record(mail, state=Mail.State.DROPPED, error=reason)
        return
    written = write_mail(mail, booking, now)
    # Kept before it goes out: what cannot be written down is not sent, instead of sent again and again.
    _keep(
        mail,
        to=booking.email,
        subject=written.subject,
        text=written.kept_text,
        html=written.kept_html,
        message_id=message_id(mail),
    )
    _hand_over(mail, written, booking.email, connection)
    _record(mail, state=Mail.State.SENT, error="", sent_at=now)


def _hand_over(mail: Mail, written: Written, to: str, connection: BaseEmailBackend) -> None:
    """Give the mail to the server. Raises `Refused`, or `OSError` where trying again may help."""
    message = make_message(mail, written, to)
    _connect(connection)
    try:
        connection.send_messages([message])
    except SMTPRecipientsRefused as error:
        code, words = next(iter(error.recipients.values()))
        raise _answer(code, words) from error
    except SMTPDataError as error:
        raise _answer(error.smtp_code, error.smtp_error) from error
    except ValueError as error:
        # An address that cannot be written into a header.
        raise Refused(str(error)) from error


def _connect(connection: BaseEmailBackend) -> None:
    """Open the connection, unless it is open. Raises `Unreachable`."""
    try:
        connection.open()
    except OSError as error:
        raise Unreachable(str(error) or type(error).__name__) from error


def _answer(code: int, words: bytes | str) -> Refused | SMTPException:
    """What a mail server says of a mail: for good from 500 on, else for now."""
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    return Refused(f"{code} {text}") if code >= 500 else SMTPException(f"{code} {text}")


def _put_off(mail: Mail, error: str) -> None:
    """Try again after a pause that grows, or after about two days leave it to a person."""
    if mail.attempts >= MOST_ATTEMPTS:
        _record(mail, state=Mail.State.FAILED, error=_("Given up: %(error)s") % {"error": error})
        return
    seconds = min(FIRST_PAUSE_SECONDS * 2 ** (mail.attempts - 1), LONGEST_PAUSE_SECONDS)
    jitter = random.uniform(0.75, 1.25)  # noqa: S311  # Spread, not a secret.
    _record(mail, error=error, next_attempt_at=timezone.now() + timedelta(seconds=seconds * jitter))


def _record(mail: Mail, *, error: str, **changes: Any) -> None:
    """Write down what came of a claimed mail, and let go of it."""
    _keep(mail, error=error[:500], claimed_until=None, **changes)


def _keep(mail: Mail, **changes: Any) -> None:
    for name, value in changes.items():
        setattr(mail, name, value)
    mail.save(update_fields=list(changes))


def _close(connection: BaseEmailBackend) -> None:
    """Say goodbye to the server, if it still listens."""
    with suppress(OSError):
        connection.close()
