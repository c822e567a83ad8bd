"""For tests of the probe `queue`: a check of one back end, a clock to be set, and looks until something is so."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from probes.contract import Context, Observation, Secret
from probes.queue import Queue
from tests.probes.judged import Judged, look
from tests.servers.redis import Redis


class Clock:
    """The agent's wall clock, which goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def queue_of(server: Redis, backend: str, *, clock: Callable[[], float] = time.time, **keys: Any) -> Queue:
    return Queue(backend=backend, url=Secret(server.url()), _clock=clock, **keys)


async def until(
    probe: Queue, context: Context, condition: Callable[[Observation], object], patience: float = 20.0
) -> Observation:
    """Look until an observation is as it should be."""
    end = time.monotonic() + patience
    while True:
        seen = await look(probe, context)
        if condition(seen):
            return seen
        assert time.monotonic() < end, seen


async def until_state(judged: Judged, context: Context, state: str, at: float, patience: float = 20.0) -> float:
    """Look until the check is in `state`, each look a second of the judge's time later; the last of those seconds."""
    end = time.monotonic() + patience
    while judged.state != state:
        at += 1
        seen = await judged.see(context, at)
        assert time.monotonic() < end, (judged.state, judged.because, seen)
    return at
