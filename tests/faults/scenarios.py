"""Every fault: above its `yield` a real part breaks in the middle of a sale, below it is mended."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import psutil

from tests.faults.house import House, Plan
from tests.faults.journal import Answer
from tests.faults.sale import Check, Fault, Sale
from tests.faults.tools import (
    again_and_again,
    ask_cache,
    ask_database,
    clock_off,
    database_superuser,
    running,
)
from ticketing.local.processes import commands

FAULTS: dict[str, Fault] = {}


def fault(broken: str, *checks: Check, **how: Any) -> Callable[[Callable[[House], Iterator[None]]], None]:
    """Add a function to the list, under its name with dashes."""

    def add(happens: Callable[[House], Iterator[None]]) -> None:
        name = happens.__name__.replace("_", "-")
        FAULTS[name] = Fault(name, broken, happens, checks, **how)

    return add


# --- What must hold -------------------------------------------------------------------------


def sells_on(sale: Sale) -> str | None:
    """At no less than half the speed of just before."""
    if sale.during.rate >= sale.before.rate / 2:
        return None
    return f"only {sale.during.rate:.0f} holds a second, of {sale.before.rate:.0f} before"


def notices_at_once(sale: Sale) -> str | None:
    """Whoever meets the fault first pays at most 250 ms for it, and whoever comes after next to nothing."""
    assert sale.noticing is not None
    if sale.noticing.of_the_others > 0.08:
        return f"each paid {1000 * sale.noticing.of_the_others:.0f} ms, and not the first alone"
    if sale.noticing.of_the_first > 0.25:
        return f"the first to notice paid {1000 * sale.noticing.of_the_first:.0f} ms"
    return None


def shows_no_error(sale: Sale) -> str | None:
    return f"buyers saw {sale.whole.errors_in_words()}" if sale.whole.errors else None


def says_so_in_time(sale: Sale) -> str | None:
    """Every error is the contract's: 503, when to come back, and within two seconds."""
    return _impolite(sale, within=2)


def _impolite(sale: Sale, *, within: float) -> str | None:
    bad = [answer for answer in sale.whole.errors if not _is_polite(answer, within)]
    return f"{len(bad)} of {len(sale.whole.errors)} errors, such as {bad[0]}" if bad else None


def _is_polite(answer: Answer, within: float) -> bool:
    is_contract = answer.status == 503 and answer.retry_after != ""
    is_named = answer.what == "look" or answer.code == "temporarily_unavailable"
    return is_contract and is_named and answer.seconds <= within


def says_so_after_waiting(sale: Sale) -> str | None:
    """As `says_so_in_time`, of a database that is there and lets requests wait: two seconds for each lock."""
    return _impolite(sale, within=6)


def only_cut_off(sale: Sale) -> str | None:
    """A process that dies takes the requests that it was answering with it, and nothing else fails."""
    others = [answer for answer in sale.whole.errors if answer.status]
    return f"buyers saw {sale.whole.errors_in_words()}, such as {others[0]}" if others else None


def only_payments_fail(sale: Sale) -> str | None:
    """Without the gateway nobody can begin to pay, which the contract says; all else goes on."""
    others = [answer for answer in sale.whole.errors if answer.what != "pay"]
    if others:
        return f"{len(others)} errors such as {others[0]}"
    return _impolite(sale, within=5)


# --- The cache ------------------------------------------------------------------------------


def cache_fault(broken: str, **how: Any) -> Callable[[Callable[[House], Iterator[None]]], None]:
    """Without the cache buyers see nothing of it."""
    timed = (sells_on, notices_at_once)
    return fault(broken, shows_no_error, timed=timed, is_noticed_alone=True, **how)


@cache_fault("cache killed")
def cache_killed(house: House) -> Iterator[None]:
    house.cache.kill()
    yield
    house.cache.start()


@cache_fault("cache paused for 30 s", seconds=30)
def cache_paused(house: House) -> Iterator[None]:
    house.cache.pause()
    yield
    house.cache.resume()


@cache_fault("cache flushed, again and again")
def cache_flushed(house: House) -> Iterator[None]:
    with again_and_again(0.5, lambda: ask_cache(house, "FLUSHALL")):
        yield


@cache_fault("cache restarted, empty")
def cache_restarted_empty(house: House) -> Iterator[None]:
    house.cache.kill()
    house.cache.start()
    yield


@cache_fault("cache full")
def cache_full(house: House) -> Iterator[None]:
    ask_cache(house, "CONFIG", "SET", "maxmemory", "1")
    yield
    ask_cache(house, "CONFIG", "SET", "maxmemory", "0")


@cache_fault("cache answers after 2 s", plan=Plan(has_middleman=True))
def cache_slow(house: House) -> Iterator[None]:
    house.middleman.send(signal.SIGUSR1)
    yield
    house.middleman.send(signal.SIGUSR2)


# --- The database ---------------------------------------------------------------------------


@fault("database killed, away for 5 s", says_so_in_time, seconds=5)
def database_killed(house: House) -> Iterator[None]:
    server = psutil.Process(house.database.pid)
    backends = server.children()
    house.database.kill()
    for backend in backends:
        with suppress(psutil.NoSuchProcess):
            backend.kill()
    yield
    house.database.start()


@fault("database restarted in order", says_so_in_time, seconds=2)
def database_restarted(house: House) -> Iterator[None]:
    house.database.stop()
    house.database.start()
    yield


@fault("database connections cut each second", says_so_in_time)
def connections_cut(house: House) -> Iterator[None]:
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'holdfast'"
    with again_and_again(1, lambda: ask_database(house, cut)):
        yield


