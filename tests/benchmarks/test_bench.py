"""The benchmark's own parts: what it writes into the database, how its buyers act, and what it says."""

from __future__ import annotations

import base64
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict

import psycopg
import pytest
from django.db import connection

from benchmarks import bulk, database
from benchmarks.contention import BuyerByChance, BuyerOfTheBest, sold_once
from benchmarks.limit import same_writes
from benchmarks.load import Answer, Outcome, expect, message, play
from benchmarks.measures import CONNECTIONS, TURNS, House
from benchmarks.memory import MIX, kind_of
from benchmarks.report import Report, Row
from benchmarks.server import Server, anonymous_bytes, serving
from benchmarks.sizes import SMALL, Sizes
from bookings.models import Booking, BookingItem
from bookings.services import Buyer as Customer
from bookings.services import hold_best_available, hold_tickets
from events.models import Ticket
from tests.factories import make_event, make_general_admission, make_seated_event, ticket_ids

# --- What it says -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "target", "at_most", "verdict"),
    [
        (0.80, 0.80, False, "met"),
        (0.79, 0.80, False, "NOT MET"),
        (1.10, 1.10, True, "met"),
        (1.11, 1.10, True, "NOT MET"),
        (0.0, 0.0, True, "met"),
        (0.01, 0.0, True, "NOT MET"),
        (0.5, None, False, ""),
        (None, None, False, ""),
    ],
)
def test_verdict_follows_the_target(ratio, target, at_most, verdict):
    assert Row("hold", ratio=ratio, target=target, at_most=at_most).verdict == verdict


def test_table_and_json_say_the_same(tmp_path, capsys):
    outcome = Outcome(seconds=2.0, times=[0.010] * 99 + [0.050])
    report = Report()

    report.begin()
    report.note("empty", outcome)
    report.add("hold", outcome, 200.0, "pgbench", 0.20)
    report.bound("memory", 120.0, 100.0, "its 100 MiB", 1.1)
    report.write(tmp_path / "bench.json")

    printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert printed == [
        "per s p50 ms p99 ms",
        "empty 50 10.0 50.0",
        "hold 50 10.0 50.0 25.0% of pgbench, at least 20%: met",
        "memory 120.0% of its 100 MiB, at most 110%: NOT MET",
    ]
    told = json.loads((tmp_path / "bench.json").read_text())
    assert [(row["what"], row["ratio"], row["target"], row["verdict"]) for row in told] == [
        ("empty", None, None, ""),
        ("hold", 0.25, 0.2, "met"),
        ("memory", 1.2, 1.1, "NOT MET"),
    ]


def test_rate_of_errors_is_no_rate():
    outcome = Outcome(statuses=Counter({201: 3, 503: 1}))

    with pytest.raises(RuntimeError, match="503"):
        expect(outcome, 201, 409)
    expect(outcome, 201, 503)


def test_little_is_less_of_everything():
    full = asdict(Sizes())

    assert all(small <= full[name] for name, small in asdict(SMALL).items())


# --- Buyers who want the same ---------------------------------------------------------------


def answered(status: int, **told) -> Answer:
    return Answer(status, json.dumps(told).encode(), 0.1)


def availability(*statuses: int) -> Answer:
    packed = sum(status << 2 * place for place, status in enumerate(statuses))
    text = base64.b64encode(packed.to_bytes(1, "little")).decode()
    return answered(200, version="1", statuses=text, price_tiers=[{"id": 1, "available": 0}])


def wanted(request: bytes) -> list[int]:
    """The tickets that a request asks to hold."""
    head, body = request.split(b"\r\n\r\n")
    assert head.startswith(b"POST /api/v1/bookings/ ")
    return json.loads(body)["tickets"]


def test_buyer_takes_what_is_suggested_and_leaves_with_a_seat():
    buyer = BuyerByChance(7, "club", [11, 12, 13, 14])

    assert wanted(buyer.next_request(None))[0] in {11, 12, 13, 14}
    assert wanted(buyer.next_request(answered(409, suggestion=[13]))) == [13]
    assert buyer.next_request(answered(201)) is None
    assert buyer.has_seat


