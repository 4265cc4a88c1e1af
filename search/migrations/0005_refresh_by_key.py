"""Venue and category of each event are looked up by their keys, whatever the statistics say.

As a join the plan could begin with the venues, and read the batch again for each of them.
"""

from django.db import migrations

REFRESH = """
    CREATE OR REPLACE FUNCTION search_refresh(wanted bigint[]) RETURNS void LANGUAGE plpgsql
    SET enable_seqscan = off AS $$
    BEGIN
        PERFORM 1 FROM events_venue
            WHERE id = ANY (array(SELECT venue_id FROM events_event WHERE id = ANY (wanted)))
            ORDER BY id FOR SHARE;
        PERFORM 1 FROM events_category
            WHERE id = ANY (array(SELECT category_id FROM events_event WHERE id = ANY (wanted)))
            ORDER BY id FOR SHARE;
        PERFORM 1 FROM events_performer
            WHERE id = ANY (array(
                SELECT performer_id FROM events_event_performers WHERE event_id = ANY (wanted)
            ))
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
        -- OFFSET 0 has these looked up for each event, in whatever order the planner would join them.
        CROSS JOIN LATERAL (
            SELECT name, city FROM events_venue WHERE id = event.venue_id OFFSET 0
        ) AS venue
        LEFT JOIN LATERAL (
            SELECT name FROM events_category WHERE id = event.category_id OFFSET 0
        ) AS category ON true
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
"""


class Migration(migrations.Migration):
    dependencies = [("search", "0004_refresh_locks")]

    # It writes the same documents as the one before, which may stay when this is undone.
    operations = [migrations.RunSQL(REFRESH, migrations.RunSQL.noop)]
