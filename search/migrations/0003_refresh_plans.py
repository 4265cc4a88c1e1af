from django.db import migrations


class Migration(migrations.Migration):
    """Documents of many events are refreshed by the indexes, also in a session that began with few.

    A function's plans are kept for the session: made while the tables were empty, they would read all
    of each table for every batch of a long import.
    """

    dependencies = [("search", "0002_index")]

    operations = [
        migrations.RunSQL(
            "ALTER FUNCTION search_refresh(bigint[]) SET enable_seqscan = off",
            "ALTER FUNCTION search_refresh(bigint[]) RESET enable_seqscan",
        ),
    ]
