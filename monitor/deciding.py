"""What is asked from outside: the world decides it, and whoever has asked is answered once it is in the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from monitor.core.model import Change, Moment
from monitor.core.world import World
from monitor.pipeline import Pipeline

PATIENCE = 2.0
"""Seconds that an answer waits for the journal; what is not in it by then holds all the same."""

_Answer = TypeVar("_Answer")


async def decided(pipeline: Pipeline, decide: Callable[[World, Moment], tuple[_Answer, Change | None]]) -> _Answer:
    """`decide` gives the answer, and what changes. What it raises ends it: nothing has changed then."""
    answers: list[_Answer] = []

    def noted(world: World, now: Moment) -> Change | None:
        answer, change = decide(world, now)
        answers.append(answer)
        return change

    pipeline.decide(noted)
    await pipeline.writer.committed(PATIENCE)
    return answers[0]
