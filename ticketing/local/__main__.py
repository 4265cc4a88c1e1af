"""What the Makefile calls: `python -m ticketing.local run|manage|test|stop|reset …`."""

import os
import shlex
import signal
import sys

from ticketing.local import LocalError, say, supervisor
from ticketing.local.leash import follow_parent


def chosen_port() -> int:
    """The port that PORT names, or 8000."""
    text = os.environ.get("PORT") or "8000"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise LocalError(f"PORT={text} is no port: choose a number from 1024 to 65535")
    return int(text)


def run() -> int:
    """Serve until somebody asks us to stop, which is no failure."""
    try:
        supervisor.run(chosen_port())
    except SystemExit:
        say("Holdfast has stopped.")
    return 0


def manage() -> int:
    """Run the management command in ARGS, or list them all."""
    arguments = shlex.split(os.environ.get("ARGS", "")) or ["help"]
    return supervisor.manage(arguments, f"http://127.0.0.1:{chosen_port()}")


def main(verb: str, arguments: list[str]) -> int:
    """Do what the Makefile asks for, and return the exit code."""
    match verb:
        case "run":
            return run()
        case "manage":
            return manage()
        case "test":
            return supervisor.test(arguments)
        case "stop":
            supervisor.stop()
        case "reset":
            supervisor.reset()
        case _:
            raise LocalError(f"{verb} is not run, manage, test, stop or reset")
    return 0


if __name__ == "__main__":
    # A `make` that is killed cannot pass it on.
    follow_parent(signal.SIGTERM)
    try:
        sys.exit(main(sys.argv[1], sys.argv[2:]))
    except LocalError as error:
        sys.exit(f"holdfast: {error}")
