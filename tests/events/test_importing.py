"""Importing events: conference JSON, CSV and schema.org JSON-LD, all through the command."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from events.importing import places
from events.importing.records import Refused
from events.importing.text import clean_line, clean_url, read_moment, read_price
from events.models import Category, Event, PriceTier, Venue
from tests.factories import make_general_admission, make_venue

CONFERENCES = Path(__file__).parents[3] / "shared" / "data" / "conferences.json"
RUBY = {
    "name": "Big Ruby",
    "url": "http://bigrubyconf.com",
    "startDate": "2014-02-20",
    "endDate": "2014-02-21",
    "city": "Dallas, TX",
    "country": "U.S.A.",
    "topics": ["ruby"],
}


@pytest.fixture
def run(tmp_path: Path):
    """Import content, or what is JSON once written; gives the exit code, the summary and the refusals."""

    def import_content(content: object, *options: str) -> tuple[int, str, list[str]]:
        file = tmp_path / "file"
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        stdout, stderr = StringIO(), StringIO()
        code = 0
        try:
            call_command("import_events", str(file), *options, stdout=stdout, stderr=stderr)
        except SystemExit as end:
            code = int(end.code or 0)
        return code, stdout.getvalue().strip(), stderr.getvalue().splitlines()

    return import_content


# --- The conference JSON --------------------------------------------------------------


@pytest.mark.django_db
def test_conference_becomes_published_event_without_tickets(run):
    assert run([RUBY]) == (0, "1 created, 0 updated, 0 unchanged, 0 refused.", [])
    event = Event.objects.select_related("venue", "category").get()
    assert event.title == "Big Ruby"
    assert event.slug == "big-ruby-2014"
    assert event.status == "published"
    assert event.summary == "A conference about Ruby in Dallas, United States."
    assert event.category is not None
    assert event.category.name == "Conferences"
    assert event.website == "http://bigrubyconf.com"
    assert (event.venue.name, event.venue.city, event.venue.country) == (
        "Venue to be announced",
        "Dallas",
        "US",
    )
    assert event.venue.timezone == "America/Chicago"
    chicago = ZoneInfo("America/Chicago")
    assert event.starts_at == datetime(2014, 2, 20, 0, 0, tzinfo=chicago)
    assert event.ends_at == datetime(2014, 2, 21, 23, 59, tzinfo=chicago)
    assert not event.tickets.exists()


@pytest.mark.django_db
def test_second_run_changes_nothing(run):
    run([RUBY])
    before = Event.objects.values().get()
    assert run([RUBY]) == (0, "0 created, 0 updated, 1 unchanged, 0 refused.", [])
    assert Event.objects.values().get() == before


@pytest.mark.django_db
def test_changed_record_updates_its_event(run):
    run([RUBY])
    slug = Event.objects.get().slug
    assert run([RUBY | {"endDate": "2014-02-22"}])[1] == "0 created, 1 updated, 0 unchanged, 0 refused."
    event = Event.objects.get()
    assert event.slug == slug
    assert event.ends_at == datetime(2014, 2, 22, 23, 59, tzinfo=ZoneInfo("America/Chicago"))


@pytest.mark.django_db
def test_changed_record_leaves_event_with_tickets_alone(run):
    run([RUBY])
    make_general_admission(Event.objects.get(), 1)
    before = Event.objects.values().get()
    code, summary, refusals = run([RUBY | {"endDate": "2014-02-22"}])
    assert (code, summary) == (1, "0 created, 0 updated, 0 unchanged, 1 refused.")
    assert refusals == ["record 1: it has changed, but its tickets are made: change it in the admin"]
    assert Event.objects.values().get() == before


@pytest.mark.django_db
def test_dry_run_counts_and_writes_nothing(run):
    assert run([RUBY], "--dry-run")[1] == (
        "Dry run, nothing was written: 1 created, 0 updated, 0 unchanged, 0 refused."
    )
    assert (Event.objects.count(), Venue.objects.count(), Category.objects.count()) == (0, 0, 0)


@pytest.mark.django_db
def test_draft_option_makes_drafts_once(run):
    run([RUBY], "--draft")
    assert Event.objects.get().status == "draft"
    Event.objects.update(status="published")
    run([RUBY], "--draft")
    assert Event.objects.get().status == "published"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": " \u200b"}, "it has no name"),
        ({"name": "x" * 201}, f"its name has 201 characters, and 200 fit: “{'x' * 40}…”"),
        (
            {"startDate": "2014-02-30"},
            "“2014-02-30” is no date or time; write it as 2026-05-31 or 2026-05-31 19:30",
        ),
        ({"startDate": None}, "it does not say when it starts"),
        ({"endDate": "2014-02-19"}, "it ends (2014-02-19) before it starts (2014-02-20)"),
        ({"endDate": "2041-02-21"}, "it would last 9863 days; is there a typing error in a year?"),
        ({"country": "Atlantis"}, "“Atlantis” is not a country that we know"),
        ({"city": None, "country": None}, "it names no city and is not online"),
        ({"url": "javascript:alert(1)"}, "its link is not an http or https address: “javascript:alert(1)”"),
    ],
)
def test_record_that_makes_no_sense_is_refused_alone(run, change, reason):
    code, summary, refusals = run([RUBY | change, RUBY])
    assert (code, summary) == (1, "1 created, 0 updated, 0 unchanged, 1 refused.")
    assert refusals == [f"record 1: {reason}"]


@pytest.mark.django_db
def test_same_conference_twice_in_a_file_is_refused_the_second_time(run):
    code, summary, refusals = run([RUBY, RUBY | {"name": "BIG RUBY"}])
    assert (code, summary) == (1, "1 created, 0 updated, 0 unchanged, 1 refused.")
    assert refusals == ["record 2: it is the same event as record 1: BIG RUBY"]


@pytest.mark.django_db
def test_namesakes_on_one_day_are_different_events(run):
    run([RUBY, RUBY | {"city": "Kansas City, MO"}, RUBY | {"city": "Kansas City, KS"}])
    assert list(Event.objects.order_by("id").values_list("slug", flat=True)) == [
        "big-ruby-2014",
        "big-ruby-2014-02-20-kansas-city",
        Event.objects.order_by("id").last().slug,
    ]
    assert Venue.objects.filter(city="Kansas City").count() == 2


@pytest.mark.django_db
def test_online_conference_is_nowhere(run):
    run([{"name": "Webinale", "startDate": "2024-01-01", "url": "https://e.org", "online": True}])
    event = Event.objects.select_related("venue").get()
    assert (event.venue.slug, event.venue.city, event.venue.timezone) == ("online", "", "UTC")
    assert event.summary == "An online conference about software and technology."
    assert event.ends_at - event.starts_at == timedelta(hours=23, minutes=59)


@pytest.mark.django_db
@pytest.mark.skipif(not CONFERENCES.exists(), reason="The conference list is not beside the checkout.")
def test_the_real_conferences_import_twice(capsys, django_assert_max_num_queries):
    for summary in (
        "6,005 created, 0 updated, 0 unchanged, 2 refused.",
        "0 created, 0 updated, 6,005 unchanged, 2 refused.",
    ):
        # 13 batches: a few statements each, and none for each record.
        with pytest.raises(SystemExit) as end, django_assert_max_num_queries(300):
            call_command("import_events", str(CONFERENCES))
        assert end.value.code == 1
        assert capsys.readouterr().out.strip() == summary
    assert Event.objects.count() == 6005
    zones = dict(
        Venue.objects.filter(city__in=["Berlin", "Bengaluru", "Seattle"]).values_list("city", "timezone")
    )
    assert zones == {"Berlin": "Europe/Berlin", "Bengaluru": "Asia/Kolkata", "Seattle": "America/Los_Angeles"}


# --- CSV ------------------------------------------------------------------------------


@pytest.mark.django_db
def test_csv_with_a_byte_order_mark_semicolons_and_other_headings(run):
    table = (
        "\ufeffEvent;Start date;Time;Doors;Location;Town;Country;Artists;Genre;Price tiers;Link\r\n"
        '"Tosca";31.05.2027;19:30;18:45;Town Hall;Leipzig;Germany;Ada Adler; Opera ;'
        '"Stalls: 45,00 x 200; Balcony: 30";www.example.org/tosca\r\n'
    )
    assert run(table) == (0, "1 created, 0 updated, 0 unchanged, 0 refused.", [])
    event = Event.objects.select_related("venue", "category").get()
    berlin = ZoneInfo("Europe/Berlin")
    assert (event.title, event.website) == ("Tosca", "https://www.example.org/tosca")
    assert event.starts_at == datetime(2027, 5, 31, 19, 30, tzinfo=berlin)
    assert event.ends_at == datetime(2027, 5, 31, 21, 30, tzinfo=berlin)
    assert event.doors_at == datetime(2027, 5, 31, 18, 45, tzinfo=berlin)
    assert (event.venue.name, event.venue.city, event.venue.country) == ("Town Hall", "Leipzig", "DE")
    assert [performer.name for performer in event.performers.all()] == ["Ada Adler"]
    tiers = PriceTier.objects.order_by("position").values_list("name", "price", "quantity")
    assert list(tiers) == [("Stalls", Decimal("45.00"), 200), ("Balcony", Decimal("30.00"), 100)]
    assert run(table)[1] == "0 created, 0 updated, 1 unchanged, 0 refused."


@pytest.mark.django_db
def test_csv_finds_a_venue_that_is_there_by_name_and_city(run):
    venue = make_venue(slug="our-hall", name="Town Hall", city="Leipzig")
    run("title,starts,venue,city\nTosca,2027-05-31 19:30,Town Hall,Leipzig\n")
    assert Event.objects.get().venue == venue
    assert Venue.objects.count() == 1


@pytest.mark.django_db
def test_csv_names_the_line_of_what_it_refuses(run):
    table = (
        "title,starts,city,description,price,status\n"
        'Tosca,2027-05-31 19:30,Leipzig,"two\nlines",25,\n'
        "\n"
        "Aida,05/06/2027,Leipzig,,25,\n"
        "Aida,2027-06-05,Leipzig,,a lot,\n"
        "Aida,2027-06-05,,,,\n"
        "Aida,2027-06-05,Leipzig,,,maybe\n"
    )
    code, summary, refusals = run(table)
    assert (code, summary) == (1, "1 created, 0 updated, 0 unchanged, 4 refused.")
    assert refusals == [
        "line 5: “05/06/2027” can be read in two ways; write it as 2026-05-31",
        "line 6: “a lot” is no price",
        "line 7: it names neither a venue nor a city",
        "line 8: its status is not published, postponed or cancelled: “maybe”",
    ]


@pytest.mark.django_db
def test_csv_id_keeps_an_event_through_a_new_title_and_day(run):
    run("id,title,starts,city\n7,Tosca,2027-05-31,Leipzig\n")
    run("id,title,starts,city,status\n7,Tosca in the Park,2027-06-01,Leipzig,postponed\n")
    event = Event.objects.get()
    assert (event.title, event.status, event.starts_at.astimezone(ZoneInfo("Europe/Berlin")).day) == (
        "Tosca in the Park",
        "postponed",
        1,
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "neither JSON nor a table"),
        ("title,name,starts\n", "Two columns mean the same: title"),
        ('[{"name": ', "line 1: this is not JSON"),
        ("[" * 200_000, "nested too deeply"),
        ('{"@type": "Organization", "name": "Nobody"}', "names no events"),
    ],
)
def test_unreadable_file_is_one_line_and_exit_code_two(run, content, message):
    with pytest.raises(CommandError, match=message) as refusal:
        run(content)
    assert refusal.value.returncode == 2


# --- JSON-LD --------------------------------------------------------------------------


@pytest.mark.django_db
def test_json_ld_event_with_everything(run):
    concert = {
        "@context": "https://schema.org",
        "@type": "MusicEvent",
        "@id": "https://example.org/events/1",
        "name": "Winterreise &amp; Friends",
        "description": "<p>Twenty-four songs.</p><p>No <b>interval</b>.</p><script>alert(1)</script>",
        "startDate": "2027-02-03T19:30:00+01:00",
        "endDate": "2027-02-03T21:00:00+01:00",
        "doorTime": "19:00",
        "eventStatus": "https://schema.org/EventPostponed",
        "url": "https://example.org/winterreise",
        "location": {
            "@type": "Place",
            "name": "Lindensaal",
            "address": {
                "@type": "PostalAddress",
                "streetAddress": "Lindenweg 1",
                "postalCode": "04229",
                "addressLocality": "Leipzig",
                "addressCountry": "DE",
            },
            "geo": {"latitude": "51.33", "longitude": 12.33},
        },
        "performer": [{"@type": "Person", "name": "Konrad Thalberg"}, "Miyu Asano"],
        "organizer": {"name": "Nobody"},
        "offers": [
            {"@type": "Offer", "name": "Stalls", "price": "48.00", "priceCurrency": "EUR",
             "inventoryLevel": {"value": 250}, "validFrom": "2026-12-01"},
            {"@type": "Offer", "name": "Choir", "price": 19.2, "priceCurrency": "EUR"},
        ],
    }  # fmt: skip
    assert run(concert) == (0, "1 created, 0 updated, 0 unchanged, 0 refused.", [])
    event = Event.objects.select_related("venue", "category").get()
    assert event.title == "Winterreise & Friends"
    assert event.summary == "Twenty-four songs."
    assert event.description == "Twenty-four songs.\n\nNo interval."
    assert event.status == "postponed"
    assert event.category is not None
    assert event.category.name == "Concerts"
    berlin = ZoneInfo("Europe/Berlin")
    assert event.starts_at == datetime(2027, 2, 3, 19, 30, tzinfo=berlin)
    assert event.doors_at == datetime(2027, 2, 3, 19, 0, tzinfo=berlin)
    assert event.on_sale_at == datetime(2026, 12, 1, 0, 0, tzinfo=berlin)
    assert (event.venue.address, event.venue.latitude, event.venue.longitude) == (
        "Lindenweg 1, 04229",
        51.33,
        12.33,
    )
    assert sorted(performer.name for performer in event.performers.all()) == ["Konrad Thalberg", "Miyu Asano"]
    tiers = event.price_tiers.order_by("position").values_list("name", "price", "quantity")
    assert list(tiers) == [("Stalls", Decimal("48.00"), 250), ("Choir", Decimal("19.20"), 100)]
    assert run(concert)[1] == "0 created, 0 updated, 1 unchanged, 0 refused."


@pytest.mark.django_db
def test_json_ld_graph_with_references_and_other_nodes(run):
    graph = {
        "@context": "http://schema.org",
        "@graph": [
            {"@type": "Place", "@id": "#hall", "name": "Hall", "address": "1 High Street, Leeds"},
            {"@type": ["Event", "TheaterEvent"], "name": "Salt", "startDate": "2027-03-01",
             "location": {"@id": "#hall"}},
            {"@type": "schema:Event", "schema:name": "Webinar", "schema:startDate": "2027-03-02T10:00Z",
             "schema:location": {"@type": "VirtualLocation", "url": "https://example.org"}},
            {"@type": "EventSeries", "name": "Season", "subEvent": [
                {"@type": "ComedyEvent", "name": "Late", "startDate": "2027-03-03", "location": "Cellar"}]},
            {"@type": "Event", "name": "Nowhere", "startDate": "2027-03-04"},
        ],
    }  # fmt: skip
    code, summary, refusals = run(graph)
    assert (code, summary) == (1, "3 created, 0 updated, 0 unchanged, 1 refused.")
    assert refusals == ["record 5: it has no location"]
    venues = dict(Event.objects.values_list("title", "venue__name"))
    assert venues == {"Salt": "Hall", "Webinar": "Online", "Late": "Cellar"}
    assert Event.objects.get(title="Salt").venue.address == "1 High Street, Leeds"


@pytest.mark.django_db
def test_json_ld_price_range_and_cancelled(run):
    event = {
        "@type": "Event",
        "name": "Range",
        "startDate": "2027-03-01T20:00",
        "location": {
            "name": "Hall",
            "address": {"addressLocality": "London", "addressCountry": "United Kingdom"},
        },
        "eventStatus": "EventCancelled",
        "offers": {"@type": "AggregateOffer", "lowPrice": "10", "highPrice": "1,250.50"},
    }
    assert run([event])[0] == 0
    made = Event.objects.get()
    assert (made.status, made.currency) == ("cancelled", "GBP")
    prices = made.price_tiers.order_by("position").values_list("name", "price")
    assert list(prices) == [("Lowest price", Decimal("10.00")), ("Highest price", Decimal("1250.50"))]


# --- Small parts ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("U.S.A.", "US"),
        ("U.K.", "GB"),
        ("Scotland", "GB"),
        ("Czech Republic", "CZ"),
        ("Hong Kong", "HK"),
        ("Bosnia and Herzegovina", "BA"),
        ("Kosovo", "XK"),
        ("de", "DE"),
        ("", ""),
    ],
)
def test_country_is_found_by_the_names_people_use(name, code):
    assert places.find_country(name) == code


def test_every_city_of_the_table_is_complete():
    for city in places.known_cities().values():
        places.zone(city.timezone)
        assert city.timezone != "UTC"
        assert places.country_name(city.country)
        assert (city.latitude is None) == (city.longitude is None)


def test_clean_line_drops_what_cannot_be_seen():
    assert clean_line(" A\u0000\u200bB\t\n  e\u0301 ") == "A B é"


@pytest.mark.parametrize(
    ("text", "price"),
    [("25", "25.00"), ("25,50 €", "25.50"), ("1.250,00", "1250.00"), ("1,250.00", "1250.00"), ("free", "0")],
)
def test_price_is_read_as_people_write_it(text, price):
    assert read_price(text) == Decimal(price)


def test_price_below_nothing_is_refused():
    with pytest.raises(Refused, match="a price cannot be -5"):
        read_price("-5")


def test_link_with_a_blank_is_mended():
    assert clean_url("http://www.developerweek.com/Austin, TX") == "http://www.developerweek.com/Austin,%20TX"


def test_time_with_an_offset_keeps_it():
    moment = read_moment("2027-05-31T19:30:00-04:00", ZoneInfo("Europe/Berlin"))
    assert moment is not None
    assert moment.utcoffset() == timedelta(hours=-4)
