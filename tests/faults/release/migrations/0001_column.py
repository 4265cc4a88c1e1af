from django.db import migrations


class Migration(migrations.Migration):
    """A column with a default, which the release before does not know and need not fill."""

    initial = True
    dependencies = []
    operations = [
        migrations.RunSQL("ALTER TABLE events_ticket ADD COLUMN note varchar(20) NOT NULL DEFAULT ''"),
    ]
