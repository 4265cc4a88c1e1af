"""Words, documents, and the triggers that keep them fresh; `search/index.py` explains them."""

from django.db import migrations

# One plain form of every text: no accents, small letters, no punctuation. `R&B`, `AC/DC` and
# `Node.js` become words that can be found one by one, where the parser would see a path or a host.
# Declared immutable, which it is while nobody edits unaccent's rules: so it can be indexed, and a
# query that is made of it is worked out once, and not again for each row.
FOLDING = r"""
    CREATE FUNCTION search_plain(words text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN lower(public.unaccent('public.unaccent'::regdictionary, normalize(words, NFKC)));

    CREATE FUNCTION search_fold(words text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN btrim(regexp_replace(search_plain(words), '[\x01-/:-@\[-`{-\x7f]+', ' ', 'g'));

    -- English endings for words of Latin letters, without stop words: The Who must be found.
    CREATE TEXT SEARCH DICTIONARY holdfast_stem (TEMPLATE = snowball, LANGUAGE = english);
    CREATE TEXT SEARCH CONFIGURATION holdfast (COPY = simple);
    ALTER TEXT SEARCH CONFIGURATION holdfast
        ALTER MAPPING FOR asciiword, asciihword, hword_asciipart WITH holdfast_stem;
"""

# Every word twice: as it is, for names of all languages and for prefixes, and by its stem.
# A gap in the positions stands before each series, so that no phrase reaches from the end of
# one into the next: `_` makes it and is taken out again, as no folded word is one.
DOCUMENTS = r"""
    CREATE FUNCTION search_vector(words text, weight "char") RETURNS tsvector
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN setweight(
        ts_delete(
            '_:2'::tsvector || to_tsvector('public.holdfast'::regconfig, words)
            || '_:2'::tsvector || to_tsvector('simple'::regconfig, words),
            '_'
        ),
        weight
    );

    -- Locks what the documents are made of, so that a name that another transaction is just
    -- changing is waited for, and not copied in its old form. In the order of ids.
    CREATE FUNCTION search_refresh(wanted bigint[]) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM 1 FROM events_venue WHERE id IN (SELECT venue_id FROM events_event WHERE id = ANY (wanted))
            ORDER BY id FOR SHARE;
        PERFORM 1 FROM events_category
            WHERE id IN (SELECT category_id FROM events_event WHERE id = ANY (wanted)) ORDER BY id FOR SHARE;
        PERFORM 1 FROM events_performer
            WHERE id IN (SELECT performer_id FROM events_event_performers WHERE event_id = ANY (wanted))
            ORDER BY id FOR SHARE;

        INSERT INTO search_searchdocument AS document (event_id, vector, names)
        SELECT event.id,
            search_vector(search_fold(event.title), 'A')
            || search_vector(search_fold(stage.names), 'B')
            || search_vector(search_fold(concat_ws(' ', venue.name, venue.city)), 'B')
            || search_vector(search_fold(concat_ws(' ', event.summary, category.name)), 'C')
            -- A vector has room for a megabyte: a longer description is found by its beginning.
            || search_vector(search_fold(left(event.description, 50000)), 'D'),
            search_fold(concat_ws(' ', event.title, stage.names, venue.name, venue.city))
        FROM events_event AS event
        JOIN events_venue AS venue ON venue.id = event.venue_id
        LEFT JOIN events_category AS category ON category.id = event.category_id
        CROSS JOIN LATERAL (
            SELECT coalesce(string_agg(performer.name, ' ' ORDER BY performer.name), '') AS names
            FROM events_event_performers AS plays
            JOIN events_performer AS performer ON performer.id = plays.performer_id
            WHERE plays.event_id = event.id
        ) AS stage
        WHERE event.id = ANY (wanted)
        ORDER BY event.id
        ON CONFLICT (event_id) DO UPDATE SET vector = excluded.vector, names = excluded.names
        WHERE (document.vector, document.names) IS DISTINCT FROM (excluded.vector, excluded.names);
    END $$;

    ALTER TABLE search_searchdocument ADD CONSTRAINT search_document_event
        FOREIGN KEY (event_id) REFERENCES events_event (id) ON DELETE CASCADE;
"""

