"""From the words of a letter to a message for the mail server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from bookings.access import access_link
from bookings.models import Booking
from bookings.outbox.letters import Letter, Matter, write_letter
from bookings.outbox.models import Mail
from bookings.tickets_files import tickets_calendar, tickets_pdf

# Many mail servers refuse ten megabytes, which base64 makes of seven; the link is there in any case.
MOST_ATTACHED_BYTES = 5 * 1024 * 1024
# A header that is longer is cut by some programs in the middle of a letter.
LONGEST_SUBJECT = 200


@dataclass(frozen=True)
class Written:
    """A mail as it goes out, and as it is kept."""

    subject: str
    text: str
    html: str
    # The proof in the buyer's link, which is not kept.
    secret: str
    attachments: list[tuple[str, bytes, str]]

    @property
    def kept_text(self) -> str:
        return self.text.replace(self.secret, "…")

    @property
    def kept_html(self) -> str:
        return self.html.replace(self.secret, "…")


def write_mail(mail: Mail, booking: Booking, now: datetime) -> Written:
    """Write a mail about a booking from `with_details()`, as both are at the database's time `now`."""
    link = settings.SITE_URL + access_link(booking)
    letter = write_letter(Matter(mail, booking, now, link))
    context = {
        "letter": letter,
        # Line breaks in a title must not become headers.
        "subject": " ".join(letter.subject.split())[:LONGEST_SUBJECT],
        "booking": booking,
        "event": booking.event,
        "venue": booking.event.venue,
        "site_name": settings.SITE_NAME,
        "site_url": settings.SITE_URL,
    }
    return Written(
        subject=str(context["subject"]),
        text=render_to_string("bookings/emails/letter.txt", context).strip() + "\n",
        html=render_to_string("bookings/emails/letter.html", context).strip() + "\n",
        secret=link.partition("token=")[2],
        attachments=_attachments(letter, booking),
    )


def make_message(mail: Mail, written: Written, to: str) -> EmailMultiAlternatives:
    """The message with both its forms, its attachments, and a Message-ID that is the mail's own."""
    message = EmailMultiAlternatives(
        written.subject,
        written.text,
        to=[to],
        # So that a reader's program knows a mail that comes twice, and no holiday note answers it.
        headers={"Message-ID": message_id(mail), "Auto-Submitted": "auto-generated"},
    )
    message.attach_alternative(written.html, "text/html")
    for name, content, content_type in written.attachments:
        message.attach(name, content, content_type)
    return message


def message_id(mail: Mail) -> str:
    """The same for each try at sending the mail."""
    return f"<{mail.pk}@{urlsplit(settings.SITE_URL).hostname}>"


def _attachments(letter: Letter, booking: Booking) -> list[tuple[str, bytes, str]]:
    files = []
    if letter.has_pdf:
        files.append((f"{booking.reference}.pdf", tickets_pdf(booking), "application/pdf"))
    if letter.has_calendar:
        files.append((f"{booking.reference}.ics", tickets_calendar(booking), "text/calendar"))
    return files if sum(len(content) for _name, content, _type in files) <= MOST_ATTACHED_BYTES else []
