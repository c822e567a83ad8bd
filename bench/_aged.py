"""An agent in a process of its own that grows old in no time: `python -m bench._aged FILE`.

The real `Agent` with all its parts. Prints "ready" when it has started. For each line that it reads it goes through
an hour and five minutes of made-up time: looks at every check at its interval, each as its last real look was but for
its figures, which vary by 12 % (log-normal). They are rounded, judged, counted and marked to be saved like those
that the agent takes; they are not recorded, as the history keeps none in memory for longer than 15 s. Then it
prints "old".
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import uvloop

from bench._agent import started
from monitor import heap
from monitor.app import Agent
from monitor.core.judge import Judge
from monitor.core.model import Look, Moment
from monitor.core.quantise import quantised

AGE = 3900.0
"""Seconds: a baseline speaks after an hour, and has then entered an hour of the week."""
NOISE = 0.12
SLICE = 50
"""Looks between two turns of the loop."""


async def age(file: Path) -> None:
    async with started(file) as agent:
        print('"ready"', flush=True)
        while await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
            await _grow_old(agent)
            await agent._assembly.parts.pipeline.writer.settle()  # noqa: SLF001  (as below)
            print('"old"', flush=True)


async def _grow_old(agent: Agent) -> None:
    parts = agent._assembly.parts  # noqa: SLF001  (what a look goes through)
    for number, (judge, look) in enumerate(_looks(agent)):
        agent.world.observe(quantised(look, judge.check))
        parts.telemetry.look(look, judge)
        parts.pipeline.writer.touch(judge.check.id)
        judge.rest()
        if number % SLICE == 0:
            await asyncio.sleep(0)


def _looks(agent: Agent) -> Iterator[tuple[Judge, Look]]:
    """One look of each check, then the next of each. Nothing is kept meanwhile: it would be in the figure."""
    random = Random(1)
    noise = [random.lognormvariate(0.0, NOISE) for _ in range(997)]
    judges = list(agent.world.judges.values())
    every = min(judge.check.every for judge in judges)
    for turn in range(1, int(AGE / every.total_seconds()) + 1):
        for place, judge in enumerate(judges):
            if (last := judge.last) is not None:
                before, now = (noise[(place + 31 * number) % len(noise)] for number in (turn - 1, turn))
                yield judge, _next(last, every, now / before if turn > 1 else now)


def _next(last: Look, every: timedelta, by: float) -> Look:
    seen = last.observation
    observation = replace(
        seen,
        measurements={name: value * by for name, value in seen.measurements.items()},
        phases={name: value * by for name, value in seen.phases.items()},
        evidence=dict(seen.evidence),
    )
    return replace(last, observation=observation, began=_later(last.began, every), ended=_later(last.ended, every))


def _later(moment: Moment, by: timedelta) -> Moment:
    return Moment(moment.at + by, moment.tick + by.total_seconds())


if __name__ == "__main__":
    heap.keep_small()
    uvloop.run(age(Path(sys.argv[1])))
