"""The demonstration's season: believable, complete, sold by the rules, and the same the second time."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from io import StringIO

import pytest
from allauth.account.models import EmailAddress
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone

from bookings.audit import find_violations
from bookings.demo.season import capacity, plan_season, read_productions
from bookings.demo.venues import HOUSES
from bookings.models import Booking, BookingItem, Payment, User
from bookings.outbox.models import Mail
from bookings.sandbox.models import SandboxIntent
from events.models import Event, Seat, Ticket

TODAY = date(2026, 11, 22)
# The special nights of the largest houses make thousands of tickets: enough for one test.
SOME = 12


@pytest.fixture(autouse=True)
def _no_passwords_from_outside(monkeypatch):
    monkeypatch.delenv("DEMO_ADMIN_PASSWORD", raising=False)
    monkeypatch.delenv("DEMO_BUYER_PASSWORD", raising=False)
    monkeypatch.delenv("DEMO_DOOR_PASSWORD", raising=False)


@pytest.fixture(autouse=True)
def _as_patient_as_an_operator(request):
    """A season takes longer than any request may; where it is made, the role's timeout is off."""
    if "django_db" in request.keywords:
        request.getfixturevalue("db")
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 0")


def run_demo(events: int = SOME, jobs: int = 1) -> list[str]:
    """Run the command; a test's own transaction is seen by one job only."""
    stdout = StringIO()
    call_command("demo", "--events", str(events), "--jobs", str(jobs), stdout=stdout, stderr=StringIO())
    return stdout.getvalue().splitlines()


# --- The plan -------------------------------------------------------------------------


def test_season_is_the_same_for_the_same_day():
    assert plan_season(TODAY, 300) == plan_season(TODAY, 300)


def test_season_fills_the_year_in_a_dozen_cities():
    season = plan_season(TODAY, 300)
    assert len(season) == 300
    assert len({planned.house.place.city for planned in season}) >= 12
    assert {planned.category for planned in season} >= {
        "Theatre", "Concerts", "Comedy", "Sport", "Talks", "Opera", "Family", "Dance", "Festivals",
    }  # fmt: skip
    for planned in season:
        assert (
            timedelta(days=2) < planned.starts_at - datetime(2026, 11, 22, tzinfo=UTC) < timedelta(days=366)
        )
        assert planned.doors_at < planned.starts_at < planned.ends_at
    tickets = sum(capacity(planned.house) for planned in season)
    assert 250_000 <= tickets <= 400_000


def test_season_has_one_of_everything_special():
    specials = Counter(planned.special for planned in plan_season(TODAY, 300))
    assert specials["sold out"] >= 3
    assert specials["nearly sold out"] >= 3
    for special in ("on sale tomorrow", "postponed", "cancelled", "no extensions", "festival", "soon"):
        assert specials[special] == 1


def test_no_house_has_two_shows_at_once():
    evenings = Counter(
        (planned.house.slug, planned.starts_at.date(), planned.starts_at.hour < 16)
        for planned in plan_season(TODAY, 300)
    )
    assert evenings.most_common(1)[0][1] == 1


def test_nobody_plays_in_two_cities_on_one_day():
    cities: dict[tuple[str, date], set[str]] = {}
    for planned in plan_season(TODAY, 300):
        for performer in planned.performers:
            cities.setdefault((performer, planned.starts_at.date()), set()).add(planned.house.place.city)
    assert [day for day, where in cities.items() if len(where) > 1] == []


def test_slugs_and_keys_are_unique_in_a_long_season():
    season = plan_season(TODAY, 600)
    assert len({planned.slug for planned in season}) == 600
    assert len({planned.key for planned in season}) == 600


def test_a_season_at_the_end_of_february_is_planned():
    assert len(plan_season(date(2028, 2, 29), 300)) == 300


def test_every_price_belongs_to_seats_of_its_house():
    for house in HOUSES:
        seats = list(house.layout()) if house.layout else []
        assert {seat.category for seat in seats} == set(house.prices)
        assert len({(seat.section, seat.row, seat.number) for seat in seats}) == len(seats)
        assert len({(seat.section, seat.row_index, seat.place) for seat in seats}) == len(seats)
        assert len({(seat.x, seat.y) for seat in seats}) == len(seats)
    sizes = sorted(capacity(house) for house in HOUSES)
    assert sizes[-1] == 20_000
    assert 200 in sizes


