"""What a web process does with itself when it begins."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

IN_A_THREAD = """
import os, threading, ticketing.wsgi
thread = threading.Thread(target=lambda: print(os.sched_getscheduler(0)))
thread.start()
thread.join()
"""


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="only Linux has batch scheduling")
def test_threads_that_answer_push_nobody_off_a_core():
    command = [sys.executable, "-c", IN_A_THREAD]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    assert said == f"{os.SCHED_BATCH}\n"
