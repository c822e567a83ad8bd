"""Maintenance that people announce: what they ask for, checked, decided by the world, and in the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from monitor.config.units import parse_duration
from monitor.core.calming import end_maintenance, maintain
from monitor.core.identity import maintenance_id
from monitor.core.maintenance import LONGEST_AD_HOC, Span, Window, find
from monitor.core.world import World
from monitor.pipeline import Pipeline

MOST_WINDOWS = 200
"""That are announced by hand at one time."""
MOST_NAMES = 100
LONGEST_WHY = 200
PATIENCE = 2.0
"""Seconds that an answer waits for the journal; what is not in it by then is in force all the same."""
_KEYS = {"what", "for", "until", "why"}


class Announcer:
    """What the API hands over. Texts of `ValueError` are for whoever asked, and repeat nothing of what was sent."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def begin(self, asked: Mapping[str, Any], by: str) -> Window:
        """`asked`: ``what`` (names), ``for`` or ``until``, ``why``. Raises `ValueError`."""
        made: list[Window] = []
        self._pipeline.decide(partial(self._maintain, asked=asked, by=by, made=made))
        await self._pipeline.committed(PATIENCE)
        return made[0]

    async def end(self, identity: str) -> bool:
        """Whether there was such a window, announced by hand."""
        known: list[bool] = []

        def end(world: World, now: Any) -> Any:
            known.append(identity in world.calm.ad_hoc)
            return end_maintenance(world, identity, now)

        self._pipeline.decide(end)
        await self._pipeline.committed(PATIENCE)
        return known[0]

    @staticmethod
    def _maintain(world: World, now: Any, *, asked: Mapping[str, Any], by: str, made: list[Window]) -> Any:
        window = window_of(asked, by, world, now.at)
        made.append(window)
        return maintain(world, window, now)
