"""What is indexed, with which weights, and how it stays fresh.

Every event has one `SearchDocument`, drafts and past events included; the queries decide who
may be seen. Its vector holds the words of

    A  the title
    B  the performers, the venue's name and its city
    C  the summary and the category
    D  the description (the first 50,000 characters)

in plain form: small letters, no accents, no punctuation (`search_fold()` in the database).
Each word is there twice: as it is, which names in every language need and beginnings of words
are found by, and by its English stem, so that "concerts" finds a concert.

The document is written by triggers on events, performers, venues, categories and the table
between events and performers. So it is as fresh as the row in every transaction, whether the
change came from the admin, a bulk import or a shell; no code has to remember it. A statement
costs one refresh, however many rows it changes, and none where no indexed word changed.
The functions and triggers are in the migration `0002_index`.
"""

from __future__ import annotations

from django.contrib.postgres.search import SearchQuery, SearchRank
from django.db.models import BooleanField, F, FloatField, Func, TextField, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast


class Fold(Func):
    """A text in the plain form of the index."""

    function = "search_fold"
    output_field = TextField()


class TextQuery(SearchQuery):
    """What a person typed, as a query; its last word may be a beginning unless `exact`."""

    function = "search_query"
    config = None
    invert = False

    def __init__(self, typed: str, *, exact: bool = False) -> None:
        # Past SearchQuery's own, which would wrap the words in a parser of PostgreSQL's.
        Func.__init__(self, Value(typed), Value(exact, output_field=BooleanField()))


def text_rank(typed: str) -> Combinable:
    """How well an event's document matches: whole words count twice, beginnings once."""
    ranks = [
        SearchRank(F("search_document__vector"), TextQuery(typed, exact=exact), cover_density=True)
        for exact in (False, True)
    ]
    return Cast(ranks[0], FloatField()) + Cast(ranks[1], FloatField())
