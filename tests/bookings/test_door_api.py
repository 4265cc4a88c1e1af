"""The door for scanners: what they may, what they are told, and that nothing counts twice."""

from __future__ import annotations

import base64
import gzip
import json
import uuid
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from bookings.codes import public_key, sign_code
from bookings.door.held_list import code_key
from bookings.door.models import Scan
from bookings.door.services import admit, undo
from bookings.models import Booking, BookingItem
from events.models import Event
from tests.door import book, make_door_staff
from tests.factories import make_seated_event, make_user
from tests.test_openapi import assert_as_documented

pytestmark = pytest.mark.django_db

PATHS = {
    "list": "/api/v1/events/{slug}/check-in/",
    "sync": "/api/v1/events/{slug}/check-in/sync/",
    "undo": "/api/v1/events/{slug}/check-in/{scan_id}/undo/",
}


@pytest.fixture
def event() -> Event:
    return make_seated_event(seats=4, price="0.00", title="The Long Night")


@pytest.fixture
def item(event) -> BookingItem:
    return book(event)[0]


@pytest.fixture
def staff():
    return make_door_staff()


@pytest.fixture
def base(event) -> str:
    return f"/api/v1/events/{event.slug}/check-in/"


@pytest.fixture
def scanner(client: Client, staff) -> Client:
    client.force_login(staff)
    return client


def post(client: Client, address: str, body: dict, **headers: str):
    return client.post(address, body, content_type="application/json", headers=headers)


def offline(item: BookingItem, **fields) -> dict:
    defaults = {
        "id": str(uuid.uuid4()),
        "code": item.code,
        "door": "North door",
        "scanned_at": timezone.now().isoformat(),
        "result": "admitted",
    }
    return defaults | fields


def test_code_is_answered_with_the_ticket_and_then_with_its_first_use(scanner, base, event, item):
    scan_id = str(uuid.uuid4())
    first = post(scanner, base, {"code": sign_code(item), "door": "North door", "id": scan_id})
    second = post(scanner, base, {"code": item.code, "door": "South door"})

    assert_as_documented(first, PATHS["list"], "post")
    assert (first.status_code, first.json()["id"], first.json()["result"]) == (200, scan_id, "admitted")
    assert {name: first.json()["ticket"][name] for name in ("section", "place", "holder_name")} == {
        "section": "Stalls",
        "place": "Stalls, row 1, seat 1",
        "holder_name": "Ada Lovelace",
    }
    assert_as_documented(second, PATHS["list"], "post")
    assert (second.json()["result"], second.json()["double_entry"]) == ("already_used", False)
    assert second.json()["first"] == {"at": first.json()["scanned_at"], "door": "North door"}


def test_wrong_event_and_unknown_are_answers(scanner, base, item):
    other = make_seated_event(seats=1, price="0.00", title="Elsewhere")

    wrong = post(scanner, f"/api/v1/events/{other.slug}/check-in/", {"code": item.code, "door": "A"})
    unknown = post(scanner, base, {"code": "no code", "door": "A"})

    assert (wrong.status_code, wrong.json()["result"]) == (200, "wrong_event")
    assert wrong.json()["event"]["title"] == "The Long Night"
    assert_as_documented(unknown, PATHS["list"], "post")
    assert (unknown.json()["result"], unknown.json()["ticket"], unknown.json()["event"]) == (
        "unknown",
        None,
        None,
    )


def test_undo_is_answered_again_and_refused_for_what_let_nobody_in(scanner, base, item):
    scan_id = post(scanner, base, {"code": item.code, "door": "A"}).json()["id"]
    refused_id = post(scanner, base, {"code": item.code, "door": "A"}).json()["id"]

    undone = [post(scanner, f"{base}{scan_id}/undo/", {}) for _ in range(2)]
    refused = post(scanner, f"{base}{refused_id}/undo/", {})

    assert_as_documented(undone[0], PATHS["undo"], "post")
    assert [answer.json() for answer in undone] == [undone[0].json()] * 2
    assert (undone[0].json()["result"], undone[0].json()["ticket"]["checked_in_at"]) == ("undone", None)
    assert_as_documented(refused, PATHS["undo"], "post")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_admitted")
    assert post(scanner, f"{base}{uuid.uuid4()}/undo/", {}).json()["code"] == "not_found"
    assert post(scanner, f"{base}{scan_id}/undo/", {"why": "so"}).json()["code"] == "validation_error"


def test_scan_of_another_event_is_not_found_under_this_one(scanner, base, item):
    scan_id = post(scanner, base, {"code": item.code, "door": "A"}).json()["id"]
    other = make_seated_event(seats=1)

    answer = post(scanner, f"/api/v1/events/{other.slug}/check-in/{scan_id}/undo/", {})

    assert answer.json()["code"] == "not_found"
    assert Scan.objects.filter(result="undone").count() == 0


def test_handing_in_offline_scans_reports_double_entries_and_counts_once(scanner, base, event, item, staff):
    admit(event=event, code=item.code, door="South door", by=staff)
    other = book(event)[0]
    scans = [offline(item), offline(other)]

    answers = [post(scanner, f"{base}sync/", {"scans": scans}) for _ in range(2)]

    assert_as_documented(answers[0], PATHS["sync"], "post")
    results = answers[0].json()["results"]
    assert [(found["id"], found["result"], found["double_entry"]) for found in results] == [
        (scans[0]["id"], "already_used", True),
        (scans[1]["id"], "admitted", False),
    ]
    assert results[0]["first"]["door"] == "South door"
    assert answers[1].json() == answers[0].json()
    assert Scan.objects.count() == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scans": []}, "scans"),
        ({"scans": [{"id": "x"}]}, "scans.0.id"),
        ({"scans": [{}], "more": 1}, "more"),
        ({}, "scans"),
    ],
)
def test_what_is_no_batch_of_scans_is_refused(scanner, base, body, field):
    answer = post(scanner, f"{base}sync/", body)

    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")
    assert field in {error["field"] for error in answer.json()["errors"]}