def test_buyer_without_a_suggestion_looks_and_chooses_what_is_free():
    buyer = BuyerByChance(7, "club", [11, 12, 13, 14])

    look = buyer.next_request(answered(409, suggestion=[]))

    assert look == message("GET", "/api/v1/events/club/availability/")
    assert wanted(buyer.next_request(availability(1, 2, 0, 1))) == [13]
    assert buyer.next_request(availability(1, 2, 1, 3)) is None
    assert not buyer.has_seat


def test_buyer_of_the_best_asks_again_while_anything_is_free():
    buyer = BuyerOfTheBest(7, "club", 3)

    first = buyer.next_request(None)
    again = buyer.next_request(answered(409, available=1, suggestion=[]))

    assert json.loads(first.split(b"\r\n\r\n")[1]) == {"event": "club", "price_tier": 3, "quantity": 1}
    # Under another key, or it would be answered the same again.
    assert again != first
    assert buyer.next_request(answered(409, available=0, suggestion=[])) is None
    assert not buyer.has_seat
    assert buyer.next_request(answered(201)) is None
    assert buyer.has_seat


@pytest.mark.parametrize("buyer", [BuyerByChance(7, "club", [11]), BuyerOfTheBest(7, "club", 3)])
def test_buyer_takes_no_error_for_a_refusal(buyer):
    with pytest.raises(RuntimeError, match="503"):
        buyer.next_request(answered(503, code="temporarily_unavailable"))


def test_two_buyers_come_from_two_addresses():
    first, second = (BuyerByChance(number, "club", [11]).next_request(None) for number in (7, 263))

    assert b"X-Forwarded-For: 10.0.0.7\r\n" in first
    assert b"X-Forwarded-For: 10.0.1.7\r\n" in second


@pytest.mark.django_db
def test_seat_counts_as_sold_once_when_one_booking_has_it():
    event = make_seated_event(seats=3)
    tickets = ticket_ids(event)
    hold_tickets(event=event, ticket_ids=tickets[:2], buyer=Customer(address="10.0.0.1"))
    assert sold_once(tickets) == 2

    # The row says one booking, another has it among its items.
    other = hold_tickets(event=event, ticket_ids=tickets[2:], buyer=Customer(address="10.0.0.2")).booking
    BookingItem.objects.filter(booking=other).update(ticket=tickets[0])

    assert sold_once(tickets) == 1


# --- What a sale and a season leave ---------------------------------------------------------

SCHEMA = """
SELECT conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint
WHERE conrelid = 'events_ticket'::regclass
UNION ALL SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid), indisvalid FROM pg_index
WHERE indrelid = 'events_ticket'::regclass
ORDER BY 1, 2
"""


def ticket_schema() -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(SCHEMA)
        return cursor.fetchall()


@pytest.mark.django_db(transaction=True)
def test_season_grows_and_leaves_every_constraint_and_index():
    before = ticket_schema()

    bulk.make_season(2, tickets=6)
    first = bulk.season_tickets(2)
    bulk.make_season(103, tickets=6)

    assert ticket_schema() == before
    assert bulk.season_tickets(2) == first
    every = bulk.season_tickets(103)
    assert len(every) == 103
    assert {len(tickets) for tickets in every.values()} == {6}
    ticket = Ticket.objects.select_related("event", "seat").get(pk=every["season-102"][4])
    assert (ticket.position, ticket.seat.place, ticket.seat.venue_id) == (4, 4, ticket.event.venue_id)
    held = hold_tickets(event=ticket.event, ticket_ids=[ticket.pk], buyer=Customer(address="10.0.0.1"))
    assert held.booking.total == bulk.PRICE


