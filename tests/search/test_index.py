"""The triggers: a document is as fresh as its rows, however they were changed."""

from __future__ import annotations

import threading

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from events.models import Category, Event, Performer, Venue
from search.models import SearchDocument
from tests.factories import make_event, make_venue
from tests.search.helpers import found, make_category, make_performer


def run(sql: str, *parameters: object) -> None:
    with connection.cursor() as database:
        database.execute(sql, parameters)


def versions() -> list[str]:
    """What changes when a document is written, even to the same words."""
    with connection.cursor() as database:
        database.execute("SELECT ctid::text || xmin::text FROM search_searchdocument ORDER BY event_id")
        return [row[0] for row in database.fetchall()]


@pytest.mark.django_db
@pytest.mark.parametrize("column", ["title", "summary", "description"])
def test_document_follows_the_event(client: Client, column: str) -> None:
    event = make_event(title="Old")
    run(f"UPDATE events_event SET {column} = 'Fresh words' WHERE id = %s", event.pk)  # noqa: S608
    assert found(client, q="fresh") == ["Old" if column != "title" else "Fresh words"]
    Event.objects.update(**{column: "Other words"})
    assert found(client, q="fresh") == []


@pytest.mark.django_db
def test_document_follows_bulk_inserts(client: Client) -> None:
    venue, now = make_venue(), timezone.now()
    Event.objects.bulk_create(
        Event(title=f"Bulk {n}", slug=f"bulk-{n}", venue=venue, starts_at=now, ends_at=now.replace(year=2090))
        for n in range(3)
    )
    Event.objects.update(status="published")
    assert found(client, q="bulk", ordering="starts_at") == ["Bulk 0", "Bulk 1", "Bulk 2"]


@pytest.mark.django_db
def test_a_large_batch_is_read_once_whatever_the_statistics_say() -> None:
    """In the middle of a long import the tables look empty to everybody else, and so to the planner."""
    Venue.objects.bulk_create(Venue(slug=f"hall-{n}", name="Hall", city="Leipzig") for n in range(300))
    now = timezone.now()
    Event.objects.bulk_create(
        Event(
            title="Bulk", slug=f"bulk-{venue.pk}", venue=venue, starts_at=now, ends_at=now.replace(year=2090)
        )
        for venue in Venue.objects.all()
    )
    other = connection.copy()
    with other.cursor() as database:
        database.execute("ANALYZE events_event, events_venue")
    other.close()
    run("SELECT search_refresh(array(SELECT id FROM events_event))")
    with connection.cursor() as database:
        database.execute("SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'events_event'")
        assert database.fetchone()[0] < 300 * 20


@pytest.mark.django_db
def test_document_follows_performers(client: Client) -> None:
    event = make_event(title="Gig")
    band = make_performer("The Beginners", event)
    assert found(client, q="beginners") == ["Gig"]
    run("UPDATE events_performer SET name = 'The Veterans' WHERE id = %s", band.pk)
    assert (found(client, q="beginners"), found(client, q="veterans")) == ([], ["Gig"])
    other = Performer.objects.create(slug="other", name="The Others")
    run("UPDATE events_event_performers SET performer_id = %s", other.pk)
    assert (found(client, q="veterans"), found(client, q="others")) == ([], ["Gig"])
    event.performers.clear()
    assert found(client, q="others") == []


@pytest.mark.django_db
def test_document_follows_venue_and_category(client: Client) -> None:
    event = make_event(title="Gig", category=make_category("jazz"))
    make_event(title="Elsewhere")
    run("UPDATE events_venue SET name = 'Blue Note' WHERE id = %s", event.venue_id)
    assert found(client, q="blue") == ["Gig"]
    Venue.objects.filter(pk=event.venue_id).update(city="New Orleans")
    assert found(client, q="orleans") == ["Gig"]
    Category.objects.update(name="Swing")
    assert found(client, q="swing") == ["Gig"]
    event.venue = make_venue(name="Red Note")
    event.category = None
    event.save()
    assert (found(client, q="red"), found(client, q="blue"), found(client, q="swing")) == (["Gig"], [], [])


@pytest.mark.django_db
def test_document_goes_with_its_event() -> None:
    event, other = make_event(), make_event()
    make_performer("The Band", event)
    event.delete()
    assert list(SearchDocument.objects.values_list("pk", flat=True)) == [other.pk]
    run("DELETE FROM events_event")
    assert SearchDocument.objects.count() == 0


@pytest.mark.django_db
def test_changes_without_new_words_write_no_document() -> None:
    event = make_event(category=make_category("jazz"))
    make_performer("The Band", event)
    before = versions()
    event.save()
    Event.objects.update(status="draft", max_tickets_per_booking=3)
    Venue.objects.update(address="Elsewhere", plan={"zones": []})
    Performer.objects.update(slug="renamed")
    Category.objects.update(slug="renamed")
    assert versions() == before
    Event.objects.update(title="Renamed")
    assert versions() != before


@pytest.mark.django_db
def test_long_description_can_be_saved(client: Client) -> None:
    make_event(title="Epic", description=" ".join(f"word{number}" for number in range(300_000)))
    assert found(client, q="word7") == ["Epic"]
    make_event(title="One word", description="x" * 2_000_000)
    assert found(client, q="one word") == ["One word"]


@pytest.mark.django_db
def test_searching_asks_for_no_other_tables_rows_of_documents() -> None:
    event = make_event()
    with CaptureQueriesContext(connection) as queries:
        event.delete()
    assert [query["sql"] for query in queries if "search_searchdocument" in query["sql"]] == []


@pytest.mark.django_db(transaction=True)
def test_event_added_while_its_venue_is_renamed_has_the_new_name(client: Client) -> None:
    venue = make_venue(name="Old Hall")
    renamed, added = threading.Event(), threading.Event()

    def rename() -> None:
        try:
            with transaction.atomic():
                Venue.objects.filter(pk=venue.pk).update(name="New Hall")
                renamed.set()
                # Long enough for the event to be on its way, and to wait for this transaction.
                added.wait(0.5)
        finally:
            connection.close()

    renaming = threading.Thread(target=rename)
    renaming.start()
    assert renamed.wait(5)
    make_event(title="Between", venue=venue)
    added.set()
    renaming.join()
    assert found(client, q="new hall") == ["Between"]


@pytest.mark.django_db(transaction=True)
def test_migration_indexes_the_events_there_are(client: Client) -> None:
    make_event(title="Older than the search")
    call_command("migrate", "search", "zero", verbosity=0)
    try:
        assert "search_searchdocument" not in connection.introspection.table_names()
    finally:
        call_command("migrate", "search", verbosity=0)
    assert found(client, q="older") == ["Older than the search"]