@fault("database read-only", says_so_in_time)
def database_read_only(house: House) -> Iterator[None]:
    ask_database(house, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    yield
    with database_superuser(house) as session:
        session.execute("SET default_transaction_read_only = off")
        session.execute("ALTER SYSTEM RESET default_transaction_read_only")
        session.execute("SELECT pg_reload_conf()")


@fault("tickets locked for 20 s", says_so_after_waiting, seconds=20)
def tickets_locked(house: House) -> Iterator[None]:
    with database_superuser(house) as session, session.transaction():
        session.execute("LOCK TABLE events_ticket")
        yield


@fault("database paused for 20 s", says_so_in_time, seconds=20)
def database_paused(house: House) -> Iterator[None]:
    server = psutil.Process(house.database.pid)
    # It first: of its children none begins then, and one that ends stays to be asked after.
    server.suspend()
    children = server.children()
    for child in children:
        child.suspend()
    yield
    for process in [server, *children]:
        with suppress(psutil.NoSuchProcess):
            process.resume()


@fault(
    "database’s disk full",
    says_so_in_time,
    plan=Plan(disk_in_mb=400),
    left_out_because=lambda: "" if os.geteuid() == 0 else "only root can mount a small disk",
)
def disk_full(house: House) -> Iterator[None]:
    ballast = house.database.data / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(2**16))
    yield
    ballast.unlink()
    if not house.database.is_running:
        # What systemd does for a server that gave up.
        house.database.start()


# --- Worker, beat, broker -------------------------------------------------------------------


@fault("workers and beat killed, each 6 s", shows_no_error, timed=(sells_on,), seconds=18)
def worker_and_beat_killed(house: House) -> Iterator[None]:
    def kill_all() -> None:
        for program in (house.worker, house.mails, house.beat):
            program.send(signal.SIGKILL)

    with again_and_again(6, kill_all):
        yield


@fault("two workers and two beats", shows_no_error, timed=(sells_on,))
def worker_and_beat_doubled(house: House) -> Iterator[None]:
    told = commands(house.port, schedule=house.folder / "second-schedule")
    second_worker = house.program("second-worker", [*told["worker"], "--hostname", "second@%h"])
    second_beat = house.program("second-beat", told["beat"])
    with running(second_worker, second_beat):
        yield


@fault("worker’s clock 5 minutes fast", shows_no_error, for_the_whole_sale=True)
def worker_clock_fast(house: House) -> Iterator[None]:
    with clock_off(house.worker, 300):
        yield


@fault("worker’s clock 5 minutes slow", shows_no_error, for_the_whole_sale=True)
def worker_clock_slow(house: House) -> Iterator[None]:
    with clock_off(house.worker, -300):
        yield


@fault("web server’s clock 5 minutes fast", shows_no_error, for_the_whole_sale=True)
def web_clock_fast(house: House) -> Iterator[None]:
    with clock_off(house.web, 300):
        house.warm_up()
        yield
    house.wait_for_web()


@fault("web server’s clock 5 minutes slow", shows_no_error, for_the_whole_sale=True)
def web_clock_slow(house: House) -> Iterator[None]:
    with clock_off(house.web, -300):
        house.warm_up()
        yield
    house.wait_for_web()


@fault("broker gone", shows_no_error, for_the_whole_sale=True, plan=Plan(is_broker_apart=True))
def broker_gone(house: House) -> Iterator[None]:
    house.broker.kill()
    yield
    house.broker.start()


# --- The web server -------------------------------------------------------------------------


@fault("a web process killed, each 7 s", only_cut_off, seconds=21)
def web_worker_killed(house: House) -> Iterator[None]:
    with again_and_again(7, lambda: random.choice(house.web_workers()).kill()):
        yield


@fault("a release: migration, then each process anew", shows_no_error, seconds=25)
def deploy(house: House) -> Iterator[None]:
    old = house.web_workers()
    house.manage("migrate", "--noinput", DJANGO_SETTINGS_MODULE="tests.faults.next_release")
    os.kill(house.web.pid, signal.SIGHUP)
    for program in (house.worker, house.mails, house.beat):
        program.stop()
        program.start()
    yield
    assert not any(process.is_running() for process in old), "the web server has processes of before"


# --- The gateway ----------------------------------------------------------------------------


@fault("gateway does not answer", only_payments_fail, timed=(sells_on,), seconds=15)
def gateway_down(house: House) -> Iterator[None]:
    house.gateway.send(signal.SIGSTOP)
    yield
    house.gateway.send(signal.SIGCONT)


@fault("gateway answers after 3 s", only_payments_fail, timed=(sells_on,), seconds=15)
def gateway_slow(house: House) -> Iterator[None]:
    house.tell_gateway("fault", kind="lag", seconds=3, times=10_000)
    yield
    house.tell_gateway("calm")


@fault(
    "gateway lies: acts and says 500, hangs up, tells twice or never",
    sells_on,
    only_payments_fail,
    seconds=15,
)
def gateway_lying(house: House) -> Iterator[None]:
    dice = random.Random(4)

    def lie() -> None:
        house.tell_gateway("configure", notices=dice.choice(["twice", "shuffled", "never"]), notice_delay=2)
        kind = dice.choice(["drop", "error_after", "error_before", "bad_gateway", "rate_limit", "conflict"])
        house.tell_gateway("fault", kind=kind, method="POST", times=3)

    with again_and_again(0.2, lie):
        yield
    house.tell_gateway("calm")
    house.tell_gateway("configure", notices="normal")
