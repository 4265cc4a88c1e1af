"""What the search reads: one document for each event."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models

from events.models import Event


class SearchDocument(models.Model):
    """An event's searchable words. Written by the database's triggers alone: see `search/index.py`."""

    # The migration adds the constraint itself, with ON DELETE CASCADE: whoever deletes an
    # event, in whatever way, deletes its document, and no page lists documents as dependants.
    event = models.OneToOneField(
        Event,
        models.DO_NOTHING,
        primary_key=True,
        related_name="search_document",
        db_constraint=False,
    )
    vector = SearchVectorField(editable=False)
    # Title, performers, venue and city, folded to plain small letters: what typing errors are
    # compared with.
    names = models.TextField(editable=False)

    class Meta:
        indexes = [
            GinIndex(fields=["vector"], name="search_document_vector"),
            GinIndex(fields=["names"], opclasses=["gin_trgm_ops"], name="search_document_names"),
        ]

    def __str__(self) -> str:
        return f"search document of event {self.pk}"
