"""Where things lie on this machine, and who holds the lock on them."""

import hashlib
import os
import stat
from pathlib import Path

from ticketing.local import LocalError, say

CHECKOUT = Path(__file__).resolve().parents[2]
LOCAL = CHECKOUT / ".local"


def make_local() -> None:
    """Make `.local/`, private to whoever runs Holdfast here, and refuse one that is another's."""
    LOCAL.mkdir(exist_ok=True)
    if LOCAL.stat().st_uid != os.geteuid():
        raise LocalError(f"{LOCAL} belongs to another user: run as that user, or remove it")
    # PostgreSQL, which will not run as root, must be able to pass through to its own folder.
    LOCAL.chmod(0o711 if os.geteuid() == 0 else 0o700)


def socket_directory(directory: Path, owner: int) -> Path:
    """A folder for the Unix sockets of an engine whose data lie in `directory`, open to `owner` alone.

    Its path is short, because the kernel allows a socket's path 107 bytes and a checkout may lie deep.
    """
    digest = hashlib.sha256(f"{os.geteuid()} {directory}".encode()).hexdigest()[:16]
    path = Path("/tmp") / f"holdfast-{digest}"  # noqa: S108 - its owner and mode are checked below.
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if found.st_uid == os.geteuid() != owner:
        os.chown(path, owner, -1, follow_symlinks=False)
        found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
        raise LocalError(f"{path} was not made by us: remove it")
    return path


def let_pass(path: Path) -> None:
    """Let every account pass through the folders above `path`; they still cannot list or read them."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if mode & stat.S_IXOTH:
            continue
        try:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
        except OSError as error:
            raise LocalError(f"PostgreSQL does not run as root, and nobody else may pass {folder}") from error
        say(f"PostgreSQL does not run as root: other accounts may now pass through {folder} (chmod o+x).")
