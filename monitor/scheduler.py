"""When to look: a fixed grid for every check, and extra looks where something must be settled.

Each check has a stable place on its grid (a hash of its id), so that nothing stampedes and a restart does not move
the load. Scheduled looks of a check never overlap: a beat that finds the last look still running is skipped and
counted. Extra looks may overlap, or a target that swallows packets would be confirmed late; they have a budget of
their own at each host, or fifty checks of one dead host would keep one another from being confirmed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from monitor.clock import Clock
from monitor.core.judgement import CALM, Judgement
from monitor.core.model import Check, in_seconds
from monitor.crew import Crew
from monitor.grid import ASKED_EVERY, Slot, Turn, until_beat
from monitor.hanging import Hanging
from monitor.room import Room
from monitor.runner import Order
from monitor.timetable import Timetable
from probes.contract import Probe

FIRST_LOOKS_A_SECOND = 200.0
"""Checks are looked at for the first time at this rate, or when their grid says so if that is sooner."""

_EXTRA_IN_FLIGHT = 10
"""Extra looks of one check at a time, at most."""
_STALE_EXTRA = 1.0
"""Seconds: an extra look so late is left out. After a pause they would all come at once, and prove nothing."""


class Observer(Protocol):
    """Watches the scheduler; never takes part."""

    def late(self, seconds: float) -> None: ...

    def missed(self, beats: int) -> None: ...

    def in_flight(self, looks: int) -> None: ...

    def extra_dropped(self) -> None: ...


Taker = Callable[[Order], Awaitable[Callable[[], Judgement]]]
"""Takes a look; what it gives has it judged, once it is called, and says what should follow."""


class Scheduler:
    """Runs until it is cancelled. Everything it starts ends with it."""

    def __init__(
        self,
        checks: Iterable[Check],
        take: Taker,
        pass_over: Callable[[Order], Judgement],
        extra_timeout: Callable[[str], float],
        clock: Clock,
        *,
        limit: int,
        limit_per_host: int,
        observer: Observer,
        progress: Callable[[], None] = lambda: None,
        released: Callable[[Probe], None] = lambda _: None,
        soft_deadline: Callable[[str], float | None] = lambda _: None,
        overdue: Callable[[str], Judgement | None] = lambda _: None,
    ) -> None:
        """`pass_over` is told of each look that found no room for a whole interval; `extra_timeout` tells the limit
        (s) of an extra look at a check, by its id; `progress` is called at each real pass of the loop; `released` is
        told of each probe that a reload has replaced, once no look uses it any more. `overdue` is told of each
        scheduled look that is still under way so many seconds after its begin as `soft_deadline` has for its check,
        and says what to do meanwhile."""
        self._take = take
        self._taken: list[tuple[Turn, Callable[[], Judgement]]] = []
        """The looks that have ended in this turn of the loop."""
        self._pass_over = pass_over
        self._extra_timeout = extra_timeout
        self._clock = clock
        self._observer = observer
        self._released = released
        self._soft_deadline = soft_deadline
        self._overdue = overdue
        self._checks = {check.id: check for check in checks}
        """Those to begin with."""
        self._slots: dict[str, Slot] = {}
        self._scheduled: Room[Turn] = Room(limit, limit_per_host, lambda turn: turn.wanted)
        self._extras: Room[Turn] = Room(limit, limit_per_host, lambda turn: turn.wanted)
        self._hanging = Hanging(self._find_overdue)
        self._timetable = Timetable(
            clock, self._start, progress=progress, beside=self._hanging.find, broken=self._break
        )
        self._begun = self._ending = False
        self._first_at = 0.0
        """The tick from which on the next new check may be looked at for the first time."""

    @property
    def in_flight(self) -> int:
        return self._scheduled.taken + self._extras.taken

    def ask(self, check: str) -> None:
        """Look at a check right now, as there is news of it; soon, if it has just been looked at because of that."""
        slot, now = self._slots.get(check), self._clock.now().tick
        if slot is None or slot.asked > now:
            return  # not begun yet: its first look will see it; or a look is on its way
        slot.asked = max(now, slot.asked + ASKED_EVERY)
        slot.suspect = slot.suspect if slot.pace is not None else now
        self._plan_extra(slot, slot.asked)

    def follow(self, check: str, judgement: Judgement) -> None:
        """A look at another check has told something of this one."""
        if (slot := self._slots.get(check)) is not None:
            self._follow(slot, judgement)

    async def run(self) -> None:
        """Look for ever. An error that is not a probe's own ends everything, loudly."""
        self._begun = True
        self._loop = asyncio.get_running_loop()
        self._broken: asyncio.Future[None] = self._loop.create_future()
        async with asyncio.TaskGroup() as looks:
            self._crew = Crew(self._look, looks)
            self._enter(self._checks.values())
            self._checks.clear()
            try:
                self._timetable.begin()
                await self._broken
            finally:
                self._ending = True
                self._timetable.end()

    def adopt(self, former: Iterable[str], checks: Iterable[Check]) -> None:
        """Look at `checks` from now on, in the place of those with the `former` ids. What is looked at as before
        keeps its place and its looks under way; what is new or looked at otherwise is looked at soon; what is gone is
        not looked at again."""
        if not self._begun:
            for name in former:
                del self._checks[name]
            self._checks |= {check.id: check for check in checks}
            return
        before = {name: self._slots.pop(name) for name in former}
        fresh = []
        for check in checks:
            slot = before.get(check.id)
            if slot is not None and slot.check.probe is check.probe and slot.check.every == check.every:
                self._slots[check.id] = before.pop(check.id)
                slot.check = check
            else:
                fresh.append(check)
        self._enter(fresh)
        for slot in before.values():
            slot.gone, slot.pace = True, None
            self._release(slot)

    def resize(self, limit: int, limit_per_host: int) -> None:
        """So many looks at once from now on, in all and per host."""
        for room in (self._scheduled, self._extras):
            for turn in room.resize(limit, limit_per_host):
                self._launch(turn)

    def _release(self, slot: Slot) -> None:
        if slot.gone and slot.idle:
            self._released(slot.check.probe)

    def _enter(self, checks: Iterable[Check]) -> None:
        """Put checks on the grid."""
        now = self._clock.now()
        slots = [Slot(check, now.tick + until_beat(check, now.at.timestamp())) for check in checks]
        self._slots |= {slot.check.id: slot for slot in slots}
        slots.sort(key=lambda slot: slot.beat)
        self._first_at = max(self._first_at, now.tick)
        for slot in slots:
            first = min(slot.beat, self._first_at)
            self._first_at += 1 / FIRST_LOOKS_A_SECOND
            # A beat right behind the first look would tell nothing new.
            if first + slot.every / 2 > slot.beat:
                slot.beat += slot.every if first != slot.beat else 0
            self._timetable.plan(Turn(slot, first, None))

    def _break(self, error: BaseException) -> None:
        self._ending = True
        if not self._broken.done():
            self._broken.set_exception(error)

    def _start(self, turn: Turn, now: float) -> None:
        if turn.generation is None:
            self._beat(turn, now)
        else:
            self._extra(turn, now)

    def _beat(self, turn: Turn, now: float) -> None:
        slot, missed = turn.slot, 0
        if turn.tick >= slot.beat:
            slot.beat += slot.every
        if slot.beat <= now:  # paused or starved: go on with the grid, do not run after it
            missed = int((now - slot.beat) // slot.every) + 1
            slot.beat += missed * slot.every
        self._timetable.plan(Turn(slot, slot.beat, None))
        # After a pause all checks are overdue: looked at now, they would be so at once. An agent that is always so
        # late still looks, at every other beat.
        slot.left_out = missed > 0 and not slot.left_out
        if slot.left_out:
            missed += 1
        elif slot.running:
            missed += 1
            if slot.queued:
                self._follow(slot, self._pass_over(self._order_of(turn)))
        else:
            slot.running = True
            slot.queued = not self._scheduled.enter(slot.check.probe.host, turn.tick, turn)
            if not slot.queued:
                self._launch(turn)
        if missed:
            self._observer.missed(missed)

    def _extra(self, turn: Turn, now: float) -> None:
        slot = turn.slot
        if now - turn.tick > _STALE_EXTRA or slot.extra >= _EXTRA_IN_FLIGHT:
            slot.planned -= 1
            self._observer.extra_dropped()
            self._keep_pace(slot, now)
        elif self._extras.enter(slot.check.probe.host, slot.suspect, turn):
            self._launch(turn)

    def _launch(self, turn: Turn) -> None:
        slot, number = turn.slot, 0
        if turn.generation is None:
            slot.queued = False
        else:
            slot.extra += 1
            slot.turns += 1
            slot.planned -= 1
            number = slot.turns
            self._keep_pace(slot, self._clock.now().tick)
        self._crew.begin((turn, number))

    def _order_of(self, turn: Turn, number: int = 0) -> Order:
        """`number` is that of an extra look: as it was when it was launched, since several may be before one of them
        begins, and each has to begin with another address."""
        check, scheduled = turn.slot.check, turn.generation is None
        timeout = in_seconds(check.timeout) if scheduled else self._extra_timeout(check.id)
        return Order(check, turn.tick, timeout, scheduled, number)

    async def _look(self, launched: tuple[Turn, int]) -> None:
        turn, number = launched
        slot, now = turn.slot, self._clock.now().tick
        self._observer.late(max(now - turn.tick, 0.0))
        self._observer.in_flight(self.in_flight)
        if turn.generation is None:
            self._watch_over(slot, now)
        if slot.gone:  # a reload between the launch and this
            self._leave(turn)
            return
        try:
            judge = await self._take(self._order_of(turn, number))
        except BaseException:
            self._ending = True  # stopped, or dying: whoever waits for this room waits in vain
            self._leave(turn)
            raise
        slot.began = None if turn.generation is None else slot.began
        if not self._taken:
            self._loop.call_soon(self._judge_taken)
        self._taken.append((turn, judge))

    def _judge_taken(self) -> None:
        """Looks that end in the same turn of the loop are judged one after another: what the processor has at hand is
        then what judging needs, and not what connections do."""
        taken, self._taken = self._taken, []
        for turn, judge in taken:
            try:
                # Followed before it leaves: extra looks that are called off now must not be handed its room.
                self._follow(turn.slot, judge())
            except BaseException as error:  # noqa: BLE001  (it ends the scheduler, not only this turn)
                self._break(error)
            self._leave(turn)

    def _watch_over(self, slot: Slot, now: float) -> None:
        """Have a scheduled look noticed that takes suspiciously long."""
        slot.began = now
        soft = self._soft_deadline(slot.check.id)
        if soft is not None:
            self._timetable.pass_by(self._hanging.watch(slot, now, soft))

    def _find_overdue(self, slot: Slot) -> None:
        if not slot.gone and (judgement := self._overdue(slot.check.id)) is not None:
            self._follow(slot, judgement)

    def _leave(self, turn: Turn) -> None:
        slot = turn.slot
        if turn.generation is None:
            slot.running, slot.began = False, None
            following = self._scheduled.leave(slot.check.probe.host)
        else:
            slot.extra -= 1
            following = self._extras.leave(slot.check.probe.host)
        if following is not None and not self._ending:
            self._launch(following)
        self._release(slot)

    def _follow(self, slot: Slot, judgement: Judgement) -> None:
        """Plan the extra looks the judge asked for, or call them off."""
        if slot.gone:
            return
        if judgement is CALM and slot.pace is None and not slot.planned and not slot.foreseen:
            return  # as nearly always
        now = self._clock.now().tick
        if judgement.pace is None or slot.foreseen:
            slot.generation += 1
            slot.planned = 0
            slot.asked = min(slot.asked, now)  # what was asked for has been seen by this look
            slot.foreseen = False
        if judgement.pace is None:
            if judgement.again is not None:
                slot.foreseen = True
                self._plan_extra(slot, now + judgement.again)
        elif not slot.planned:
            slot.suspect = now if slot.pace is None else slot.suspect
            for delay in judgement.burst or (judgement.pace,):
                self._plan_extra(slot, now + delay)
        slot.pace = judgement.pace

    def _keep_pace(self, slot: Slot, now: float) -> None:
        """The train of extra looks goes on from the start of the last one, not from its end: they may overlap."""
        if slot.pace is not None and not slot.planned:
            self._plan_extra(slot, now + slot.pace)

    def _plan_extra(self, slot: Slot, tick: float) -> None:
        slot.planned += 1
        self._timetable.plan(Turn(slot, tick, slot.generation))
