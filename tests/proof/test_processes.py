"""Programs of the proofs end with who started them, however that ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.proof.processes import Program
from ticketing.local.paths import CHECKOUT

STARTS_A_PROGRAM = """
import os, sys
from pathlib import Path
from tests.proof.processes import Program
program = Program("sleeper", ["-c", "import time; time.sleep(600)"], dict(os.environ), Path(sys.argv[1]))
program.start()
print(program.pid, flush=True)
input()
"""


def has_ended(pid: int, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_program_ends_when_the_run_that_started_it_is_killed(tmp_path):
    command = [sys.executable, "-c", STARTS_A_PROGRAM, str(tmp_path)]
    with subprocess.Popen(
        command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        pid = int(run.stdout.readline())
        assert psutil.pid_exists(pid)
        run.kill()

    assert has_ended(pid)


def test_program_outlasts_the_thread_that_asked_for_it(tmp_path: Path):
    program = Program("sleeper", ["-c", "import time; time.sleep(600)"], dict(os.environ), tmp_path)
    asking = threading.Thread(target=program.start)
    asking.start()
    asking.join()

    assert not has_ended(program.pid, seconds=1)
    program.kill()
