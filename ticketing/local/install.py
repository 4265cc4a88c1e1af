"""Make `.venv` hold exactly the pinned requirements; done in a moment where it does already.

Run by path with the interpreter that the environment is for, so it imports nothing of ours.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
VENV = CHECKOUT / ".venv"
PYTHON = VENV / "bin" / "python"
# Where the interpreter is the environment's own, the one that it was made from.
BASE_PYTHON = getattr(sys, "_base_executable", sys.executable)
STAMP = VENV / "installed"
LOG = CHECKOUT / ".venv.log"
REQUIREMENTS = [CHECKOUT / "requirements.txt", CHECKOUT / "requirements-dev.txt"]


def fingerprint() -> str:
    """What the environment depends on: its place, its interpreter and the requirements."""
    parts = [str(VENV).encode(), sys.version.encode(), *(path.read_bytes() for path in REQUIREMENTS)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_current(wanted: str) -> bool:
    """Whether the environment is there, whole, and made from the same."""
    return STAMP.exists() and STAMP.read_text() == wanted and PYTHON.exists()


def make() -> None:
    """Make the environment anew. Raises CalledProcessError, with the reason in the log."""
    print("Making the virtual environment and installing the requirements.", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    with LOG.open("wb") as log:
        run(log.fileno(), BASE_PYTHON, "-m", "venv", str(VENV))
        wanted = [word for path in REQUIREMENTS for word in ("--requirement", str(path))]
        try:
            install_uv(log.fileno())
            uv = [str(VENV / "bin" / "uv"), "pip", "install", "--quiet", "--python", str(PYTHON)]
            # As pip does by itself. A process that may not write beside them starts in a third of the time.
            run(log.fileno(), *uv, "--compile-bytecode", "--require-hashes", *wanted)
        except subprocess.CalledProcessError:
            # uv is only the faster way, and knows nothing of what a pip.conf may say.
            run(log.fileno(), *pip(), *wanted)
    LOG.unlink()


def install_uv(log: int) -> None:
    """Install the pinned uv alone, with its hashes."""
    pin = re.search(r"^uv==.*?(?=^\S)", REQUIREMENTS[1].read_text() + "end", re.MULTILINE | re.DOTALL)
    if pin is None:
        raise LookupError("requirements-dev.txt does not pin uv")
    requirement = VENV / "uv.txt"
    requirement.write_text(pin[0])
    run(log, *pip(), "--requirement", str(requirement))


def pip() -> list[str]:
    """How pip installs what has the hashes we know."""
    return [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]


def run(log: int, *command: str) -> None:
    """Run a command that must succeed, and keep what it says in the log."""
    subprocess.run(command, stdout=log, stderr=log, check=True)  # noqa: S603


def main() -> None:
    # PostgreSQL's account must be able to run what lies in here, whatever the umask of ours.
    os.umask(0o022)
    wanted = fingerprint()
    with (CHECKOUT / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_current(wanted):
            return
        try:
            make()
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"holdfast: the requirements could not be installed ({error}); more is in {LOG}")
        STAMP.write_text(wanted)


if __name__ == "__main__":
    main()
