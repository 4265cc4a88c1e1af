"""A payment's state follows from its entries, and the entries cannot be changed."""

from django.db import migrations

# The one place that says what entries add up to; the trigger and the audit both read it.
STATE = """
    CREATE VIEW bookings_books AS
    SELECT payment_id,
        coalesce(sum(amount) FILTER (WHERE kind = 'captured'), 0) AS captured,
        coalesce(sum(amount) FILTER (WHERE kind = 'refunded'), 0) AS refunded,
        CASE
            WHEN bool_or(kind = 'captured') THEN
                CASE
                    WHEN bool_or(kind = 'refunded')
                        AND sum(amount) FILTER (WHERE kind = 'refunded')
                            >= sum(amount) FILTER (WHERE kind = 'captured') THEN 'refunded'
                    ELSE 'captured'
                END
            WHEN bool_or(kind = 'voided') THEN 'voided'
            WHEN bool_or(kind = 'declined') THEN 'declined'
            ELSE 'authorised'
        END AS status
    FROM bookings_paymententry
    GROUP BY payment_id;
"""

# `payment_refunded_at_most_captured` and its like refuse an entry that cannot be true. Its plan is kept
# for the session: one made while the table was empty would read all of it for ever after.
DERIVE = """
    CREATE FUNCTION bookings_derive_payment() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off AS $$
    BEGIN
        UPDATE bookings_payment payment
        SET status = books.status, captured = books.captured, refunded = books.refunded,
            updated_at = clock_timestamp()
        FROM bookings_books books
        WHERE books.payment_id = NEW.payment_id AND payment.id = NEW.payment_id;
        RETURN NULL;
    END $$;

    CREATE TRIGGER entry_derives_payment AFTER INSERT ON bookings_paymententry
        FOR EACH ROW EXECUTE FUNCTION bookings_derive_payment();
"""

APPEND_ONLY = """
    CREATE FUNCTION bookings_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'entries in the books are never changed'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'entry_append_only';
    END $$;

    CREATE TRIGGER entry_append_only BEFORE UPDATE OR DELETE ON bookings_paymententry
        FOR EACH ROW EXECUTE FUNCTION bookings_refuse_change();
"""

# What was known before there were books. Before the triggers: they would do it row by row.
OPENING = """
    INSERT INTO bookings_refund (id, booking_id, payment_id, status, origin, reason, amount, fee, currency,
        problem, attempts, next_attempt_at, requested_at, done_at)
    SELECT gen_random_uuid(), booking_id, id, 'done', 'late_payment', reason, amount, 0, currency,
        '', 0, updated_at, updated_at, updated_at
    FROM bookings_payment WHERE status = 'refunded';

    INSERT INTO bookings_paymententry (payment_id, kind, amount, refund_id, recorded_at)
    SELECT id, CASE status WHEN 'refunded' THEN 'captured' ELSE status END, amount, NULL, updated_at
    FROM bookings_payment WHERE status <> 'pending';

    INSERT INTO bookings_paymententry (payment_id, kind, amount, refund_id, recorded_at)
    SELECT payment_id, 'refunded', amount, id, done_at FROM bookings_refund WHERE status = 'done';

    UPDATE bookings_payment payment
    SET status = books.status, captured = books.captured, refunded = books.refunded
    FROM bookings_books books
    WHERE books.payment_id = payment.id;

    -- A table with foreign keys still to be checked takes no trigger.
    SET CONSTRAINTS ALL IMMEDIATE;
"""


class Migration(migrations.Migration):
    dependencies = [("bookings", "0003_books")]

    operations = [
        migrations.RunSQL(STATE, "DROP VIEW bookings_books"),
        migrations.RunSQL(OPENING, migrations.RunSQL.noop),
        migrations.RunSQL(
            DERIVE,
            "DROP TRIGGER entry_derives_payment ON bookings_paymententry; "
            "DROP FUNCTION bookings_derive_payment",
        ),
        migrations.RunSQL(
            APPEND_ONLY,
            "DROP TRIGGER entry_append_only ON bookings_paymententry; DROP FUNCTION bookings_refuse_change",
        ),
    ]
