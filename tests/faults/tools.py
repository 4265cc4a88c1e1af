"""What faults are made with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import redis

from tests.proof.processes import Program

if TYPE_CHECKING:
    from tests.faults.house import House


@contextmanager
def again_and_again(seconds: float, call: Callable[[], object]) -> Iterator[None]:
    """Call at once, and then every so many seconds. Raises what the call raised."""
    done, errors = threading.Event(), []

    def repeat() -> None:
        try:
            while True:
                call()
                if done.wait(seconds):
                    return
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    if errors:
        raise errors[0]


@contextmanager
def running(*programs: Program) -> Iterator[None]:
    try:
        for program in programs:
            program.start()
        yield
    finally:
        for program in programs:
            program.kill()


def ask_cache(house: House, *command: str) -> None:
    with redis.Redis.from_url(house.cache.url(0)) as client:
        client.execute_command(*command)


@contextmanager
def database_superuser(house: House) -> Iterator[psycopg.Connection]:
    url = house.database.url.replace("holdfast@", "postgres@")
    with psycopg.connect(url, autocommit=True) as session:
        yield session


def ask_database(house: House, *statements: str) -> None:
    with database_superuser(house) as session:
        for statement in statements:
            session.execute(statement)


# --- Clocks ---------------------------------------------------------------------------------


def wrong_clock(seconds: int) -> dict[str, str]:
    """The environment of a program in which Python’s clock is so far off. Its waits are right."""
    return {"CLOCK_OFF_BY_SECONDS": str(seconds), "PYTHONPATH": str(Path(__file__).parent / "clock")}


@contextmanager
def clock_off(program: Program, seconds: int) -> Iterator[None]:
    """Start the program again with its clock so far off, and once more with the right one."""
    program.kill()
    program.start(**wrong_clock(seconds))
    yield
    program.kill()
    program.start()
