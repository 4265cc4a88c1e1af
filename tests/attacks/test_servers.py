"""The web server itself: who sends slowly, and limits where several processes count."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from bookings import views
from tests.attacks.conftest import EXAMPLES
from tests.attacks.web import Web
from tests.attacks.world import World

pytestmark = pytest.mark.django_db(transaction=True)

SLOW = 60
# Of a web process, as in deploy/holdfast-web.service.
THREADS = 8
HEAD = b"POST /api/v1/bookings/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@contextmanager
def slow_senders(web: Web, number: int, beginning: bytes) -> Iterator[list[socket.socket]]:
    """So many connections that each sent the beginning of a request, and then a byte now and then."""
    place = urlsplit(web.url)
    with ExitStack() as stack:
        senders = []
        for _ in range(number):
            sender = socket.create_connection((place.hostname, place.port), timeout=90)
            stack.callback(sender.close)
            sender.sendall(beginning)
            senders.append(sender)
        yield senders


def is_served(web: Web, world: World) -> bool:
    return httpx.get(f"{web.url}/api/v1/events/{world.event.slug}/", timeout=10).status_code == 200


def test_slow_headers_hold_up_nobody(web: Web, world: World):
    with slow_senders(web, SLOW, HEAD + b"X-Slow: "):
        served = [is_served(web, world) for _ in range(5)]

    assert served == [True] * 5


@pytest.mark.skipif(EXAMPLES <= 5, reason="It takes half a minute: in `make attack`.")
def test_slow_headers_are_cut_off_in_the_end(web: Web):
    """However often a byte more comes."""
    with slow_senders(web, 1, HEAD + b"X-Slow: ") as [sender]:
        sender.settimeout(1)
        began, ended = time.monotonic(), None
        while ended is None and time.monotonic() - began < 60:
            try:
                sender.sendall(b"x")
                ended = time.monotonic() if sender.recv(1024) in {b""} else None
            except TimeoutError:
                continue
            except OSError:
                ended = time.monotonic()

    assert ended is not None
    assert ended - began < 45


def test_fewer_slow_bodies_than_threads_hold_up_nobody(web: Web, world: World):
    """As many as there are threads do: they are the proxy's to take in, see docs/security.md."""
    with slow_senders(web, THREADS - 1, HEAD + b"Content-Length: 1000\r\n\r\n{"):
        time.sleep(0.5)
        served = [is_served(web, world) for _ in range(5)]

    assert served == [True] * 5


def test_who_goes_in_the_middle_of_a_body_leaves_nothing_behind(web: Web, world: World):
    with slow_senders(web, SLOW, HEAD + b"Content-Length: 1000\r\n\r\n{"):
        pass

    assert is_served(web, world)
    assert "Traceback" not in web.log.read_text()


@pytest.fixture(scope="module")
def two_webs(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Web]]:
    """Two processes with one cache, and a limit of 30 calls a minute."""
    folder = tmp_path_factory.mktemp("webs")
    webs = [Web(folder, name=f"web{number}", calls_per_minute=30) for number in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(Web.start, webs))
    yield webs
    for web in webs:
        web.kill()


def ask_together(webs: list[Web], path: str, *, times: int) -> list[int]:
    def ask(number: int) -> int:
        return httpx.get(f"{webs[number % len(webs)].url}{path}", timeout=30).status_code

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(ask, range(times)))


def wait_for_a_fresh_minute() -> None:
    """The windows are the minutes of the clock; no test runs over the end of one."""
    left = 60 - time.time() % 60
    if left < 25:
        time.sleep(left + 0.1)


def test_limit_of_the_api_holds_over_two_processes_at_once(two_webs: list[Web], world: World):
    wait_for_a_fresh_minute()

    answers = ask_together(two_webs, f"/api/v1/events/{world.event.slug}/", times=80)

    assert (answers.count(200), answers.count(429)) == (30, 50)


def test_guesses_at_references_are_counted_over_two_processes_at_once(two_webs: list[Web]):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: find(two_webs[number % 2], number), range(40)))

    assert answers.count(404) == views.FINDS_PER_MINUTE
    assert set(answers) == {404, 429}


def find(web: Web, number: int) -> int:
    """One guess by a browser of its own, with the token that its form has."""
    with httpx.Client(base_url=web.url, timeout=30) as browser:
        page = browser.get("/bookings/find/").text
        token = page.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
        form = {
            "csrfmiddlewaretoken": token,
            "reference": f"0000{number:04}",
            "email": f"{number}@example.org",
        }
        return browser.post("/bookings/find/", data=form, headers={"Referer": web.url}).status_code


@pytest.mark.skipif(EXAMPLES <= 5, reason="It takes half a minute: in `make attack`.")
def test_without_the_cache_each_process_counts_for_itself(world: World, tmp_path: Path):
    """So that the limit is as many times higher as there are processes, and not gone."""
    gone = {"REDIS_URL": "redis://127.0.0.1:1/0", "REDIS_LOCKS_URL": "redis://127.0.0.1:1/1"}
    webs = [Web(tmp_path, name=f"alone{number}", calls_per_minute=10, **gone) for number in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(Web.start, webs))
    wait_for_a_fresh_minute()

    answers = ask_together(webs, f"/api/v1/events/{world.event.slug}/", times=60)
    for web in webs:
        web.kill()

    assert (answers.count(200), answers.count(429)) == (20, 40)
