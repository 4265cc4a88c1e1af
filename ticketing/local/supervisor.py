"""Running Holdfast on this machine: start, watch, stop. One checkout runs once at a time."""

import contextlib
import errno
import http.client
import math
import os
import select
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator

from ticketing.local import LocalError, say
from ticketing.local.children import apart, attached, end_on_signals
from ticketing.local.engines import Engine
from ticketing.local.environment import addresses, demo_logins, engines_for, for_application, for_tests, given
from ticketing.local.locks import AFTERMATH_SECONDS, guests_lock, owners_lock, ownership, scratch_directory
from ticketing.local.paths import LOCAL, make_local
from ticketing.local.preparation import MANAGE, demonstration, forget_schema, prepare

ANSWER_SECONDS = 60.0


def run(port: int) -> None:
    """Serve until a signal comes, and leave no process behind."""
    make_local()
    site_url = f"http://127.0.0.1:{port}"
    with ownership("run") as lock:
        refuse_busy(port)
        with running(engines_for(LOCAL, given())) as engines:
            lock.write(verb="run", site_url=site_url)
            environment = for_application(engines, site_url)
            is_ours = "DATABASE_URL" in addresses(engines)
            prepare(environment, is_ours=is_ours)
            with demonstration(environment, is_ours=is_ours) as tend_demonstration:
                serve(port, environment, engines, tend_demonstration)


def manage(arguments: list[str], site_url: str) -> int:
    """Run a management command with the engines up, a guest of whoever has them up already."""
    make_local()
    if "migrate" in arguments:
        forget_schema()
    while owner := owners_lock_note():
        if "site_url" in owner:
            return visit(arguments, owner["site_url"])
        time.sleep(0.1)
    with ownership("manage") as lock, running(engines_for(LOCAL, given())) as engines:
        lock.write(verb="manage", site_url=site_url)
        code = attached([*MANAGE, *arguments], for_application(engines, site_url))
        # Guests that came meanwhile are not left without a database.
        guests_lock().take(wait=math.inf)
        return code


def owners_lock_note() -> dict[str, str]:
    """What the owner of the engines says of itself; empty where nobody owns them."""
    lock = owners_lock()
    try:
        return {} if lock.take() else lock.read()
    finally:
        lock.close()


def visit(arguments: list[str], site_url: str) -> int:
    """Run a management command with engines that another process has up."""
    guests_lock().take(shared=True)
    return attached([*MANAGE, *arguments], for_application(engines_for(LOCAL, given()), site_url))


def test(command: list[str]) -> int:
    """Run `command` with engines of its own, made new and thrown away after it."""
    make_local()
    with (
        scratch_directory() as directory,
        running(engines_for(directory, given(), throwaway=True)) as engines,
    ):
        return attached(command, for_tests(engines))


def stop() -> None:
    """Stop whoever owns the engines of this checkout, and wait until the last of its processes has ended."""
    if not LOCAL.exists():
        return
    lock = owners_lock()
    if not lock.take():
        with contextlib.suppress(KeyError, ProcessLookupError):
            os.kill(lock.read()["pid"], signal.SIGTERM)
        if not lock.take(wait=AFTERMATH_SECONDS):
            raise LocalError("Holdfast still runs in this checkout and does not stop")
    lock.close()


def reset() -> None:
    """Throw away everything that was kept in this checkout: data, secrets, logins."""
    stop()
    shutil.rmtree(LOCAL, ignore_errors=True)
    if LOCAL.exists():
        raise LocalError(f"{LOCAL} cannot be removed: it holds another user's files")


def refuse_busy(port: int) -> None:
    """Raise LocalError where we could not listen on `port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = "is taken by another program" if taken else f"cannot be used ({error.strerror})"
            raise LocalError(f"port {port} {reason}: choose another, as in `make run PORT=8001`") from error


@contextlib.contextmanager
def running(engines: list[Engine]) -> Iterator[list[Engine]]:
    """Have the engines up, and stop them in order, also when a signal asks us to end."""
    end_on_signals()
    with contextlib.ExitStack() as started:
        for engine in engines:
            started.callback(engine.stop)
            engine.start()
        yield engines


def serve(port: int, environment: dict[str, str], engines: list[Engine], tend: Callable[[], None]) -> None:
    """Run the application, say where it is when it answers, and start an engine that died again.

    `tend` is called all the while.
    """
    terminals = [descriptor for descriptor in (0, 1, 2) if os.isatty(descriptor)]
    is_announced = False
    patience = time.monotonic() + ANSWER_SECONDS
    command = [sys.executable, "-m", "ticketing.local.processes", str(port)]
    with apart(command, environment) as application:
        while application.poll() is None:
            for engine in engines:
                if not engine.is_running:
                    say(f"{engine.name} has ended: starting it again.")
                    engine.start()
            if any(map(has_hung_up, terminals)):
                raise SystemExit(128 + signal.SIGHUP)
            if not is_announced and answers(port):
                is_announced = True
                announce(port, with_demo="DATABASE_URL" in addresses(engines))
            if not is_announced and time.monotonic() > patience:
                raise LocalError("the web server does not answer; it may have said above why")
            tend()
            time.sleep(0.2)
    raise LocalError("a process of the application ended, as it says above")


def has_hung_up(terminal: int) -> bool:
    """Whether a terminal has been closed. Where `make` leads the session, the signal stops at it."""
    poll = select.poll()
    poll.register(terminal, 0)
    return bool(poll.poll(0))


def answers(port: int) -> bool:
    """Whether the web server answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    else:
        return True
    finally:
        connection.close()


def announce(port: int, *, with_demo: bool) -> None:
    """Say where Holdfast is, and who may come in."""
    lines = ["", f"Holdfast is at http://127.0.0.1:{port}", ""]
    if with_demo:
        width = max(map(len, demo_logins()))
        lines += [f"  {address:{width}}  password {word}" for address, word in demo_logins().items()]
    else:
        lines += [
            "  The database is yours, so no demonstration was added to it: `make manage ARGS=demo` does."
        ]
    say("\n".join([*lines, "", "Ctrl-C stops it; the data stay in .local/ until `make reset`.", ""]))