# One call for each statement, however many rows it changes, and none where no word changed.
TRIGGERS = r"""
    CREATE FUNCTION search_event_added() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM search_refresh(array(SELECT id FROM new_rows));
        RETURN NULL;
    END $$;
    CREATE TRIGGER search_event_added AFTER INSERT ON events_event
        REFERENCING NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION search_event_added();

    CREATE FUNCTION search_event_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM search_refresh(ids) FROM (
            SELECT array_agg(new_rows.id) AS ids FROM new_rows JOIN old_rows USING (id)
            WHERE (new_rows.title, new_rows.summary, new_rows.description,
                   new_rows.venue_id, new_rows.category_id)
                IS DISTINCT FROM (old_rows.title, old_rows.summary, old_rows.description,
                   old_rows.venue_id, old_rows.category_id)
        ) AS changed WHERE ids IS NOT NULL;
        RETURN NULL;
    END $$;
    CREATE TRIGGER search_event_changed AFTER UPDATE ON events_event
        REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION search_event_changed();

    CREATE FUNCTION search_stage_added() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM search_refresh(array(SELECT DISTINCT event_id FROM new_rows));
        RETURN NULL;
    END $$;
    CREATE TRIGGER search_stage_added AFTER INSERT ON events_event_performers
        REFERENCING NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION search_stage_added();

    CREATE FUNCTION search_stage_removed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM search_refresh(array(SELECT DISTINCT event_id FROM old_rows));
        RETURN NULL;
    END $$;
    CREATE TRIGGER search_stage_removed AFTER DELETE ON events_event_performers
        REFERENCING OLD TABLE AS old_rows
        FOR EACH STATEMENT EXECUTE FUNCTION search_stage_removed();

    CREATE FUNCTION search_stage_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM search_refresh(
            array(SELECT event_id FROM old_rows UNION SELECT event_id FROM new_rows)
        );
        RETURN NULL;
    END $$;
    CREATE TRIGGER search_stage_changed AFTER UPDATE ON events_event_performers
        REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION search_stage_changed();

    CREATE FUNCTION search_performer_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM search_refresh(ids) FROM (
            SELECT array_agg(DISTINCT plays.event_id) AS ids FROM new_rows
            JOIN old_rows USING (id)
            JOIN events_event_performers AS plays ON plays.performer_id = new_rows.id
            WHERE new_rows.name IS DISTINCT FROM old_rows.name
        ) AS changed WHERE ids IS NOT NULL;
        RETURN NULL;
    END $$;
    CREATE TRIGGER search_performer_changed AFTER UPDATE ON events_performer
        REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION search_performer_changed();

    CREATE FUNCTION search_venue_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM search_refresh(ids) FROM (
            SELECT array_agg(event.id) AS ids FROM new_rows
            JOIN old_rows USING (id) JOIN events_event AS event ON event.venue_id = new_rows.id
            WHERE (new_rows.name, new_rows.city) IS DISTINCT FROM (old_rows.name, old_rows.city)
        ) AS changed WHERE ids IS NOT NULL;
        RETURN NULL;
    END $$;
    CREATE TRIGGER search_venue_changed AFTER UPDATE ON events_venue
        REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION search_venue_changed();

    CREATE FUNCTION search_category_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM search_refresh(ids) FROM (
            SELECT array_agg(event.id) AS ids FROM new_rows
            JOIN old_rows USING (id) JOIN events_event AS event ON event.category_id = new_rows.id
            WHERE new_rows.name IS DISTINCT FROM old_rows.name
        ) AS changed WHERE ids IS NOT NULL;
        RETURN NULL;
    END $$;
    CREATE TRIGGER search_category_changed AFTER UPDATE ON events_category
        REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION search_category_changed();

    SELECT search_refresh(array(SELECT id FROM events_event));
"""

# What a person typed, as a query: quotes hold a phrase together and a minus leaves a word out;
# the last word may be a beginning unless `exact`. Without a word in it, it matches nothing.
QUERIES = r"""
    CREATE FUNCTION search_query(typed text, exact boolean) RETURNS tsquery
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
    DECLARE
        words text := search_plain(typed);
        plain tsquery;
        stemmed tsquery;
    BEGIN
        words := regexp_replace(words, '[\x01-!#-,./:-@\[-`{-\x7f]+', ' ', 'g');
        -- A minus counts at the beginning of a word alone.
        words := regexp_replace(words, '([^\s"])-+', '\1 ', 'g');
        words := btrim(regexp_replace(words, '-+(?=[-\s"]|$)', ' ', 'g'));
        plain := websearch_to_tsquery('simple', words);
        stemmed := websearch_to_tsquery('public.holdfast', words);
        IF NOT exact AND words !~ '("|(^|\s)-\S+)$' AND plain::text ~ '''$' THEN
            plain := (plain::text || ':*')::tsquery;
            stemmed := (stemmed::text || ':*')::tsquery;
        END IF;
        RETURN plain || stemmed;
    END $$;

    -- What suggestions and the city filter look for.
    CREATE INDEX search_performer_name ON events_performer USING gin (search_fold(name) gin_trgm_ops);
    CREATE INDEX search_venue_name ON events_venue USING gin (search_fold(name) gin_trgm_ops);
    CREATE INDEX search_venue_city ON events_venue USING gin (search_fold(city) gin_trgm_ops);
    CREATE INDEX search_venue_city_equal ON events_venue (search_fold(city));
"""

UNDO = """
    DROP INDEX search_performer_name, search_venue_name, search_venue_city, search_venue_city_equal;
    DROP FUNCTION search_event_added, search_event_changed, search_stage_added, search_stage_removed,
        search_stage_changed, search_performer_changed, search_venue_changed, search_category_changed CASCADE;
    ALTER TABLE search_searchdocument DROP CONSTRAINT search_document_event;
    DROP FUNCTION search_refresh, search_vector, search_query;
    DROP FUNCTION search_fold;
    DROP FUNCTION search_plain;
    DROP TEXT SEARCH CONFIGURATION holdfast;
    DROP TEXT SEARCH DICTIONARY holdfast_stem;
"""


class Migration(migrations.Migration):
    dependencies = [("search", "0001_initial")]

    operations = [
        migrations.RunSQL(FOLDING, migrations.RunSQL.noop),
        migrations.RunSQL(DOCUMENTS, migrations.RunSQL.noop),
        migrations.RunSQL(TRIGGERS, migrations.RunSQL.noop),
        migrations.RunSQL(QUERIES, UNDO),
    ]
