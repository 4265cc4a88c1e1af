"""What `make rush` calls: reads what was asked for, says what will happen, plays it, and reports."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import secrets
import signal
import socket
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.client import Client, NoAnswer
from benchmarks.rush.buyer import Stage
from benchmarks.rush.crowd import Crowd, Plan, own_address
from benchmarks.rush.record import Record
from benchmarks.rush.report import WIDTH, Progress, Report, summarise
from benchmarks.rush.survey import CannotRehearse, Show, survey
from ticketing.local.paths import LOCAL
from ticketing.local.supervisor import owners_lock_note

# What a buyer asks for in all, as measured; most of it in the first minute.
READS, WRITES = 12, 5


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the operator asked for, in the environment."""

    url: str
    event: str
    buyers: int
    seed: int
    duration: int
    json_file: str
    keys: tuple[str, ...]
    is_sure: bool


def read_wishes(given: dict[str, str]) -> Wishes:
    """Raises `CannotRehearse` for what makes no sense."""
    parts = urlsplit(given.get("URL") or own_instance())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise CannotRehearse("URL must be like http://127.0.0.1:8000")
    keys_file = given.get("KEYS")
    try:
        keys = tuple(Path(keys_file).read_text().split()) if keys_file else ()
    except OSError as error:
        raise CannotRehearse(f"KEYS={keys_file} cannot be read: {error.strerror}") from error
    return Wishes(
        url=f"{parts.scheme}://{parts.netloc}",
        event=given.get("EVENT", ""),
        buyers=_number(given, "BUYERS", 500, most=50_000),
        seed=_number(given, "SEED", 1, most=2**63),
        duration=_number(given, "DURATION", 300, most=3600),
        json_file=given.get("JSON", ""),
        keys=keys,
        is_sure=given.get("YES") == "1",
    )


def _number(given: dict[str, str], name: str, default: int, *, most: int) -> int:
    text = given.get(name) or str(default)
    if not text.isdecimal() or not 0 < int(text) <= most:
        raise CannotRehearse(f"{name}={text} must be a whole number from 1 to {most}")
    return int(text)


def own_instance() -> str:
    """Where the `make run` of this checkout is. Raises `CannotRehearse` where there is none."""
    note = owners_lock_note() if LOCAL.exists() else {}
    if "site_url" not in note:
        raise CannotRehearse(
            "nothing runs in this checkout: start it with `make run`, or name URL=http://..."
        )
    return note["site_url"]


def is_this_machine(url: str) -> bool:
    """Whether the host is one of this machine's own addresses: those alone can be bound to."""
    parts = urlsplit(url)
    try:
        found = socket.getaddrinfo(parts.hostname, 0, type=socket.SOCK_STREAM)
    except OSError as error:
        raise CannotRehearse(f"{parts.hostname} cannot be found: {error.strerror}") from error
    return all(can_bind(address[0], family) for family, _type, _protocol, _name, address in found)


def can_bind(address: str | int, family: socket.AddressFamily) -> bool:
    with socket.socket(family) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def has_own_addresses(url: str) -> bool:
    """Whether buyers can come from addresses of their own: on Linux, to an instance at 127.0.0.1."""
    with contextlib.suppress(OSError):
        address = socket.gethostbyname(urlsplit(url).hostname or "")
        return address.startswith("127.") and can_bind(own_address(0), socket.AF_INET)
    return False


def announcement(wishes: Wishes, show: Show, plan: Plan) -> Iterator[str]:
    """What will happen, before it does."""
    yield (
        f"Rehearsing {show.slug} ({show.title}) at {wishes.url}: {plan.buyers} buyers within"
        f" {plan.arrive_within:.0f} s, {show.available} tickets free, SEED={wishes.seed}."
    )
    if show.other_gateway:
        yield f"Payments go to {show.other_gateway}, not to the sandbox: buyers stop before paying."
    elif show.has_price:
        yield "They pay at the sandbox. What they buy stays sold, and each buyer is mailed at rush.invalid."
    yield f"It ends after {wishes.duration} s at most, or with Ctrl-C, and gives back what is held."
    yield from about_limits(show, plan)


def about_limits(show: Show, plan: Plan) -> Iterator[str]:
    """Whether the limits of the instance would be what is measured."""
    if plan.keys and len(plan.keys) < plan.buyers:
        yield (
            f"{plan.buyers} buyers share {len(plan.keys)} keys, and one account may have {show.most_tickets}"
            " tickets of this event: limit_exceeded will refuse the others."
        )
    if plan.own_addresses:
        yield "Each buyer comes from an address of their own, so that limits per address do not matter."
        return
    callers = len(plan.keys) or 1
    needs = {"reads": READS * plan.buyers, "writes": WRITES * plan.buyers}
    for kind, quota in show.quotas.items():
        if needs.get(kind, 0) > quota * callers:
            yield (
                f"CAUTION: this instance allows {quota * callers} {kind} a minute from here, and"
                f" {plan.buyers} buyers need about {needs[kind]}: the result will be a measure of its"
                f" limiter. Start it with API_{kind.upper()}_PER_MINUTE={2 * needs[kind]}, or pass an"
                " account's API key for each buyer in KEYS=file, one a line."
            )


async def rehearse(wishes: Wishes) -> Report:
    """Look, announce, play, settle. Raises `CannotRehearse` or `NoAnswer` before anybody has come."""
    plan = Plan(
        buyers=wishes.buyers,
        duration=wishes.duration,
        keys=wishes.keys,
        own_addresses=has_own_addresses(wishes.url) and not wishes.keys,
    )
    headers = {"Authorization": f"Token {wishes.keys[0]}"} if wishes.keys else {}
    with contextlib.closing(Client(wishes.url, headers=headers)) as client:
        show = await survey(client, slug=wishes.event, buyers=wishes.buyers)
    for paragraph in announcement(wishes, show, plan):
        say(paragraph)
    record = Record(idle=show.idle)
    stage = Stage(origin=wishes.url, show=show, record=record, run=secrets.token_hex(4), seed=wishes.seed)
    progress = Progress(plan.buyers)
    crowd = Crowd(stage, plan, tick=progress)
    await crowd.rush(stopped_by_signals())
    progress.close()
    return summarise(
        record,
        url=wishes.url,
        event=show.slug,
        buyers=wishes.buyers,
        seed=wishes.seed,
        left_held=crowd.left_held,
        other_gateway=show.other_gateway,
    )


def stopped_by_signals() -> asyncio.Event:
    """Set by Ctrl-C or `kill`: the rehearsal ends, and gives back what it holds."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def say(paragraph: str) -> None:
    print(textwrap.fill(paragraph, WIDTH), flush=True)


def main() -> int:
    """The exit code: 1 where something was oversold, or a request failed without a problem document."""
    wishes = read_wishes(dict(os.environ))
    if not is_this_machine(wishes.url) and not wishes.is_sure:
        raise CannotRehearse(
            f"{wishes.url} is not this machine. {wishes.buyers} buyers would hold its tickets, buy some with"
            " the sandbox's cards, and be mailed. If it is yours, and meant, say YES=1."
        )
    # A buyer is a connection.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    report = asyncio.run(rehearse(wishes))
    print()
    print("\n".join(report.lines()))
    if wishes.json_file:
        Path(wishes.json_file).write_text(json.dumps(report.as_json(), indent=2) + "\n")
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # It is a TextIOWrapper.
    try:
        sys.exit(main())
    except (CannotRehearse, NoAnswer) as reason:
        sys.exit(textwrap.fill(f"rush: {reason}", WIDTH))
