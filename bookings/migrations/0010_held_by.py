"""Locks a buyer and counts what they have of an event in one call, which the hold's statement makes itself.

Each statement of a volatile function in PL/pgSQL sees what was committed before it began: the count sees
whatever was held while the lock was waited for, which a count beside the lock in one statement does not.
"""

from django.db import migrations

HELD_BY = """
    CREATE FUNCTION bookings_held_by(kind text, who text, event bigint, besides uuid) RETURNS bigint
    LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
        account bigint;
        address inet;
    BEGIN
        PERFORM pg_advisory_xact_lock(hashtextextended(concat_ws(':', 'limit', event, kind, who), 0));
        -- Each count is written out, so that it has an index of its own: the states by themselves are its
        -- condition. Live holds and booked bookings.
        IF kind = 'account' THEN
            account := who;
            RETURN (
                SELECT count(*) FROM bookings_booking AS booking
                JOIN bookings_bookingitem AS item ON item.booking_id = booking.id AND item.refund_id IS NULL
                WHERE booking.event_id = event AND booking.account_id = account
                    AND booking.status IN ('reserved', 'booked')
                    AND (booking.status = 'booked' OR booking.expires_at > statement_timestamp())
                    AND booking.id IS DISTINCT FROM besides
            );
        ELSIF kind = 'email' THEN
            RETURN (
                SELECT count(*) FROM bookings_booking AS booking
                JOIN bookings_bookingitem AS item ON item.booking_id = booking.id AND item.refund_id IS NULL
                WHERE booking.event_id = event AND booking.email = who AND booking.email <> ''
                    AND booking.status IN ('reserved', 'booked')
                    AND (booking.status = 'booked' OR booking.expires_at > statement_timestamp())
                    AND booking.id IS DISTINCT FROM besides
            );
        ELSIF kind IN ('named', 'nameless') THEN
            -- Live holds, and those that ended unpaid a short while ago, whether anything swept them or not.
            address := who;
            RETURN (
                SELECT count(*) FROM bookings_booking AS booking
                JOIN bookings_bookingitem AS item ON item.booking_id = booking.id AND item.refund_id IS NULL
                WHERE booking.event_id = event AND booking.client_address = address
                    AND booking.account_id IS NULL AND (booking.email <> '') = (kind = 'named')
                    AND booking.status IN ('reserved', 'expired')
                    AND booking.expires_at > statement_timestamp() - interval '30 minutes'
                    AND booking.id IS DISTINCT FROM besides
            );
        END IF;
        RAISE EXCEPTION 'no limit is called %', kind;
    END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("bookings", "0009_limit_by_network")]

    operations = [
        migrations.RunSQL(HELD_BY, "DROP FUNCTION bookings_held_by(text, text, bigint, uuid)"),
    ]
