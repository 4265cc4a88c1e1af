"""What was mailed before there was an outbox, and what was still to be mailed."""

from django.db import migrations

# A booking that was mailed gets a mail that was sent, so that none is mailed twice.
CONFIRMATIONS = """
    INSERT INTO outbox_mail (id, kind, booking_id, key, facts, is_bulk, state, attempts, next_attempt_at,
        error, "to", subject, text, html, message_id, sent_at, created_at)
    SELECT gen_random_uuid(), 'booked', id, 'booked:' || id || ':', '{}', false,
        CASE WHEN confirmation_sent_at IS NULL THEN 'waiting' ELSE 'sent' END, 0, statement_timestamp(),
        '', CASE WHEN confirmation_sent_at IS NULL THEN '' ELSE email END, '', '', '', '',
        confirmation_sent_at, booked_at
    FROM bookings_booking
    WHERE booked_at IS NOT NULL AND email <> ''
        AND (confirmation_sent_at IS NOT NULL OR status = 'booked')
    ON CONFLICT (key) DO NOTHING;
"""


class Migration(migrations.Migration):
    dependencies = [("outbox", "0001_initial")]

    operations = [migrations.RunSQL(CONFIRMATIONS, migrations.RunSQL.noop)]
