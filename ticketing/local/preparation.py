"""What is done before the first request, each part only when it is due."""

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from ticketing.local import LocalError, say
from ticketing.local.children import apart
from ticketing.local.environment import demo_logins, write_private
from ticketing.local.paths import CHECKOUT, LOCAL

DATABASE = LOCAL / "postgres"
SCHEMA_STAMP = DATABASE / "schema.stamp"
MANAGE = [sys.executable, str(CHECKOUT / "manage.py")]


def prepare(environment: dict[str, str], *, is_ours: bool) -> None:
    """Bring the static files and the database up to date.

    Where the database `is_ours`, an engine of this checkout, it gets the demonstration too, and is left
    alone when there is nothing new for it.
    """
    (LOCAL / "mail").mkdir(mode=0o700, exist_ok=True)
    with contextlib.ExitStack() as beside:
        static = Stamp(LOCAL / "static.stamp", static_sources())
        collecting = None
        if not static.is_current:
            say("Preparing the static files.")
            command = [*MANAGE, "collectstatic", "--noinput", "-v0"]
            collecting = beside.enter_context(apart(command, environment))
        # A migration may take its time, unlike a request.
        patient = environment | {"PGOPTIONS": "-c statement_timeout=0"}
        if is_ours:
            fill_our_database(patient)
        else:
            step("migrate", "--noinput", "-v0", environment=patient)
        if collecting is not None:
            if collecting.wait():
                raise LocalError("`manage.py collectstatic` failed, as it says above")
            static.set()


def fill_our_database(environment: dict[str, str]) -> None:
    """Migrate it, and make the demonstration, each only when it is due."""
    schema = Stamp(SCHEMA_STAMP, migrations())
    if not schema.is_current:
        say("Bringing the database up to date.")
        step("migrate", "--noinput", "-v0", environment=environment)
        schema.set()
    demo = Stamp(DATABASE / "demo.stamp", [json.dumps(demo_logins()).encode()])
    if not demo.is_current:
        say("Making the demonstration's events.")
        step("demo", environment=environment)
        demo.set()


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
