from django.db import migrations


class Migration(migrations.Migration):
    """An index that is built while everybody writes."""

    atomic = False
    dependencies = [("release", "0001_column")]
    operations = [
        migrations.RunSQL("CREATE INDEX CONCURRENTLY ticket_note ON events_ticket (note, id)"),
    ]
