"""Run a command that is told to stop when the process that started it dies, even by SIGKILL.

Used as a program of its own and not as a `preexec_fn`, which is unsafe where threads run. It is
started by path, so it must import nothing of ours.

The kernel watches the *thread* that started the command: start what shall last from the main thread.
"""

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1


def leashed(command: list[str], on_death: signal.Signals, account: str = "") -> list[str]:
    """The command line that runs `command` for this process, as `account` where one is named."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(on_death)), account, *command]


def follow_parent(on_death: int) -> None:
    """Have the kernel send `on_death` to this process when its parent is gone; Linux alone can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, on_death)


def become(account: str) -> None:
    """Give up root for `account`."""
    entry = pwd.getpwnam(account)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def main() -> None:
    parent, on_death, account, *command = sys.argv[1:]
    # Changing the user clears the kernel's note, so it comes first.
    if account:
        become(account)
    follow_parent(int(on_death))
    if os.getppid() != int(parent):
        sys.exit("the process that started this one has gone")
    os.execvp(command[0], command)  # noqa: S606 - a shell is what we do not want here.


if __name__ == "__main__":
    main()
