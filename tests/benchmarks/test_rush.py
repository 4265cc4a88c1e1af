"""The rehearsal tells the truth: of a sound box office what it sold, of a broken one that it is broken."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from random import Random

import pytest
from django.conf import settings as django_settings

from benchmarks.client import Client
from benchmarks.rush.__main__ import about_limits, is_this_machine, read_wishes
from benchmarks.rush.arrivals import arrival_times
from benchmarks.rush.bottleneck import NONE, find_bottlenecks
from benchmarks.rush.buyer import Pace, Stage
from benchmarks.rush.crowd import Crowd, Plan
from benchmarks.rush.picture import Picture, Seat
from benchmarks.rush.record import Claim, Record, Second, find_oversold, percentile
from benchmarks.rush.report import Progress, Report, summarise
from benchmarks.rush.survey import CannotRehearse, Show, find_assets, survey
from bookings.models import Booking, BookingItem
from events.models import Ticket
from tests.benchmarks.stand_in import standing_in
from tests.bookings.test_worker import working
from tests.factories import make_event, make_general_admission, make_seated
from tests.utils import assert_audit_is_clean

HASTY = Pace(look=0.1, fill_in=0.1, card=0.1, look_again=0.2, patience=30, poll=0.5)


def rush(
    url: str, slug: str, *, buyers: int = 12, seed: int = 1, pace: Pace = HASTY, most_seconds: float = 30
) -> Report:
    """A rehearsal in a few seconds."""

    async def play() -> Report:
        with closing(Client(url)) as client:
            show = await survey(client, slug=slug, buyers=buyers)
        record = Record(idle=show.idle)
        stage = Stage(origin=url, show=show, record=record, run="test", seed=seed, pace=pace)
        plan = Plan(buyers=buyers, arrive_within=2, duration=most_seconds, own_addresses=True)
        crowd = Crowd(stage, plan)
        await crowd.rush(asyncio.Event())
        return summarise(
            record,
            url=url,
            event=slug,
            buyers=buyers,
            seed=seed,
            left_held=crowd.left_held,
            other_gateway=show.other_gateway,
        )

    return asyncio.run(play())


# --- The whole of it ----------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_rush_says_what_was_sold_and_leaves_nothing_held(live_server, settings, tmp_path):
    settings.SITE_URL = live_server.url
    event = make_event(max_tickets_per_booking=3)
    make_seated(event, rows=2, seats=10)
    make_general_admission(event, 10)

    with working(tmp_path, live_server.url, tmp_path / "mail", broker=django_settings.CELERY_BROKER_URL):
        report = rush(live_server.url, event.slug, buyers=20, most_seconds=15)

    booked = BookingItem.objects.filter(booking__status="booked", booking__name__startswith="Rehearsal")
    assert report.tickets_sold == booked.count() > 5
    assert report.bookings == Booking.objects.filter(status="booked").count()
    assert report.holds == report.bookings + Booking.objects.filter(status="released").count() - 3
    assert (report.oversold, report.failures, report.tickets_left_held) == ([], {}, 0)
    assert report.ended in {"when the last had left", "when its time was over"}
    assert report.is_good
    assert Ticket.objects.filter(status="reserved").count() == 0
    assert sum(report.endings.values()) == report.arrived == 20
    assert_audit_is_clean()


def test_box_office_that_gives_one_ticket_to_everybody_is_found():
    with standing_in() as url:
        report = rush(url, "one-seat", buyers=4)

    assert report.oversold == [1]
    assert report.tickets_sold > 1
    assert not report.is_good
    assert "oversold      1: tickets 1" in list(report.lines())


def test_error_without_a_problem_document_is_a_failure():
    with standing_in(instead={("POST", "/pay/sbx_1/"): (0, (500, "text/html", None))}) as url:
        report = rush(url, "one-seat", buyers=2, seed=2)

    assert report.failures == {"card: 500 without a problem document": report.errors_shown}
    assert report.errors_shown > 0
    assert not report.is_good


def test_problem_documents_are_refusals_by_their_code():
    refused = (503, "application/problem+json", {"code": "temporarily_unavailable"})
    with standing_in(instead={("POST", "/payments/"): (1, refused)}) as url:
        report = rush(url, "one-seat", buyers=2, pace=replace(HASTY, patience=1))

    assert set(report.refusals) == {"temporarily_unavailable"}
    assert report.errors_shown == report.refusals["temporarily_unavailable"]
    assert (report.failures, report.tickets_sold, report.tickets_left_held) == ({}, 0, 0)


def test_rehearsal_does_not_begin_where_a_step_is_refused():
    refused = (403, "application/problem+json", {"code": "waiting_room", "title": "There is a queue"})
    with (
        standing_in(instead={("POST", "/bookings/"): (0, refused)}) as url,
        pytest.raises(CannotRehearse, match="hold: 403, There is a queue"),
    ):
        rush(url, "one-seat")


def test_nobody_pays_where_the_gateway_is_not_the_sandbox():
    with standing_in(pays_at="https://checkout.example.org/pay/1?session=secret") as url:
        report = rush(url, "one-seat", buyers=6)

    assert report.other_gateway == "https://checkout.example.org/pay/1"
    assert (report.tickets_sold, report.tickets_left_held) == (0, 0)
    assert set(report.endings) <= {"another gateway", "changed their mind", "walked away"}
    assert "card" not in report.waits


def test_sandbox_of_another_host_is_not_paid_at():
    with standing_in(pays_at="http://tickets.example.org/sandbox/pay/sbx_1/") as url:
        assert (
            rush(url, "one-seat", buyers=1).other_gateway == "http://tickets.example.org/sandbox/pay/sbx_1/"
        )


# --- The command --------------------------------------------------------------------------


def command(**given: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **given}
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.rush"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_command_reports_in_eighty_columns_and_without_control_characters(tmp_path):
    with standing_in() as url:
        done = command(URL=url, EVENT="one-seat", BUYERS="30", DURATION="6", JSON=str(tmp_path / "rush.json"))

    assert done.returncode == 1
    assert done.stderr == ""
    assert all(len(line) < 80 for line in done.stdout.splitlines())
    assert all(letter == "\n" or letter.isprintable() for letter in done.stdout)
    told = json.loads((tmp_path / "rush.json").read_text())
    assert told["event"] == "one-seat"
    assert told["first_bottleneck"] == told["bottlenecks"][0]
    assert told["oversold"] == [1]


def test_strangers_are_left_alone():
    done = command(URL="http://192.0.2.1:8000")

    assert done.returncode == 1
    assert "is not this machine" in done.stderr
    assert "YES=1" in done.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"BUYERS": "many"}, "BUYERS=many must be a whole number"),
        ({"BUYERS": "0"}, "BUYERS=0 must be a whole number"),
        ({"URL": "tickets.example.org"}, "URL must be like"),
        ({"KEYS": "/nowhere"}, "KEYS=/nowhere cannot be read"),
    ],
)
def test_nonsense_is_refused(given, reason):
    with pytest.raises(CannotRehearse, match=reason):
        read_wishes({"URL": "http://127.0.0.1:8000"} | given)


def test_only_its_own_addresses_are_this_machine():
    assert is_this_machine("http://127.0.0.1:8000")
    assert is_this_machine("http://localhost")
    assert not is_this_machine("http://192.0.2.1")


@pytest.mark.parametrize(
    ("facts", "cautions"),
    [
        ({}, 2),
        ({"own_addresses": True}, 0),
        ({"keys": ["key"] * 100}, 0),
        ({"keys": ["key"]}, 1),
    ],
)
def test_limits_that_would_be_measured_are_said_up_front(facts, cautions):
    show = make_show(quotas={"reads": 1200, "writes": 300})

    told = list(about_limits(show, Plan(buyers=500 if not facts else 100, **facts)))

    assert sum(line.startswith("CAUTION") for line in told) == cautions


def make_show(**facts) -> Show:
    return Show(slug="x", title="X", available=1, most_tickets=4, has_price=True, **facts)


def test_progress_is_one_line_on_a_terminal_and_plain_lines_elsewhere():
    record = Record(idle={})
    plain, terminal = io.StringIO(), io.StringIO()
    terminal.isatty = lambda: True
    shown = [Progress(10, plain), Progress(10, terminal)]

    for _second in range(5):
        record.close_second(lag=0, busy=0)
        for progress in shown:
            progress(record)

    assert plain.getvalue() == "0:00  0 of 10 came, 0 are in;  0 holds, 0 sold;  0 ms wait, 0 waiting\n"
    assert terminal.getvalue().count("\r") == 5
    assert max(len(line) for line in terminal.getvalue().split("\r")) == 79


# --- What gave way first -------------------------------------------------------------------


def seconds(*facts: dict) -> list[Second]:
    return [Second(at=at, **fact) for at, fact in enumerate(facts)]


SLOW = {"wait": 0.8, "slowness": 20.0, "waiting": 300}
LATE = {"lag": 0.2, "busy": 0.99}


@pytest.mark.parametrize(
    ("facts", "names"),
    [
        ([{}, {}, {}], ["nothing"]),
        ([{}, SLOW, SLOW], ["the server"]),
        ([{}, SLOW, {}, SLOW], ["nothing"]),
        ([{}, SLOW | LATE, SLOW | LATE], ["the generator", "the server"]),
        ([SLOW, SLOW, LATE, LATE], ["the server", "the generator"]),
        ([{"wait": 0.02, "slowness": 9.0}] * 3, ["nothing"]),
        ([{}, {"rate_limited": 3}, SLOW, SLOW], ["the rate limit", "the server"]),
        ([{}, {"errors": 1} | SLOW, SLOW], ["errors of the server", "the server"]),
        ([{"gateway_wait": 2.0, "gateway_slowness": 50.0, "wait": 0.05}] * 2, ["the gateway's page"]),
        ([SLOW | {"gateway_wait": 0.9, "gateway_slowness": 50.0}] * 2, ["the server"]),
        ([{}, {"booked_wait": 6.0}], ["the worker"]),
        ([{}, {"is_sold_out": True}, SLOW, SLOW], ["sold out", "the server"]),
    ],
)
def test_bottleneck_is_what_showed_first(facts, names):
    assert [bottleneck.name for bottleneck in find_bottlenecks(seconds(*facts))] == names


def test_bottleneck_says_when_and_why():
    [server] = find_bottlenecks(seconds({}, SLOW | {"busy": 0.31, "lag": 0.002}, SLOW))

    assert server.since == 1
    assert server.evidence == (
        "requests waited 800 ms, 20 times as long as in peace, with 300 of them under way, while the"
        " rehearsal used 31% of a core and was 2 ms late: the server is saturated"
    )
    assert find_bottlenecks([]) == [NONE]


def test_second_is_told_by_what_ended_in_it_and_by_who_still_waits():
    record = Record(idle={"hold": 0.1, "card": 0.1})
    for step, wait in [("hold", 0.4), ("hold", 0.6), ("card", 0.2)]:
        record.note_wait(step, record.now() - wait)
    record.close_second(lag=0, busy=0)
    mark = record.begin("hold")
    record._under_way[mark] = ("hold", record.now() - 3)
    record.close_second(lag=0, busy=0)

    first, second = record.seconds
    assert (round(first.wait, 1), round(first.slowness), first.answered) == (0.5, 5, 3)
    assert (round(first.gateway_wait, 1), round(first.gateway_slowness)) == (0.2, 2)
    assert (round(second.wait), round(second.slowness), second.waiting) == (3, 30, 1)


def test_paid_booking_that_is_not_booked_counts_although_its_buyer_has_left():
    record = Record(idle={})
    record.unbooked = {"one": record.now() - 8, "two": record.now() - 12}
    record.close_second(lag=0, busy=0)

    assert round(record.seconds[0].booked_wait) == 10
    assert [bottleneck.name for bottleneck in find_bottlenecks(record.seconds)] == ["the worker"]


# --- Its parts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "oversold"),
    [
        ([("a", 0, 10), ("b", 10, 20)], []),
        ([("a", 0, 10), ("b", 9, 20)], [1]),
        ([("a", 0, 10), ("a", 5, 20)], []),
        ([("a", 0, 100), ("b", 20, 30), ("c", 40, 50)], [1]),
        ([("a", 0, 10), ("a", 5, float("inf")), ("b", 20, float("inf"))], [1]),
    ],
)
def test_ticket_is_oversold_when_two_bookings_have_it_at_once(claims, oversold):
    assert find_oversold(Claim(1, *claim) for claim in claims) == oversold
    assert find_oversold(Claim(number, *claim) for number, claim in enumerate(claims)) == []


def test_arrivals_are_a_burst_and_a_tail_and_the_same_for_the_same_seed():
    times = arrival_times(1000, Random(1), seconds=60)

    assert times == sorted(times) == arrival_times(1000, Random(1), seconds=60)
    assert 0 <= times[0] <= times[-1] <= 60
    assert sum(time < 6 for time in times) in range(600, 800)


def test_picture_follows_changes():
    picture = Picture()
    tiers = [{"id": 7, "available": 4}]
    picture.update({"version": "1", "statuses": "5A==", "price_tiers": tiers})  # 0b11100100
    assert [picture.is_available(position) for position in range(4)] == [True, False, False, False]

    picture.update({"version": "2", "changes": [[0, 1], [1, 0], [2, 0], [3, 0]], "price_tiers": tiers})

    assert [picture.is_available(position) for position in range(4)] == [False, True, True, True]
    seats = [Seat(position, 100 + position, 7 if position < 3 else 8) for position in range(4)]
    assert picture.neighbours(seats, 2, Random(1)) == [101, 102]
    assert picture.neighbours(seats, 3, Random(1)) == []
    assert picture.tier(Random(1)) == (7, 4)


def test_assets_are_what_a_browser_fetches_from_the_same_site():
    page = """
      <link rel="stylesheet" href="/static/a.css"><link rel="alternate" href="/feed">
      <script src="../b.js"></script><script>inline()</script><img src="/p.svg?v=1"><img src="/p.svg?v=1">
      <img src="https://cdn.example.org/c.png"><img src="data:image/png;base64,AA=="><a href="/else">
    """
    assert list(find_assets(page, "/events/x/")) == ["/static/a.css", "/events/b.js", "/p.svg?v=1"]


def test_percentile_is_a_value_that_was_seen():
    assert [percentile([1, 2, 3, 4], percent) for percent in (0, 50, 75, 76, 100)] == [1, 2, 3, 4, 4]
