"""What is done before the first request, each part only when it is due."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ticketing.local import LocalError, say
from ticketing.local.children import apart
from ticketing.local.environment import demo_logins, write_private
from ticketing.local.paths import CHECKOUT, LOCAL

DATABASE = LOCAL / "postgres"
SCHEMA_STAMP = DATABASE / "schema.stamp"
# A migration may take its time, unlike a request.
PATIENT = {"PGOPTIONS": "-c statement_timeout=0"}
# How many seconds the demonstration's events come before the web server.
HEAD_START_SECONDS = 15.0
MANAGE = [sys.executable, str(CHECKOUT / "manage.py")]


def prepare(environment: dict[str, str], *, is_ours: bool) -> None:
    """Bring the static files and the database up to date.

    Where the database `is_ours`, an engine of this checkout, it is left alone when there is nothing new
    for it.
    """
    (LOCAL / "mail").mkdir(mode=0o700, exist_ok=True)
    with contextlib.ExitStack() as beside:
        static = Stamp(LOCAL / "static.stamp", static_sources())
        collecting = None
        if not static.is_current:
            say("Preparing the static files.")
            command = [*MANAGE, "collectstatic", "--noinput", "-v0"]
            collecting = beside.enter_context(apart(command, environment))
        if is_ours:
            migrate_our_database(environment | PATIENT)
        else:
            step("migrate", "--noinput", "-v0", environment=environment | PATIENT)
        if collecting is not None:
            if collecting.wait():
                raise LocalError("`manage.py collectstatic` failed, as it says above")
            static.set()


def migrate_our_database(environment: dict[str, str]) -> None:
    """Migrate it, when that is due."""
    schema = Stamp(SCHEMA_STAMP, migrations())
    if not schema.is_current:
        say("Bringing the database up to date.")
        step("migrate", "--noinput", "-v0", environment=environment)
        schema.set()


@contextlib.contextmanager
def demonstration(environment: dict[str, str], *, is_ours: bool) -> Iterator[Callable[[], None]]:
    """Make the demonstration's events, when they are due, and go on beside the site where that takes long.

    Gives a function to call now and then, which notes that all are made.
    """
    stamp = Stamp(DATABASE / "demo.stamp", [json.dumps(demo_logins()).encode()])
    if not is_ours or stamp.is_current:
        yield lambda: None
        return
    say("Making the demonstration's events.")
    with apart([*MANAGE, "demo"], environment | PATIENT) as child:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(HEAD_START_SECONDS)

        def tend() -> None:
            if child.poll() == 0 and not stamp.is_current:
                stamp.set()

        tend()
        if child.returncode:
            raise LocalError("`manage.py demo` failed, as it says above")
        yield tend


def step(command: str, *options: str, environment: dict[str, str]) -> None:
    """Run a management command that must succeed."""
    with apart([*MANAGE, command, *options], environment) as child:
        if child.wait():
            raise LocalError(f"`manage.py {command}` failed, as it says above")


class Stamp:
    """A file that notes what something was last made from."""

    def __init__(self, path: Path, sources: Iterable[bytes]) -> None:
        self.path = path
        total = hashlib.sha256()
        for source in sources:
            total.update(hashlib.sha256(source).digest())
        self.value = total.hexdigest()

    @property
    def is_current(self) -> bool:
        """Whether it was last made from the same."""
        return self.path.exists() and self.path.read_text() == self.value

    def set(self) -> None:
        """Note that it has been made."""
        write_private(self.path, self.value)


def migrations() -> Iterator[bytes]:
    """The content of every migration: our own, and the pinned packages'."""
    yield (CHECKOUT / "requirements.txt").read_bytes()
    for path in our_files():
        if path.parent.name == "migrations" and path.suffix == ".py":
            yield path.read_bytes()


def forget_schema() -> None:
    """Have the next run look at the database itself, because somebody may have migrated it by hand."""
    SCHEMA_STAMP.unlink(missing_ok=True)


def static_sources() -> Iterator[bytes]:
    """The content of everything that collectstatic collects: our own files, and the pinned packages'."""
    yield (CHECKOUT / "requirements.txt").read_bytes()
    yield (CHECKOUT / "ticketing" / "settings.py").read_bytes()
    for path in our_files():
        if "static" in path.relative_to(CHECKOUT).parts:
            yield str(path).encode()
            yield path.read_bytes()


def our_files() -> Iterator[Path]:
    """Every file of the checkout that does not lie in a hidden folder, in a lasting order."""
    for folder, folders, names in os.walk(CHECKOUT):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        yield from (Path(folder) / name for name in sorted(names))
