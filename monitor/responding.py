"""What people do about open incidents: what they ask for, checked, decided by the world, and in the journal.

Whoever takes it in (the API, a signed link, a vendor's webhook) says who did it. Texts of `ValueError` are for
whoever asked, and repeat nothing of what was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from monitor.asked import must_know
from monitor.config.units import parse_end
from monitor.core import handling
from monitor.core.calm import when
from monitor.core.handled import LONGEST_BY, LONGEST_TEXT, MOST_ACTS
from monitor.core.model import Change, Moment
from monitor.core.world import World
from monitor.deciding import decided
from monitor.pipeline import Pipeline

LONGEST_SNOOZE = 7 * 86400.0
"""Seconds: what is put off for longer is no incident but how it is."""

_Act = Callable[[World, Moment], Change | None]


class Responder:
    """Each tells whether such an incident is open, or such a drill goes on, which can be acknowledged."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def acknowledge(self, incident: str, asked: Mapping[str, Any], by: str) -> bool:
        """`asked`: ``by``, if another than `by` does it. Raises `ValueError`."""
        must_know(asked, "by")
        who = _who(asked, by)
        return await self._do(incident, lambda world, now: handling.acknowledge(world, incident, who, now))

    async def snooze(self, incident: str, asked: Mapping[str, Any], by: str) -> bool:
        """`asked`: ``for`` or ``until``, and ``by``. Raises `ValueError`."""
        must_know(asked, "for", "until", "by")
        who = _who(asked, by)

        def act(world: World, now: Moment) -> Change | None:
            _must_have_room(world, incident)
            return handling.snooze(world, incident, _until(asked, now), who, now)

        return await self._do(incident, act)

    async def note(self, incident: str, asked: Mapping[str, Any], by: str) -> bool:
        """`asked`: ``text``, and ``by``. Raises `ValueError`."""
        must_know(asked, "text", "by")
        who, text = _who(asked, by), asked.get("text")
        if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_TEXT:
            raise ValueError(f"text must be a text of at most {LONGEST_TEXT} characters")

        def act(world: World, now: Moment) -> Change | None:
            _must_have_room(world, incident)
            return handling.note(world, incident, text, who, now)

        return await self._do(incident, act)

    async def _do(self, incident: str, act: _Act) -> bool:
        def decide(world: World, now: Moment) -> tuple[bool, Change | None]:
            return incident in world.cases or incident in world.drills, act(world, now)

        return await decided(self._pipeline, decide)


def _must_have_room(world: World, incident: str) -> None:
    """Not for acknowledging: that is bounded by itself, as who has it has it, and must always be possible."""
    if world.handling.of(incident).acts >= MOST_ACTS:
        raise ValueError(
            f"{MOST_ACTS} things were done about this incident already, each of which was told to everybody: it can "
            "be acknowledged, and nothing else"
        )


def _who(asked: Mapping[str, Any], by: str) -> str:
    """``ann (ci)``: who does it, by their own word, and whose token it was."""
    name = asked.get("by") or ""
    if not isinstance(name, str) or len(name) > LONGEST_BY or (name and not name.isprintable()):
        raise ValueError(f"by must be a name of at most {LONGEST_BY} characters, on one line")
    return f"{name} ({by})" if name.strip() and name != by else by


def _until(asked: Mapping[str, Any], now: Moment) -> datetime:
    begin = now.at.timestamp()
    end = parse_end(asked.get("for"), asked.get("until"), begin)
    if not 0 < end - begin <= LONGEST_SNOOZE:
        raise ValueError("it must end after now, and within 7 d: acknowledge what takes longer")
    return when(end)
