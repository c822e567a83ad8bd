"""The past, judged again: recorded looks through the same core as live, in the order in which they ended.

Pure: looks come in, changes come out, each with its moment. What a look's probe has told beyond figures (a detail,
evidence) is in no history, so texts may differ from what was told live; states, reasons and times do not.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from monitor.core import calming
from monitor.core.history import Sample
from monitor.core.model import Change, Check, Journal, Look, Moment, Transition
from monitor.core.plan import Plan
from monitor.core.sight import ailments_of
from monitor.core.snapshot import UNREADABLE
from monitor.core.world import World
from probes.contract import Observation

SAME_CLOCKS = 5.0
"""Seconds by which the two clocks may drift apart between two looks of one agent."""

ORIGIN = "replay"


@dataclass(frozen=True, slots=True)
class Happened:
    """What was decided, and at which moment of the past."""

    at: datetime
    change: Change


def look_of(check: Check, sample: Sample) -> Look:
    """The look, as it was judged."""
    span = timedelta(seconds=sample.took)
    limit = check.timeout.total_seconds() if sample.full else 0.0
    return Look(
        check.id,
        Observation(sample.measurements, sample.reason),
        Moment(sample.began, sample.tick),
        Moment(sample.began + span, sample.tick + sample.took),
        limit,
        sample.scheduled,
    )


def in_order(looks: Iterable[Iterator[Look]]) -> Iterator[Look]:
    """The looks of many checks as one; each check's own order is kept."""
    return heapq.merge(*looks, key=_ended)


def _ended(look: Look) -> datetime:
    return look.ended.at


class Replay:
    """A world that lives through the past again. `ends` are the times at which an agent ended that another one
    followed: there the world is made anew out of what the journal would have had. `sights` are the journal's
    transitions of the vantage and of maintenance: what the agent knew of itself, and what people announced, is in no
    look."""

    def __init__(self, plan: Plan, ends: Iterable[datetime] = (), sights: Iterable[Transition] = ()) -> None:
        self.world: World | None = None
        self._plan = plan
        self._ends = sorted(ends, reverse=True)
        self._sights = sorted(sights, key=lambda item: item.at, reverse=True)
        self._now: Moment | None = None
        """The end of the last look: its wall time, and the tick of the replay."""
        self._shift = 0.0
        """What is added to recorded ticks: they begin anew with each boot of the machine."""
        self._notes: dict[str, Any] = {}

    def take(self, look: Look) -> Iterator[Happened]:
        """What time brought about before the look ended, and what the look itself came to."""
        restarted = self._restarted(look)
        self._align(look, restarted=restarted)
        look = replace(look, began=self._shifted(look.began), ended=self._shifted(look.ended))
        if self.world is None:
            self.world = World(self._plan, Journal(ORIGIN, 1), look.began)
            yield from self._told(look.began, self.world.start(look.began))
        elif restarted:
            self.world = self._made_anew(self.world, look.began)
            yield from self._told(look.began, self.world.start(look.began))
        yield from self._see(look.ended)
        yield from self._elapse(look.ended)
        self._now = look.ended
        if look.check in self.world.judges:
            yield from self._told(look.ended, self.world.observe(look).change)

    def finish(self, until: datetime) -> Iterator[Happened]:
        """What time brings about after the last look."""
        if self._now is not None and until > self._now.at:
            end = Moment(until, self._now.tick + (until - self._now.at).total_seconds())
            yield from self._see(end)
            yield from self._elapse(end)

    def _restarted(self, look: Look) -> bool:
        """Whether another agent has taken this look than the one before."""
        began = False
        while self._ends and self._ends[-1] < look.began.at:
            self._ends.pop()
            began = True
        return began and self.world is not None

    def _align(self, look: Look, *, restarted: bool) -> None:
        """Let ticks go on by the wall clock from one agent to the next, as the live one has it."""
        if self._now is None:
            return
        recorded = look.ended.tick + self._shift
        by_wall = self._now.tick + max((look.ended.at - self._now.at).total_seconds(), 0.0)
        backwards = recorded < self._now.tick - max(SAME_CLOCKS, look.ended.tick - look.began.tick)
        if backwards or (restarted and abs(recorded - by_wall) > SAME_CLOCKS):
            self._shift += by_wall - recorded

    def _shifted(self, moment: Moment) -> Moment:
        return replace(moment, tick=moment.tick + self._shift) if self._shift else moment

    def _see(self, now: Moment) -> Iterator[Happened]:
        """What had become of the agent itself by then."""
        while self._sights and self._sights[-1].at <= now.at:
            sight = self._sights.pop()
            then = Moment(sight.at, now.tick - (now.at - sight.at).total_seconds())
            yield from self._elapse(then)
            if self.world is not None and sight.kind == calming.KIND:
                with suppress(*UNREADABLE):  # too old: what it was is not kept
                    yield from self._told(then, calming.again(self.world, sight, then))
            elif self.world is not None and self._now is not None:
                yield from self._told(then, self.world.sighted(ailments_of(sight, then.tick), then))

    def _elapse(self, now: Moment) -> Iterator[Happened]:
        world = self.world
        while world is not None and (due := world.next_due) is not None and due <= now.tick:
            then = Moment(now.at - timedelta(seconds=now.tick - due), due)
            yield from self._told(then, world.elapse(then))

    def _made_anew(self, world: World, now: Moment) -> World:
        known = world.everything(self._now or now)
        return World(
            self._plan,
            Journal(
                ORIGIN,
                1,
                {item.check: item for item in known.checks},
                {item.service: item for item in known.services},
                known.incidents,
                dict(self._notes),
            ),
            now,
        )

    def _told(self, now: Moment, change: Change | None) -> Iterator[Happened]:
        if change is None:
            return
        for note in change.notes:
            if note.value is None:
                self._notes.pop(note.name, None)
            else:
                self._notes[note.name] = note.value
        yield Happened(now.at, change)


def unrecorded(checks: Mapping[str, Check], seen: Mapping[str, frozenset[str]]) -> dict[str, list[str]]:
    """By check: the phases that its thresholds name and none of its recorded looks had. Of phases the history keeps
    those that were named when the look was taken; what was not measured then says nothing live either."""
    found: dict[str, list[str]] = {}
    for check in checks.values():
        if seen.get(check.id):  # nothing is measured where nothing answers
            named = {name for item in check.conditions for name in item.ratio_of or (item.measurement,)}
            if missing := sorted(name for name in named - seen[check.id] if name.endswith("_time")):
                found[check.id] = missing
    return found
