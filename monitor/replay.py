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

from monitor.core import calming, deploys, handling
from monitor.core.history import Sample
from monitor.core.lived import Lived
from monitor.core.model import Change, Check, Journal, Look, Moment, Transition
from monitor.core.plan import Plan
from monitor.core.sight import ailments_of
from monitor.core.snapshot import UNREADABLE
from monitor.core.succession import succeed
from monitor.core.world import World
from probes.contract import Observation

SAME_CLOCKS = 5.0
"""Seconds by which the two clocks may drift apart between two looks of one agent."""
ANOTHER_BOOT = 60.0
"""Seconds by which ticks go back where the machine was started anew: looks that overlap are nearer to one another."""

ORIGIN = "replay"

_BY_PEOPLE = {calming.KIND: calming.again, handling.KIND: handling.again, deploys.KIND: deploys.again}
"""What does again what people did, by the kind of the transition that has kept it."""


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
    for _, look in heapq.merge(*map(_steadily, looks), key=lambda item: item[0]):
        yield look


def _steadily(looks: Iterator[Look]) -> Iterator[tuple[datetime, Look]]:
    """With the time at which each ended by a clock that nobody sets back: by the wall clock, looks from after that
    would come before some that other checks had had already."""
    before: Moment | None = None
    lead = timedelta()
    for look in looks:
        now = look.ended
        if before is not None and abs(step := _step(before, now)) > SAME_CLOCKS:
            another_boot = now.tick < before.tick - ANOTHER_BOOT
            lead = timedelta() if another_boot else max(lead - timedelta(seconds=step), timedelta())
        before = now
        yield now.at + lead, look


def _step(before: Moment, now: Moment) -> float:
    """Seconds by which the wall clock was set in between."""
    return (now.at - before.at).total_seconds() - (now.tick - before.tick)


def _after(now: Moment, at: datetime) -> Moment:
    return Moment(at, now.tick + (at - now.at).total_seconds())


class Replay:
    """A world that lives through the past again, under what was in force at each time. `ends` are the times at which
    an agent ended that another one followed: there the world is made anew out of what the journal would have had.
    `sights` are the journal's transitions of the vantage, of maintenance and of incidents: what the agent knew of
    itself, and what people announced and did, is in no look."""

    def __init__(self, lived: Lived, ends: Iterable[datetime] = (), sights: Iterable[Transition] = ()) -> None:
        self.world: World | None = None
        self._lived = lived
        self._number = 0
        """Of the plan in force."""
        self._ends = sorted(ends, reverse=True)
        news: list[tuple[datetime, Transition | int]] = [(item.at, item) for item in sights]
        news += [(at, number) for number, at in enumerate(lived.since) if number]
        self._news = sorted(news, key=lambda item: item[0])[::-1]
        """What no look tells: transitions, and the numbers of plans."""
        self._now: Moment | None = None
        """The end of the last look: its wall time, and the tick of the replay."""
        self._shift = 0.0
        """What is added to recorded ticks: they begin anew with each boot of the machine."""
        self._notes: dict[str, Any] = {}

    @property
    def _plan(self) -> Plan:
        return self._lived.plans[self._number]

    def take(self, look: Look) -> Iterator[Happened]:
        """What time brought about before the look ended, and what the look itself came to."""
        number = self._lived.number(look.check, look.ended)
        ended = self._restarted(look)
        if ended is not None and self._now is not None and ended > self._now.at:
            yield from self._see(_after(self._now, ended))
        self._align(look, restarted=ended is not None)
        look = replace(look, began=self._shifted(look.began), ended=self._shifted(look.ended))
        if self.world is None or ended is not None:
            self._number = max(number, self._number)
            self.world = self._made_anew(self.world, look.began)
            yield from self._told(look.began, self.world.start(look.began))
        yield from self._see(look.ended)
        yield from self._elapse(look.ended)
        yield from self._adopt(number, _after(look.ended, self._lived.since[number]))
        self._now = look.ended
        if look.check in self.world.judges:
            yield from self._told(look.ended, self.world.observe(look).change)

    def finish(self, until: datetime) -> Iterator[Happened]:
        """What time brings about after the last look."""
        if self._now is not None and until > self._now.at:
            end = _after(self._now, until)
            yield from self._see(end)
            yield from self._elapse(end)

    def _restarted(self, look: Look) -> datetime | None:
        """When the agent ended that has taken the look before, where it was another one."""
        ended: datetime | None = None
        while self._ends and self._ends[-1] < look.began.at:
            ended = self._ends.pop()
        return ended if self.world is not None else None

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
        return Moment(moment.micros, moment.tick + self._shift) if self._shift else moment

    def _see(self, now: Moment) -> Iterator[Happened]:
        """What had become of the agent itself by then, and what had been put into force."""
        while self._news and self._news[-1][0] <= now.at:
            at, news = self._news.pop()
            then = Moment(at, now.tick - (now.at - at).total_seconds())
            yield from self._elapse(then)
            if isinstance(news, int):
                yield from self._adopt(news, then)
            else:
                yield from self._sighted(news, then)

    def _sighted(self, sight: Transition, then: Moment) -> Iterator[Happened]:
        again = _BY_PEOPLE.get(sight.kind)
        if self.world is not None and again is not None:
            with suppress(*UNREADABLE):  # too old: what it was is not kept
                yield from self._told(then, again(self.world, sight, then))
        elif self.world is not None and self._now is not None:
            yield from self._told(then, self.world.sighted(ailments_of(sight, then.tick), then))

    def _adopt(self, number: int, then: Moment) -> Iterator[Happened]:
        """A reload, unless that plan is in force already."""
        if self.world is not None and number > self._number:
            self._number = number
            self.world, change = succeed(self.world, self._plan, then)
            yield from self._told(then, change)

    def _elapse(self, now: Moment) -> Iterator[Happened]:
        world = self.world
        while world is not None and (due := world.next_due) is not None and due <= now.tick:
            then = Moment(now.at - timedelta(seconds=now.tick - due), due)
            yield from self._told(then, world.elapse(then))

    def _made_anew(self, world: World | None, now: Moment) -> World:
        """As an agent begins: with what the journal would have of the one before."""
        if world is None:
            return World(self._plan, Journal(ORIGIN, 1), now)
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
