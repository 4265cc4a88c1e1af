from django.db import migrations


class Migration(migrations.Migration):
    """Rules that Django's models cannot say, and room for updates in place.

    A ticket's tier must be one of its own event. Ticket rows are updated a few times each and
    seldom grow: free space in each page keeps most of those updates off new pages.
    """

    dependencies = [("events", "0001_initial")]

    operations = [
        migrations.RunSQL(
            sql="""
                ALTER TABLE events_pricetier
                    ADD CONSTRAINT price_tier_id_and_event UNIQUE (id, event_id);
                ALTER TABLE events_ticket
                    ADD CONSTRAINT ticket_tier_of_same_event FOREIGN KEY (price_tier_id, event_id)
                    REFERENCES events_pricetier (id, event_id);
                ALTER TABLE events_ticket SET (fillfactor = 80);
            """,
            reverse_sql="""
                ALTER TABLE events_ticket RESET (fillfactor);
                ALTER TABLE events_ticket DROP CONSTRAINT ticket_tier_of_same_event;
                ALTER TABLE events_pricetier DROP CONSTRAINT price_tier_id_and_event;
            """,
        ),
    ]