@pytest.mark.django_db
def test_sale_by_sql_leaves_booked_pairs_in_order():
    event = make_event()
    tier = make_general_admission(event, 11)
    held = hold_best_available(
        event=event, price_tier_id=tier.pk, quantity=2, buyer=Customer(address="10.0.0.1")
    )

    bulk.sell_until(tier, left=4)

    statuses = list(event.tickets.order_by("position").values_list("status", flat=True))
    assert statuses == ["reserved"] * 2 + ["booked"] * 5 + ["available"] * 4
    sold = Booking.objects.exclude(pk=held.booking.pk)
    assert {booking.status for booking in sold} == {"booked"}
    assert sorted(booking.total / tier.price for booking in sold) == [1, 2, 2]
    items = BookingItem.objects.filter(booking__in=sold).select_related("ticket")
    assert all(item.ticket.booking_id == item.booking_id and item.code for item in items)
    assert len(items) == 5


@pytest.mark.parametrize("sizes", [SMALL, Sizes()])
def test_halls_have_seats_for_every_measure(sizes: Sizes):
    busiest = sum(max(sizes.holds, 3 * connections) for connections in sizes.connections)
    of_pgbench = TURNS * CONNECTIONS * max(1, sizes.holds // 20)

    assert 2 * (sizes.holds + busiest + 1) <= sizes.seats
    assert 2 * of_pgbench <= sizes.seats
    assert of_pgbench <= 4 * sizes.holds


@pytest.mark.django_db(transaction=True)
def test_house_is_as_the_sizes_say():
    its = House(SMALL)

    pairs = its.pairs(SMALL.seats // 2)

    assert len({ticket for pair in pairs for ticket in pair}) == 2 * len(pairs)
    left = [field.tickets.available().count() for field in its.fields]
    assert left == [SMALL.standing, SMALL.standing // 2 + SMALL.holds, 2 * SMALL.holds]
    assert 2 * Booking.objects.count() == 3 * SMALL.standing - sum(left)


def test_limit_makes_the_writes_of_a_hold_and_names_all_its_values():
    script = same_writes()

    assert "%(" not in script
    assert "INSERT INTO bookings_booking (" in script
    assert "INSERT INTO bookings_idempotencykey" in script


# --- What it reads of engines and workers -----------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_transactions_of_all_connections_are_counted(monkeypatch):
    monkeypatch.setattr(database, "HAND_IN_SECONDS", 0.2)
    before = database.transactions()

    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as other:
        for _statement in range(500):
            other.execute("SELECT 1")

    # The connection hands its count in as it ends, which nobody waits for.
    counts = (database.transactions() - before for _look in range(50))
    assert 500 <= next(count for count in counts if count >= 500) < 600


def test_memory_is_what_a_process_has_for_itself():
    status = "Name:\tpython\nVmRSS:\t  90000 kB\nRssAnon:\t   60000 kB\nRssFile:\t   30000 kB\n"

    assert anonymous_bytes(status) == 60_000 * 1024
    assert anonymous_bytes("Name:\tzombie\nState:\tZ (zombie)\n") == 0


def test_memory_is_told_of_each_worker():
    waiting = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(waiting, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        # Else it may have hardly begun.
        child.stdout.readline()
        memory = Server(("127.0.0.1", 0), os.getpid()).memory()

        assert memory[child.pid] > 100_000
        child.stdin.close()


def test_every_hundred_requests_are_the_mix():
    for start in (0, 100, 4200):
        assert Counter(kind_of(number) for number in range(start, start + 100)) == MIX


@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 5000,
    reason="needs more open files than this system allows",
)
def test_idle_browsers_leave_room_for_the_next_visitor():
    with serving() as server, ExitStack() as idle:
        for _browser in range(1500):
            idle.enter_context(socket.create_connection(server.address, timeout=5))
        started = time.monotonic()

        visit = play(server.address, 1, lambda _n, answer: None if answer else message("GET", "/nowhere"))

        assert len(visit.times) == 1
        assert time.monotonic() - started < 10
