import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
from django.contrib.postgres.operations import TrigramExtension, UnaccentExtension
from django.db import migrations, models


class Migration(migrations.Migration):
    """The search document. Both extensions are trusted: the database's owner may create them."""

    initial = True

    dependencies = [("events", "0002_ticket_rules")]

    operations = [
        UnaccentExtension(),
        TrigramExtension(),
        migrations.CreateModel(
            name="SearchDocument",
            fields=[
                (
                    "event",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="search_document",
                        serialize=False,
                        to="events.event",
                    ),
                ),
                ("vector", django.contrib.postgres.search.SearchVectorField(editable=False)),
                ("names", models.TextField(editable=False)),
            ],
            options={
                "indexes": [
                    django.contrib.postgres.indexes.GinIndex(fields=["vector"], name="search_document_vector"),
                    django.contrib.postgres.indexes.GinIndex(
                        fields=["names"], name="search_document_names", opclasses=["gin_trgm_ops"]
                    ),
                ],
            },
        ),
    ]