def test_productions_fit_the_fields_they_go_into():
    for production in read_productions():
        assert len(production.title) <= 100
        assert all(len(summary) <= 150 for summary in production.summaries)
        # A summary that is read twice on one page reads like a machine's.
        assert len(set(production.summaries)) == len(production.summaries)


# --- The database ---------------------------------------------------------------------


@pytest.mark.django_db
def test_demo_makes_the_season_once_and_breaks_no_rule():
    lines = run_demo()
    assert lines[3:] == [f"{SOME} events were made."]
    assert find_violations() == []
    counts = [model.objects.count() for model in (Event, Seat, Ticket, Booking, BookingItem, Payment)]
    assert counts[0] == SOME
    assert Ticket.objects.filter(status="booked").count() == BookingItem.objects.count() > 0
    assert (
        Payment.objects.filter(status="captured").count() == Booking.objects.filter(status="booked").count()
    )
    payments = set(Payment.objects.values_list("gateway_reference", "amount", "currency"))
    assert (
        set(SandboxIntent.objects.filter(status="captured").values_list("id", "amount", "currency"))
        == payments
    )

    assert run_demo() == [f"The season is there: {SOME} events."]
    assert [model.objects.count() for model in (Event, Seat, Ticket, Booking, BookingItem, Payment)] == counts
    assert User.objects.count() == 3


@pytest.mark.django_db
def test_demo_sends_no_mail_about_what_it_sold(mailoutbox):
    run_demo(3)
    assert not Mail.objects.exists()
    assert mailoutbox == []


@pytest.mark.django_db
def test_demo_logins_work_and_the_buyer_has_tickets_for_an_event_soon(client):
    # First of all, so that somebody can sign in while the rest is being made.
    admin_line, buyer_line = run_demo()[:2]
    for line, email in ((admin_line, "admin@example.org"), (buyer_line, "buyer@example.org")):
        assert line.startswith(f"{email}, password ")
        assert client.login(email=email, password=line.rpartition(" ")[2])
        assert EmailAddress.objects.get(email=email).verified
    assert User.objects.get(email="admin@example.org").is_superuser
    buyer = User.objects.get(email="buyer@example.org")
    assert not buyer.is_staff
    soonest = buyer.bookings.order_by("event__starts_at").select_related("event").first()
    assert soonest is not None
    assert soonest.status == "booked"
    assert soonest.event.starts_at < timezone.now() + timedelta(days=14)


@pytest.mark.django_db
def test_demo_takes_passwords_from_the_environment(client, monkeypatch):
    monkeypatch.setenv("DEMO_ADMIN_PASSWORD", "correct horse battery")
    lines = run_demo(1)
    assert [line.partition(",")[0] for line in lines] == [
        "buyer@example.org",
        "door@example.org",
        "1 events were made.",
    ]
    door = User.objects.get(email="door@example.org")
    assert (door.is_staff, door.get_all_permissions()) == (False, {"door.check_in"})
    assert client.login(email="admin@example.org", password="correct horse battery")
    monkeypatch.setenv("DEMO_ADMIN_PASSWORD", "staple of another kind")
    run_demo(1)
    assert client.login(email="admin@example.org", password="staple of another kind")


@pytest.mark.django_db
def test_demo_goes_on_where_an_earlier_run_stopped():
    run_demo(2)
    assert run_demo(4) == ["2 events were made."]
    assert Event.objects.count() == 4


@pytest.mark.django_db(transaction=True)
def test_two_jobs_make_the_season_that_one_makes():
    run_demo(6, jobs=2)
    assert find_violations() == []
    made = Event.objects.order_by("source_key").values_list("slug", flat=True)
    assert list(made) == [planned.slug for planned in plan_season(timezone.now().date(), 6)]


@pytest.mark.parametrize("events", [0, 2001])
def test_demo_refuses_a_season_that_has_no_room(events):
    with pytest.raises(CommandError, match="from 1 to 2,000 events"):
        run_demo(events)


@pytest.mark.django_db
def test_demo_needs_the_sandbox(settings):
    settings.PAYMENT_GATEWAYS = {}
    with pytest.raises(CommandError, match="SANDBOX_GATEWAY=1"):
        run_demo(1)
    assert not Event.objects.exists()
