"""The second try: words that no event has, replaced by the nearest that one has."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import defaultdict
from typing import Any, NamedTuple

from django.db import connection

WORD = re.compile(r"\w+")
# A person types few words, and short ones are near to everything.
MAX_WORDS = 5
MIN_LETTERS = 3
# How alike two words must be to be one with a typing error, from 0 to 1.
MIN_LIKENESS = 0.65

# Trigrams leave out what is nothing alike, and cheaply; they are poor at swapped letters, so
# they have no say in which word is the nearest. The words of all events are read only where a
# typed one is unknown.
SIMILAR_WORDS = """
    WITH matching (id) AS NOT MATERIALIZED ({matching}),
    vocabulary AS MATERIALIZED (
        SELECT DISTINCT word FROM search_searchdocument, unnest(string_to_array(names, ' ')) AS word
        WHERE event_id IN (SELECT id FROM matching)
    ),
    unknown AS MATERIALIZED (
        SELECT typed FROM unnest(%s::text[]) AS typed
        WHERE NOT EXISTS (
            SELECT FROM search_searchdocument
            WHERE vector @@ search_query(typed, false) AND event_id IN (SELECT id FROM matching)
        )
    )
    SELECT typed, word FROM unknown CROSS JOIN LATERAL (
        SELECT word, similarity(word, folded) AS likeness
        FROM vocabulary, (SELECT search_fold(typed) AS folded OFFSET 0) AS once
        ORDER BY likeness DESC, word LIMIT 50
    ) AS similar_words
    WHERE likeness >= 0.1
"""


class Statement(NamedTuple):
    """Events as SQL, whose first column is their `id`, with its parameters."""

    sql: str
    parameters: tuple[Any, ...]


def correct_typing(text: str, matching: Statement) -> str | None:
    """`text` with unknown words replaced by words of the events; None where none is near.

    Only the names of those events are looked at, so that no draft gives a word away.
    """
    words = dict.fromkeys(word for word in WORD.findall(text) if len(word) >= MIN_LETTERS)
    corrections = _corrections(list(words)[:MAX_WORDS], matching) if words else {}
    if not corrections:
        return None
    return WORD.sub(lambda found: corrections.get(found[0], found[0]), text)


def _corrections(typed_words: list[str], matching: Statement) -> dict[str, str]:
    """For each word that no event has, the nearest that one has, where any is near; in one statement."""
    similar: defaultdict[str, list[str]] = defaultdict(list)
    with connection.cursor() as database:
        database.execute(SIMILAR_WORDS.format(matching=matching.sql), [*matching.parameters, typed_words])
        for typed, word in database.fetchall():
            similar[typed].append(word)
    return {
        typed: nearest[0]
        for typed, words in similar.items()
        if (nearest := difflib.get_close_matches(_plain(typed), words, n=1, cutoff=MIN_LIKENESS))
    }


def _plain(word: str) -> str:
    letters = unicodedata.normalize("NFKD", word.lower())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
