from django.db import migrations


class Migration(migrations.Migration):
    """A ticket's `booking_id` names a booking that exists.

    The constraint lies here because `events` knows no bookings.
    """

    dependencies = [("bookings", "0001_initial"), ("events", "0002_ticket_rules")]

    operations = [
        migrations.RunSQL(
            sql="""
                ALTER TABLE events_ticket
                    ADD CONSTRAINT ticket_booking_exists FOREIGN KEY (booking_id)
                    REFERENCES bookings_booking (id);
            """,
            reverse_sql="ALTER TABLE events_ticket DROP CONSTRAINT ticket_booking_exists;",
        ),
    ]
