"""Commands we start, how they hear signals, and how they end."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from types import FrameType

from ticketing.local.leash import leashed
from ticketing.local.paths import CHECKOUT


def end_on_signals() -> None:
    """Have Ctrl-C, `kill` and a closed terminal raise SystemExit, once; the clean-up is not interrupted."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def leave(number: int, frame: FrameType | None) -> None:
        for other in signals:
            signal.signal(other, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for number in signals:
        signal.signal(number, leave)


def attached(command: list[str], environment: dict[str, str]) -> int:
    """Run a command that shares our terminal, and return its exit code."""
    # Ctrl-C reaches it too, and it knows what to do. (To ignore the signal would make it deaf as well.)
    before = signal.signal(signal.SIGINT, lambda *_: None)
    child = subprocess.Popen(  # noqa: S603
        leashed(command, signal.SIGTERM), env=environment, cwd=CHECKOUT, close_fds=False
    )
    with ended_with_us(child):
        code = child.wait()
    signal.signal(signal.SIGINT, before)
    return code


@contextlib.contextmanager
def ended_with_us(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """End `child`, and wait for it, when we leave before it does."""
    try:
        yield
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()


@contextlib.contextmanager
def apart(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A child that hears no signal of our terminal, so that we decide in which order things end."""
    child = subprocess.Popen(  # noqa: S603
        leashed(command, signal.SIGTERM),
        env=environment,
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        close_fds=False,
    )
    with ended_with_us(child):
        yield child
