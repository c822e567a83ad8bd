"""A real agent that is killed at random moments, while targets go bad and recover; a receiver keeps the ledger."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from random import Random

from tests.end_to_end.ledger import all_sent, check_journal, check_ledger
from tests.end_to_end.rig import Agent, Receiver, Target, agent, answering, listening, until, until_state
from tests.end_to_end.stage import CALM, page, write_checks

LIMITS = "  limits: {looks_per_host: 100}\n"
CHECK_EVERY = 20
"""Moments between two readings of the ledger on the way; at the end it is read in any case."""
START, RUN, STOP = 1.5, 3.0, 0.6
"""Seconds within which a moment lies: of the start, of the time after it, and of a stop."""


class While(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class MomentOfDeath:
    """`after` counts from the start of the process, from the moment it watches, or from SIGTERM."""

    during: While
    after: float

    @classmethod
    def draw(cls, random: Random) -> MomentOfDeath:
        during = random.choices(list(While), (1, 3, 1))[0]
        longest = {While.STARTING: START, While.RUNNING: RUN, While.STOPPING: STOP}[during]
        return cls(during, random.uniform(0.0, longest))

    def __str__(self) -> str:
        return f"{self.after:.3f} s while {self.during}"


@dataclass
class Soak:
    """The outside of the agent: it does not go back when the agent dies."""

    folder: Path
    random: Random
    receiver: Receiver
    targets: list[Target]
    tell: Callable[[str], None]
    deaths: dict[While, int] = field(default_factory=lambda: dict.fromkeys(While, 0))

    @property
    def file(self) -> Path:
        checks = (page(f"page {number}", target.url) for number, target in enumerate(self.targets))
        return write_checks(self.folder, self.receiver, *checks, agent=LIMITS, pace=CALM)

    async def die(self, moment: MomentOfDeath) -> None:
        """One life, up to its moment. The targets and the receiver turn meanwhile."""
        with agent(self.folder, "run", self.file) as running:
            turning = asyncio.create_task(self._turn())
            if moment.during is not While.STARTING:
                await running.started()
            if moment.during is While.STOPPING:
                await asyncio.sleep(self.random.uniform(0.0, RUN))
                running.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(moment.after)
            self.deaths[moment.during] += 1
            await running.kill()
            turning.cancel()

    async def _turn(self) -> None:
        """Some targets go bad, some recover; some webhooks are refused, some are taken but never answered."""
        while True:
            self.random.choice(self.targets).status = self.random.choice((200, 500))
            self.receiver.refuses = 503 if self.random.random() < 0.1 else None
            if self.random.random() < 0.3:
                self.receiver.answering.clear()
            else:
                self.receiver.answering.set()
            await asyncio.sleep(self.random.uniform(0.05, 0.5))

    async def end(self) -> None:
        """All is well again, and the last life tells the rest."""
        self.receiver.refuses = None
        self.receiver.answering.set()
        for target in self.targets:
            target.status = 200
        with agent(self.folder, "run", self.file) as running:
            await self._settled(running)
            assert await running.stop() == 0
        check_ledger(self.receiver)
        check_journal(self.folder / "state", {webhook.id for webhook in self.receiver.told})

    async def _settled(self, running: Agent) -> None:
        url = await running.started()
        for number in range(len(self.targets)):
            await until_state(url, f"page {number}", "up")
        await until(lambda: self.receiver.open_incidents == 0, "the end of all incidents")
        await all_sent(self.folder / "state")


@asynccontextmanager
async def stage(folder: Path, seed: int, targets: int, tell: Callable[[str], None]) -> AsyncIterator[Soak]:
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(listening(Receiver()))
        pages = [await stack.enter_async_context(answering(Target())) for _ in range(targets)]
        yield Soak(folder, Random(seed), receiver, pages, tell)


async def kills(folder: Path, seed: int, moments: int, *, targets: int = 8, tell: Callable[[str], None]) -> Soak:
    """Raises `AssertionError` when something was lost, doubled, out of order, or never closed."""
    async with stage(folder, seed, targets, tell) as soak:
        draws = Random(seed + 1)
        for number in range(1, moments + 1):
            moment = MomentOfDeath.draw(draws)
            await soak.die(moment)
            if number % CHECK_EVERY == 0:
                check_ledger(soak.receiver, ended=False)
            told = len({webhook.id for webhook in soak.receiver.webhooks})
            tell(f"{number}/{moments}: killed after {moment}; {told} events told")
        await soak.end()
        return soak
