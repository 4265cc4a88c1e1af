"""`make faults`: every fault, or those that are named (ARGS="cache-killed"); ARGS=--list names them all."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

import django

from ticketing.local import LocalError
from ticketing.local.children import end_on_signals
from ticketing.local.environment import for_tests
from ticketing.local.locks import scratch_directory
from ticketing.local.paths import make_local


def main() -> int:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help="only these")
    parser.add_argument("--list", action="store_true", help="name them, and break nothing")
    parser.add_argument("--quick", action="store_true", help="a few seconds each, in which nothing is timed")
    wish = parser.parse_args()
    make_local()
    end_on_signals()
    with scratch_directory() as folder:
        return run(folder, wish)


def run(folder: Path, wish: argparse.Namespace) -> int:
    use_database_of(folder)
    # Django's models can be imported from here on.
    from tests.faults.house import Template
    from tests.faults.sale import HEADINGS, QUICK, USUAL, play
    from tests.faults.scenarios import FAULTS

    if wish.list:
        print("\n".join(f"{name:24} {fault.broken}" for name, fault in FAULTS.items()))
        return 0
    if unknown := set(wish.faults) - set(FAULTS):
        raise LocalError(f"no such fault: {', '.join(sorted(unknown))}; ARGS=--list names them")
    template = Template(folder)
    template.make()
    began, rows, is_bad = time.monotonic(), [], False
    for name in wish.faults or FAULTS:
        if reason := FAULTS[name].left_out_because():
            print(f"{name} is left out: {reason}", flush=True)
            continue
        sale = play(FAULTS[name], template, QUICK if wish.quick else USUAL)
        rows.append(sale.row)
        print(" · ".join(f"{head} {said}" for head, said in zip(HEADINGS, sale.row, strict=True)), flush=True)
        for finding in sale.findings:
            is_bad = True
            print(f"    WRONG: {finding}", flush=True)
        if sale.findings and (kept := os.environ.get("FAULTS_LOGS")):
            shutil.copytree(folder, Path(kept) / name, ignore=shutil.ignore_patterns("template", "data"))
    print_table(HEADINGS, rows)
    print(f"{len(rows)} faults in {time.monotonic() - began:.0f} s")
    return int(is_bad)


def use_database_of(folder: Path) -> None:
    """Have this process look into the box office's database, which is in the same place for each fault."""
    from ticketing.local.engines import Postgres

    os.environ |= for_tests([Postgres(folder / "postgres")])
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
        "REDIS_URL": "redis://127.0.0.1:9",
        "LOG_LEVEL": "WARNING",
    }
    django.setup()


def print_table(headings: list[str], rows: list[list[str]]) -> None:
    """As docs/reliability.md has it."""
    lines = [f"| {' | '.join(row)} |" for row in [headings, *rows]]
    print("\n".join([lines[0], "|---" * len(headings) + "|", *lines[1:]]))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LocalError as error:
        sys.exit(f"holdfast: {error}")
