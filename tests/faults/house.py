"""One box office with every part its own, so that each can be broken: engines, programs, an event on sale."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from django.core.management import call_command
from django.db import connections

from events.models import Event
from tests.factories import make_event, make_general_admission, make_seated
from tests.faults.tools import again_and_again
from tests.proof.processes import Program, Site, free_port
from ticketing.local.engines import Engine, Postgres, Valkey
from ticketing.local.paths import CHECKOUT
from ticketing.local.processes import commands

ROWS, SEATS, STANDING = 30, 50, 4000
RESTART_SECONDS = 2.0
# The buyers are one machine, and no limit of a caller's shall be what stops them.
NO_LIMITS = ("API_WRITES_PER_MINUTE", "API_READS_PER_MINUTE", "HOLD_TICKETS_PER_ADDRESS")


@dataclass(frozen=True)
class Stock:
    """What is on sale."""

    event: str
    standing: int
    seats: list[int]


@dataclass(frozen=True)
class Plan:
    """How a box office is built where it is not built as usual."""

    # Broker and cache are one server on most sites.
    is_broker_apart: bool = False
    has_middleman: bool = False
    disk_in_mb: int | None = None


class House(Site):
    """Web server, workers, beat and gateway as `make run` starts them, over a PostgreSQL and a Valkey."""

    def __init__(self, folder: Path, database: Postgres, plan: Plan) -> None:
        self.database = database
        self.cache = self.broker = Valkey(folder / "valkey")
        if plan.is_broker_apart:
            self.broker = Valkey(folder / "broker")
        middle_port = free_port()
        through = f"redis://127.0.0.1:{middle_port}/0" if plan.has_middleman else self.cache.url(0)
        where = {
            "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
            "DATABASE_URL": database.url,
            "REDIS_URL": through,
            **dict.fromkeys(NO_LIMITS, "1000000"),
        }
        if plan.is_broker_apart:
            where["CELERY_BROKER_URL"] = self.broker.broker_url(2)
        super().__init__(folder, where)
        told = commands(self.port, schedule=folder / "schedule")
        self.web = self.program("web", told["web"])
        self.worker = self.program("worker", told["worker"])
        # What waits for the worker that takes the money shall not be told of this one.
        self.mails = self.program("mails", told["mails"], WORKER_READY_FILE=str(folder / "mails-ready"))
        self.beat = self.program("beat", told["beat"])
        words = ["-m", "tests.faults.middleman", str(middle_port), str(self.cache.socket)]
        self.middleman = self.program("middleman", words) if plan.has_middleman else None

    @property
    def programs(self) -> list[Program]:
        usual = [self.gateway, self.web, self.worker, self.mails, self.beat]
        return [self.middleman, *usual] if self.middleman else usual

    @property
    def engines(self) -> list[Engine]:
        return [self.database, *dict.fromkeys([self.cache, self.broker])]

    @contextlib.contextmanager
    def open(self) -> Iterator[House]:
        with contextlib.ExitStack() as started:
            for engine in self.engines:
                started.callback(engine.stop)
                engine.start()
            started.callback(connections.close_all)
            started.enter_context(self.running())
            started.enter_context(again_and_again(RESTART_SECONDS, self._start_what_died))
            yield self

    def _start_what_died(self) -> None:
        """What systemd does, after deploy/*.service."""
        for program in self.programs:
            if program.has_died:
                program.start()

    def warm_up(self) -> None:
        """Have every process of a web server that has just been started import what it answers with."""
        self.wait_for_web()
        with httpx.Client(base_url=self.url, timeout=60) as client:
            for path in 12 * ["/", "/api/v1/events/"]:
                # A connection for each, so that each process is met.
                client.get(path, headers={"Connection": "close"})

    def stock(self) -> Stock:
        event = Event.objects.get()
        standing = event.price_tiers.get(is_seated=False)
        seats = event.tickets.filter(price_tier__is_seated=True).values_list("pk", flat=True)
        stock = Stock(event=event.slug, standing=standing.pk, seats=list(seats))
        # The next to look may find another server behind the same address.
        connections.close_all()
        return stock

    def manage(self, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a management command on this box office."""
        return subprocess.run(
            [sys.executable, "-W", "ignore", str(CHECKOUT / "manage.py"), *command],
            env={**self.environment, **settings},
            capture_output=True,
            text=True,
            check=False,
        )

    def web_workers(self) -> list[psutil.Process]:
        """The processes that answer, which the web server starts again when they end."""
        children = psutil.Process(self.web.pid).children()
        return [child for child in children if "resource_tracker" not in " ".join(child.cmdline())]


class Template:
    """A database that is made once, and copied for each box office."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # As on a server: what was answered is written, and not only promised.
        self.database = Postgres(folder / "postgres")
        self._kept = folder / "template"

    def make(self) -> None:
        """Migrate it, and put an event on sale."""
        self.database.start()
        call_command("migrate", verbosity=0)
        event = make_event(max_tickets_per_booking=4)
        make_seated(event, rows=ROWS, seats=SEATS, price="35.00")
        make_general_admission(event, STANDING, price="20.00")
        connections.close_all()
        self.database.stop()
        self.database.data.rename(self._kept)

    @contextlib.contextmanager
    def open_house(self, plan: Plan) -> Iterator[House]:
        """A box office on a fresh copy."""
        for name in ("valkey", "broker", "mail", "schedule", "worker-ready"):
            path = self.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for path in self.folder.glob("*.log"):
            path.unlink()
        shutil.rmtree(self.database.data, ignore_errors=True)
        with self._disk(plan):
            subprocess.run(["cp", "-a", f"{self._kept}/.", self.database.data], check=True)
            with House(self.folder, self.database, plan).open() as house:
                yield house

    @contextlib.contextmanager
    def _disk(self, plan: Plan) -> Iterator[None]:
        """Where the database's data lie: a disk of its own, where the plan says how large."""
        self.database.data.mkdir(mode=0o700)
        if plan.disk_in_mb is None:
            yield
            return
        size = f"size={plan.disk_in_mb}m"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", self.database.data], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", self.database.data], check=True)
