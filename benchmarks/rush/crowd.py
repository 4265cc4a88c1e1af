"""The rush itself: buyers come, every second is noted, and in the end nothing stays held."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median
from typing import Literal

from benchmarks.client import NoAnswer
from benchmarks.rush.arrivals import arrival_times
from benchmarks.rush.buyer import Buyer, Leaves, Stage
from benchmarks.rush.record import Record

# How late a task of 50 ms comes is how far the generator is behind.
LAG_PROBE = 0.05
SETTLE_SECONDS = 60.0
SETTLERS = 16


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many come, within how many seconds, and when the rehearsal ends at the latest."""

    buyers: int
    arrive_within: float = 60.0
    duration: float = 300.0
    keys: Sequence[str] = ()
    # Each buyer comes from an address of their own, as outside; on this machine alone.
    own_addresses: bool = False


class Crowd:
    """The buyers of one rehearsal. `tick` is called every second, with the record as it is then."""

    def __init__(self, stage: Stage, plan: Plan, *, tick: Callable[[Record], None] = lambda _: None) -> None:
        self.stage = stage
        self.plan = plan
        self.record = stage.record
        self.tick = tick
        self.buyers: list[Buyer] = []
        self.left_held = 0

    async def rush(self, stop: asyncio.Event) -> None:
        """Play until the last has left, the time is over, or `stop` is set; then give everything back."""
        self.record.started = time.monotonic()
        beside = asyncio.create_task(self._heartbeat())
        playing = asyncio.create_task(self._play())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait(
                {playing, stopping}, timeout=self.plan.duration, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            self.record.ended = _why(playing, stopping)
            for task in (playing, stopping, beside):
                await _end(task)
        self.record.lasted = self.record.now()
        await self._settle()

    async def _play(self) -> None:
        times = arrival_times(self.plan.buyers, Random(self.stage.seed), seconds=self.plan.arrive_within)
        async with asyncio.TaskGroup() as group:
            for number, at in enumerate(times):
                await asyncio.sleep(max(0.0, at - self.record.now()))
                buyer = self._next(number)
                self.buyers.append(buyer)
                group.create_task(buyer.play())

    def _next(self, number: int) -> Buyer:
        source = own_address(number) if self.plan.own_addresses else ""
        keys = self.plan.keys
        return Buyer(self.stage, number, source=source, key=keys[number % len(keys)] if keys else "")

    async def _heartbeat(self) -> None:
        """Close every second with how late and how busy this process was in it."""
        wall, cpu = time.monotonic(), time.process_time()
        lags: list[float] = []
        while True:
            before = time.monotonic()
            await asyncio.sleep(LAG_PROBE)
            now = time.monotonic()
            lags.append(max(0.0, now - before - LAG_PROBE))
            if now - wall >= 1:
                busy = (time.process_time() - cpu) / (now - wall)
                self.record.close_second(lag=median(lags), busy=busy)
                self.tick(self.record)
                wall, cpu, lags = now, time.process_time(), []

    # --- Afterwards ---------------------------------------------------------------------------

    async def _settle(self) -> None:
        """Wait for what was paid, give back what was not, and hang up."""
        open_ones = [buyer for buyer in self.buyers if buyer.state in {"held", "paid"}]
        turns = asyncio.Semaphore(SETTLERS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS), asyncio.TaskGroup() as group:
                for buyer in open_ones:
                    group.create_task(self._settle_one(buyer, turns))
        for buyer in self.buyers:
            buyer.client.close()
        self.left_held = sum(len(buyer.tickets) for buyer in open_ones if buyer.state in {"held", "paid"})

    async def _settle_one(self, buyer: Buyer, turns: asyncio.Semaphore) -> None:
        buyer.deadline = self.record.now() + SETTLE_SECONDS
        with contextlib.suppress(Leaves, NoAnswer):
            if buyer.state == "held":
                async with turns:
                    await buyer.give_back()
            while buyer.state == "paid":
                async with turns:
                    await buyer.look_at_booking()
                await asyncio.sleep(1)


def _why(playing: asyncio.Task[None], stopping: asyncio.Task[Literal[True]]) -> str:
    """What ended a rush, in words."""
    if playing.done():
        return "when the last had left"
    return "because it was stopped" if stopping.done() else "when its time was over"


async def _end(task: asyncio.Task[object]) -> None:
    """Cancel a task, and wait until it has ended. Raises what the task itself raised."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def own_address(number: int) -> str:
    """An address of this machine for one buyer alone, of the sixteen million that loopback has."""
    return f"127.{64 + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}"
