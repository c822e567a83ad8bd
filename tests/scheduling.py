"""A scheduler for so long in virtual time, with looks that last as long as told, and an observer that counts."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import pytest

from monitor.core.judgement import Judgement
from monitor.core.model import Check
from monitor.runner import Order
from monitor.scheduler import Scheduler
from tests.core.builders import Still
from tests.virtual_time import VirtualClock, run


@dataclass(frozen=True, slots=True)
class Hosted(Still):
    at: str = "one"

    @property
    def host(self) -> str | None:
        return self.at


@dataclass
class Taken:
    """Takes looks: notes when each began, lasts as long as told, judges as told."""

    lasts: float = 0.0
    judge: Callable[[Order, int], Judgement] = lambda _order, _number: Judgement()
    began: list[tuple[float, str, bool]] = field(default_factory=list)
    under_way: int = 0
    most: int = 0
    waits: Callable[[Order], Awaitable[None]] | None = None
    passed_over: list[str] = field(default_factory=list)

    async def __call__(self, order: Order) -> Callable[[], Judgement]:
        now = asyncio.get_running_loop().time()
        self.began.append((now, order.check.id, order.scheduled))
        number = len(self.began)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if self.waits is not None:
                await self.waits(order)
            elif self.lasts:
                await asyncio.sleep(self.lasts)
        finally:
            self.under_way -= 1
        return partial(self.judge, order, number)

    def pass_over(self, order: Order) -> Judgement:
        self.passed_over.append(order.check.id)
        return Judgement()

    def at(self, name: str = "home", *, scheduled: bool = True) -> list[float]:
        return [at for at, check, planned in self.began if check == name and planned is scheduled]


@dataclass
class Notes:
    """An observer that counts."""

    lateness: list[float] = field(default_factory=list)
    skipped: int = 0
    dropped: int = 0

    def late(self, seconds: float) -> None:
        self.lateness.append(seconds)

    def missed(self, beats: int) -> None:
        self.skipped += beats

    def in_flight(self, looks: int) -> None:
        assert looks > 0

    def extra_dropped(self) -> None:
        self.dropped += 1


def watch(
    checks: Iterable[Check], taken: Taken, seconds: float, *, limit: int = 500, limit_per_host: int = 8
) -> Notes:
    notes = Notes()

    async def main() -> None:
        scheduler = Scheduler(
            checks,
            taken,
            taken.pass_over,
            lambda _name: 2.0,
            VirtualClock(),
            limit=limit,
            limit_per_host=limit_per_host,
            observer=notes,
        )
        running = asyncio.create_task(scheduler.run())
        await asyncio.wait((running,), timeout=seconds)
        if running.done():
            await running
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert taken.under_way == 0

    run(main())
    return notes


def gaps(times: list[float]) -> list[float]:
    return [round(after - before, 6) for before, after in itertools.pairwise(times)]
