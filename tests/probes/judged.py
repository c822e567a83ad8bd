"""A probe's real looks, judged by its own thresholds at seconds that the test names: from a look to a state."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from monitor.config.conditions import parse_condition
from monitor.core.condition import Level
from monitor.core.judge import Judge
from monitor.core.model import Confirm, Look, Recover
from probes._wire.pulse import BEAT
from probes.contract import Context, Observation, Probe, Reason
from tests.core.builders import check, moment

PATIENCE = 20
"""Looks that a busy machine may void, one after another."""


async def look(probe: Probe, context: Context) -> Observation:
    """A look that was not late, as far as a busy machine lets it: of a void one nothing was read. Then a rest until
    the loop's pulse has stopped, as a test may block the loop between two looks."""
    for _ in range(PATIENCE):
        seen = await probe.look(context)
        await asyncio.sleep(BEAT * 1.5)
        if seen.reason is not Reason.LATE:
            break
    return seen


async def prompt_look(probe: Probe, context: Context) -> Observation:
    """As `look`, for tests that never block their loop: a rest only behind a void look."""
    for _ in range(PATIENCE):
        seen = await probe.look(context)
        if seen.reason is not Reason.LATE:
            break
        await asyncio.sleep(BEAT * 1.5)
    return seen


class Void(Exception):
    """A look was late, as a busy machine lets it be; whoever counts what a server was asked begins again."""


Test = Callable[..., Awaitable[None]]


def unless_void(test: Test) -> Test:
    """The test from its beginning, until none of its looks is void: `sure_look` tells of one."""

    @functools.wraps(test)
    async def again(*arguments: Any, **fixtures: Any) -> None:
        for _ in range(PATIENCE):
            with suppress(Void):
                return await test(*arguments, **fixtures)
            await asyncio.sleep(BEAT * 1.5)
        raise AssertionError("the machine is too busy")

    return again


async def sure_look(probe: Probe, context: Context) -> Observation:
    """A look that was not late. Raises `Void`."""
    seen = await probe.look(context)
    if seen.reason is Reason.LATE:
        raise Void
    return seen


class Judged:
    """A check of `probe` with its default thresholds, and those given by level."""

    def __init__(self, probe: Probe, *, degraded: tuple[str, ...] = (), down: tuple[str, ...] = ()) -> None:
        texts = [(Level.DEGRADED, text) for text in (*probe.thresholds.get("degraded", ()), *degraded)]
        texts += [(Level.DOWN, text) for text in (*probe.thresholds.get("down", ()), *down)]
        conditions = tuple(parse_condition(text, level, probe.measured) for level, text in texts)
        made = check(
            "home",
            *conditions,
            probe=probe,
            confirm=Confirm(looks=3, span=timedelta(seconds=2)),
            recover=Recover(looks=3, every=timedelta(seconds=1)),
        )
        self.judge = Judge(made, None, moment(0))

    async def see(self, context: Context, at: float) -> Observation:
        """A look, taken now and judged as if at that second."""
        seen = await look(self.judge.check.probe, context)
        self.judge.observe(Look("home", seen, moment(at), moment(at + 0.1), limit=context.timeout))
        return seen

    @property
    def state(self) -> str:
        return self.judge.state.value

    @property
    def because(self) -> str:
        """The condition or the reason of the present verdict."""
        verdict = self.judge.verdict
        return verdict.condition or (verdict.reason.value if verdict.reason else "")
