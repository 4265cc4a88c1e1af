"""What is done before the first request, each part only when it is due."""

import contextlib
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator

from ticketing.local import LocalError, say
from ticketing.local.children import apart
from ticketing.local.environment import demo_logins, write_private
from ticketing.local.paths import CHECKOUT, LOCAL

MANAGE = [sys.executable, str(CHECKOUT / "manage.py")]


def prepare(environment: dict[str, str], *, with_demo: bool) -> None:
    """Bring the database and the static files up to date, and give a new checkout its demonstration."""
    # A migration may take its time, unlike a request.
    patient = environment | {"PGOPTIONS": "-c statement_timeout=0"}
    (LOCAL / "mail").mkdir(mode=0o700, exist_ok=True)
    static = Stamp("static", digest(static_sources()))
    demo = Stamp("demo", digest([json.dumps(demo_logins()).encode()]))
    with contextlib.ExitStack() as beside:
        collecting = None
        if not static.is_current:
            say("Preparing the static files.")
            collecting = beside.enter_context(
                apart([*MANAGE, "collectstatic", "--noinput", "-v0"], environment)
            )
        say("Bringing the database up to date.")
        step("migrate", ["migrate", "--noinput", "-v0"], patient)
        if with_demo and not demo.is_current:
            say("Making the demonstration's events.")
            step("demo", ["demo"], patient)
            demo.set()
        if collecting is not None:
            if collecting.wait():
                raise LocalError("`manage.py collectstatic` failed, as it says above")
            static.set()


def step(name: str, arguments: list[str], environment: dict[str, str]) -> None:
    """Run a management command that must succeed."""
    with apart([*MANAGE, *arguments], environment) as child:
        if child.wait():
            raise LocalError(f"`manage.py {name}` failed, as it says above")


class Stamp:
    """A note in `.local/` of the input with which something was last done."""

    def __init__(self, name: str, value: str) -> None:
        self.path = LOCAL / f"{name}.stamp"
        self.value = value

    @property
    def is_current(self) -> bool:
        """Whether it was last done with the same input."""
        return self.path.exists() and self.path.read_text() == self.value

    def set(self) -> None:
        """Note that it has been done."""
        write_private(self.path, self.value)


def static_sources() -> Iterator[bytes]:
    """The content of everything that collectstatic collects: our own files, and the pinned packages'."""
    yield (CHECKOUT / "requirements.txt").read_bytes()
    yield (CHECKOUT / "ticketing" / "settings.py").read_bytes()
    for top in sorted(CHECKOUT.iterdir()):
        if top.name.startswith("."):
            continue
        for path in sorted(top.rglob("*")):
            if "static" in path.relative_to(CHECKOUT).parts and path.is_file():
                yield str(path).encode()
                yield path.read_bytes()


def digest(parts: Iterable[bytes]) -> str:
    """One fingerprint of many pieces."""
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()
