"""Maintenance and silences that people announce: what they ask for, checked, decided by the world, and in the
journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.asked import line_of, must_know
from monitor.config.routes import closed_lookups, one_of, parse_when
from monitor.config.suggest import Vocabulary
from monitor.config.units import parse_end
from monitor.core.calming import end_maintenance, maintain
from monitor.core.identity import maintenance_id, silence_id
from monitor.core.maintenance import LONGEST_AD_HOC, Span, Window, called, find
from monitor.core.model import Change, Moment
from monitor.core.silences import Silence, end_silence, silence
from monitor.core.wording import seconds
from monitor.core.world import World
from monitor.deciding import decided
from monitor.pipeline import Pipeline

MOST_WINDOWS, MOST_SILENCES = 200, 200
"""That are announced by hand at one time."""
MOST_NAMES = 100
"""Of one window."""
LONGEST_NAME, LONGEST_WHY, LONGEST_WHEN = 300, 200, 500
"""Characters."""


class Announcer:
    """What the API hands over. Texts of `ValueError` are for whoever asked, and repeat nothing of what was sent."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def begin(self, asked: Mapping[str, Any], by: str) -> Window:
        """`asked`: ``what`` (names), ``for`` or ``until``, ``why``. Raises `ValueError`."""

        def decide(world: World, now: Moment) -> tuple[Window, Change | None]:
            window = window_of(asked, by, world, now)
            return window, maintain(world, window, now)

        return await decided(self._pipeline, decide)

    async def end(self, identity: str) -> bool:
        """Whether there was such a window, announced by hand."""

        def decide(world: World, now: Moment) -> tuple[bool, Change | None]:
            return identity in world.calm.ad_hoc, end_maintenance(world, identity, now)

        return await decided(self._pipeline, decide)


class Silencer:
    """The same for silences."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def begin(self, asked: Mapping[str, Any], by: str) -> Silence:
        """`asked`: ``when``, ``for`` or ``until``, ``why``. Raises `ValueError`."""

        def decide(world: World, now: Moment) -> tuple[Silence, Change | None]:
            made = silence_of(asked, by, world, now)
            return made, silence(world, made, now)

        return await decided(self._pipeline, decide)

    async def end(self, identity: str) -> bool:
        """Whether there was such a silence."""

        def decide(world: World, now: Moment) -> tuple[bool, Change | None]:
            return identity in world.silences.known, end_silence(world, identity, now)

        return await decided(self._pipeline, decide)


def silence_of(asked: Mapping[str, Any], by: str, world: World, now: Moment) -> Silence:
    """From now on. Raises `ValueError`."""
    must_know(asked, "when", "for", "until", "why")
    if len(world.silences.known) >= MOST_SILENCES:
        raise ValueError(f"there are {MOST_SILENCES} silences already: end some")
    text = asked.get("when")
    if not isinstance(text, str) or not 0 < len(text) <= LONGEST_WHEN or not text.isprintable():
        raise ValueError(f"when must be a text such as service = shop, of at most {LONGEST_WHEN} characters")
    plan = world.plan
    ids = {name: check for name, check in called(plan).items() if check is not None and name not in plan.checks}
    open_ended = {
        "service": one_of(Vocabulary("service", plan.services)),
        "check": one_of(Vocabulary("check", [*plan.checks, *ids]), ids),
    }
    when = parse_when(text, closed_lookups() | open_ended)
    why = line_of(asked, "why", LONGEST_WHY)
    begin = now.at.timestamp()
    end = parse_end(asked.get("for"), asked.get("until"), begin)
    if not 0 < end - begin <= LONGEST_AD_HOC:
        raise ValueError(
            f"it must end after now, and within {seconds(LONGEST_AD_HOC)}: a silence is no configuration"
        )
    name = silence_id(world.origin, begin, text, len(world.silences.known))
    return Silence(name, text, when, begin, end, why, by)


def window_of(asked: Mapping[str, Any], by: str, world: World, now: Moment) -> Window:
    """From now on. Raises `ValueError`."""
    must_know(asked, "what", "for", "until", "why")
    if len(world.calm.ad_hoc) >= MOST_WINDOWS:
        raise ValueError(f"there are {MOST_WINDOWS} windows already: end some, or write one into the file")
    why = line_of(asked, "why", LONGEST_WHY)
    scope = find(_names(asked.get("what")), world.plan)
    begin = now.at.timestamp()
    end = parse_end(asked.get("for"), asked.get("until"), begin)
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
