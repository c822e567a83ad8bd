"""Maintenance that people announce: what they ask for, checked, decided by the world, and in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from monitor.config.units import parse_duration
from monitor.core.calming import end_maintenance, maintain
from monitor.core.identity import maintenance_id
from monitor.core.maintenance import LONGEST_AD_HOC, Span, Window, find
from monitor.core.model import Change, Moment
from monitor.core.wording import seconds
from monitor.core.world import World
from monitor.pipeline import Pipeline

MOST_WINDOWS = 200
"""That are announced by hand at one time."""
MOST_NAMES, LONGEST_NAME = 100, 300
LONGEST_WHY = 200
"""Characters."""
PATIENCE = 2.0
"""Seconds that an answer waits for the journal; what is not in it by then is in force all the same."""


class Announcer:
    """What the API hands over. Texts of `ValueError` are for whoever asked, and repeat nothing of what was sent."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def begin(self, asked: Mapping[str, Any], by: str) -> Window:
        """`asked`: ``what`` (names), ``for`` or ``until``, ``why``. Raises `ValueError`."""
        made: list[Window] = []

        def decide(world: World, now: Moment) -> Change | None:
            made.append(window_of(asked, by, world, now))
            return maintain(world, made[0], now)

        self._pipeline.decide(decide)
        await self._pipeline.writer.committed(PATIENCE)
        return made[0]

    async def end(self, identity: str) -> bool:
        """Whether there was such a window, announced by hand."""
        known: list[bool] = []

        def decide(world: World, now: Moment) -> Change | None:
            known.append(identity in world.calm.ad_hoc)
            return end_maintenance(world, identity, now)

        self._pipeline.decide(decide)
        await self._pipeline.writer.committed(PATIENCE)
        return known[0]


def window_of(asked: Mapping[str, Any], by: str, world: World, now: Moment) -> Window:
    """From now on. Raises `ValueError`."""
    if unknown := asked.keys() - {"what", "for", "until", "why"}:
        raise ValueError(f"{len(unknown)} unknown key(s): what, for, until and why are known")
    if len(world.calm.ad_hoc) >= MOST_WINDOWS:
        raise ValueError(f"there are {MOST_WINDOWS} windows already: end some, or write one into the file")
    why = asked.get("why") or ""
    if not isinstance(why, str) or len(why) > LONGEST_WHY or (why and not why.isprintable()):
        raise ValueError(f"why must be a text of at most {LONGEST_WHY} characters, on one line")
    scope = find(_names(asked.get("what")), world.plan)
    begin = now.at.timestamp()
    end = _end(asked, begin)
    if not 0 < end - begin <= LONGEST_AD_HOC:
        longest = seconds(LONGEST_AD_HOC)
        raise ValueError(f"it must end after now, and within {longest}: what is longer belongs in the file")
    name = maintenance_id(world.origin, begin, scope.text, len(world.calm.ad_hoc))
    return Window(name, scope, Span(begin, end), why=why, by=by)


def _names(what: Any) -> list[str]:
    names = [what] if isinstance(what, str) else what
    fine = isinstance(names, list) and 0 < len(names) <= MOST_NAMES
    if not fine or not all(isinstance(name, str) and 0 < len(name) <= LONGEST_NAME for name in names):
        raise ValueError(f"what must be the name of a check or service, a label, or a list of up to {MOST_NAMES}")
    return names


def _end(asked: Mapping[str, Any], begin: float) -> float:
    lasts, until = asked.get("for"), asked.get("until")
    if (lasts is None) is (until is None):
        raise ValueError("say when it ends: either for, as in 2h, or until, as in 2026-12-01T22:00:00Z")
    if lasts is not None:
        try:
            return begin + parse_duration(lasts if isinstance(lasts, str) else "").total_seconds()
        except ValueError:
            raise ValueError("for must be a duration with a unit, such as 30m or 2h") from None
    try:
        at = datetime.fromisoformat(until if isinstance(until, str) else "")
    except ValueError:
        at = datetime(1970, 1, 1)  # noqa: DTZ001  (refused below)
    if at.tzinfo is None:
        raise ValueError("until must be a time with a zone, such as 2026-12-01T22:00:00Z")
    return at.timestamp()  # in its own zone: the first and the last day of all have no UTC