def test_largest_batch_fits_into_a_request_and_one_more_is_refused(scanner, base, item):
    scans = [offline(item, code=sign_code(item).ljust(200), device="d" * 80) for _ in range(101)]
    full = {"scans": scans[:100]}

    assert len(json.dumps(full)) < settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    assert post(scanner, f"{base}sync/", full).status_code == 200
    # A wrong member is found wherever it is, and one scan too many is too.
    too_many = [scan | {"code": item.code, "device": ""} for scan in scans]
    assert post(scanner, f"{base}sync/", {"scans": too_many}).json()["errors"][0]["field"] == "scans"
    twice = {"scans": [scans[0], scans[0]]}
    assert post(scanner, f"{base}sync/", twice).json()["errors"][0]["code"] == "duplicate"


def test_idempotency_key_replays_the_first_answer(scanner, base, item):
    body = {"code": item.code, "door": "A"}
    first = post(scanner, base, body, **{"Idempotency-Key": "k"})
    again = post(scanner, base, body, **{"Idempotency-Key": "k"})

    assert (first.json()["result"], again.json()) == ("admitted", first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert Scan.objects.count() == 1


# --- The list ---------------------------------------------------------------------------


def test_list_holds_every_ticket_and_no_code(scanner, base, event, item, staff):
    used = book(event)[0]
    admission = admit(event=event, code=used.code, door="North door", by=staff)

    answer = scanner.get(base)

    assert_as_documented(answer, PATHS["list"])
    held = answer.json()
    assert [(ticket["key"], ticket["state"], ticket["door"]) for ticket in held["tickets"]] == [
        (code_key(item.code), "booked", ""),
        (code_key(used.code), "used", "North door"),
    ]
    assert held["tickets"][1]["checked_in_at"] == admission.scan.scanned_at.isoformat().replace("+00:00", "Z")
    assert held["sections"] == [{"name": "Stalls", "booked": 2, "entered": 1}]
    assert (held["complete"], held["event"]["id"]) == (True, event.pk)
    assert base64.b64decode(held["public_key"]) == public_key()
    assert item.code not in answer.content.decode()


def test_list_since_a_version_has_what_changed_after_it(scanner, base, event, staff, monkeypatch):
    monkeypatch.setattr("bookings.door.held_list.OVERLAP", timedelta(0))
    items = book(event, 2)
    Booking.objects.update(booked_at=timezone.now().replace(microsecond=0) - timedelta(hours=1))
    version = scanner.get(base).json()["version"]
    admission = admit(event=event, code=items[1].code, door="A", by=staff)

    changed = scanner.get(base, {"since": version}).json()
    undo(scan_id=admission.scan.pk, by=staff)
    undone = scanner.get(base, {"since": changed["version"]}).json()

    assert (changed["complete"], [ticket["state"] for ticket in changed["tickets"]]) == (False, ["used"])
    assert [ticket["state"] for ticket in undone["tickets"]] == ["booked"]
    assert len({version, changed["version"], undone["version"]}) == 3
    assert scanner.get(base, {"since": "nonsense"}).json()["complete"] is True


def test_unchanged_list_is_304_and_costs_no_reading_of_tickets(scanner, base, item, event, staff):
    etag = scanner.get(base).headers["ETag"]

    assert scanner.get(base, headers={"If-None-Match": etag}).status_code == 304
    admit(event=event, code=item.code, door="A", by=staff)
    assert scanner.get(base, headers={"If-None-Match": etag}).status_code == 200


def test_list_is_compressed_for_who_can_read_that(scanner, base, event):
    book(event, 4)

    answer = scanner.get(base, headers={"Accept-Encoding": "gzip"})

    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(answer.content))["tickets"]) == 4


@pytest.mark.parametrize("rows", [1, 3])
def test_list_has_a_fixed_number_of_queries(scanner, base, event, rows, django_assert_num_queries):
    book(event, rows)

    with django_assert_num_queries(12):
        held = scanner.get(base).json()

    assert len(held["tickets"]) == rows


# --- Who may ----------------------------------------------------------------------------


def test_door_is_for_who_may_check_in(client, base, event, item):
    def all_answers():
        return [
            client.get(base),
            post(client, base, {"code": item.code, "door": "A"}),
            post(client, f"{base}sync/", {"scans": [offline(item)]}),
            post(client, f"{base}{uuid.uuid4()}/undo/", {}),
        ]

    assert [answer.json()["code"] for answer in all_answers()] == ["not_authenticated"] * 4
    client.force_login(make_user())
    assert [answer.json()["code"] for answer in all_answers()] == ["permission_denied"] * 4
    client.force_login(make_user(is_staff=True))
    assert [answer.status_code for answer in all_answers()] == [403] * 4
    assert Scan.objects.count() == 0


@pytest.mark.parametrize("status", ["draft", "cancelled"])
def test_event_that_does_not_take_place_has_no_door(scanner, status):
    event = make_seated_event(status=status)

    assert scanner.get(f"/api/v1/events/{event.slug}/check-in/").json()["code"] == "not_found"
