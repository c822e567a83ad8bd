"""From a look to a durable change: run the probe, decide, commit, tell the outbox. The one place where they meet.

Deciding is instant and happens on the loop; committing happens behind it (`monitor.writer`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Protocol

from monitor.clock import Clock
from monitor.core.contacts import Contacts
from monitor.core.form import form_of
from monitor.core.judge import Judge
from monitor.core.judgement import Judgement
from monitor.core.model import Change, Check, Event, Look, Moment, State
from monitor.core.quantise import quantised
from monitor.core.sight import Ailment
from monitor.core.world import World
from monitor.decision_log import Blindness
from monitor.runner import Order, Runner
from monitor.store.contract import Store
from monitor.writer import Observer as WriterObserver
from monitor.writer import Writer
from probes.contract import Observation, Passive, Presence, Reason


class Observer(WriterObserver, Protocol):
    """Watches outcomes; never takes part."""

    def look(self, look: Look, judge: Judge) -> None: ...


class Pipeline:
    """`look` is the scheduler's port, `take` is for whoever waits until it is judged. What is decided goes to the
    `writer`."""

    def __init__(
        self,
        world: World,
        runner: Runner,
        store: Store,
        clock: Clock,
        *,
        level_sinks: frozenset[str],
        wake: Callable[[frozenset[str]], None],
        observer: Observer,
        presence: Callable[[], Presence] | None = None,
        publish: Callable[[Sequence[Event]], None] = lambda _events: None,
        ask: Callable[[str], None] = lambda _check: None,
        follow: Callable[[str, Judgement], None] = lambda _check, _judgement: None,
        record: Callable[[Check, Look, State], None] | None = None,
        vouch: Callable[[Look, Check], Awaitable[Look]] | None = None,
    ) -> None:
        """`wake` is told the sinks for which something was committed, `publish` the events; `presence` is for passive
        probes; `record` gets every look as it was judged, with the state that the check then has; `ask` has a check
        (its id) looked at right now; `follow` has extra looks at another check begun or called off, as a judgement
        of it says; `vouch` hands back each look as it may be judged, once it is known whose trouble a failed one
        is."""
        self._world = world
        self._runner = runner
        self._clock = clock
        self._observer = observer
        self.writer = Writer(
            world, store, clock, level_sinks=level_sinks, wake=wake, observer=observer, publish=publish
        )
        self._presence = presence
        self._record = record
        self._ask = ask
        self._vouch = vouch
        self._follow = follow
        self._contacts = Contacts()
        self._alarm = math.inf
        """The tick for which `keep_time` waits."""
        self._sooner = asyncio.Event()
        """Set when it waits for too long."""
        self._blind = Blindness()

    def adopt(self, world: World, level_sinks: frozenset[str]) -> None:
        """Go on with another world."""
        self._world = world
        self.writer.adopt(world, level_sinks)
        self._look_at_agenda()
        self._blind.keep(world.judges)

    async def take(self, order: Order) -> Judgement:
        """One look, judged; what changed is on its way into the journal."""
        return (await self.look(order))()

    async def look(self, order: Order) -> Callable[[], Judgement]:
        """One look; what is given has it judged, once it is called."""
        check = order.check
        judge = self._world.judges.get(check.id)
        if judge is None:
            return Judgement
        if self._contacts.dead(judge.last):
            order = replace(order, timeout=min(order.timeout, judge.extra_timeout))
        look = await self._runner.look(order, judge.memory)
        if self._vouch is not None:
            look = await self._vouch(look, check)
        return partial(self._judge_taken, check, look)

    def _judge_taken(self, check: Check, look: Look) -> Judgement:
        # A reload may have come between: the look is of a check that has gone, or that looks elsewhere now.
        judge, probe = self._world.judges.get(check.id), check.probe
        if judge is None or judge.check.probe is not probe:
            return Judgement()
        judgement = self._judge_all(look, judge)
        if (
            self._presence is not None
            and form_of(check).passive
            and isinstance(probe, Passive)
            and look.observation.ok
        ):
            due = probe.due(self._presence(), judge.memory)
            # What lies behind the next beat is seen by a later look.
            if due is not None and due < check.every.total_seconds():
                return replace(judgement, again=due)
        return judgement

    def soft_deadline(self, check: str) -> float | None:
        """Seconds after which a scheduled look at the check is suspicious while it is still under way."""
        judge = self._world.judges.get(check)
        return judge.soft_deadline if judge is not None else None

    def overdue(self, check: str) -> Judgement | None:
        """A look takes suspiciously long. It tells nothing yet; what to do meanwhile."""
        judge = self._world.judges.get(check)
        return judge.overdue(self._clock.now()) if judge is not None else None

    def pass_over(self, order: Order) -> Judgement:
        """A look that found no room: nothing was seen, and a check that nobody looks at is not known to be up."""
        now = self._clock.now()
        nothing = Observation(reason=Reason.LATE, detail="no room to look: raise agent.limits, or look less often")
        judge = self._world.judges[order.check.id]
        look = Look(
            order.check.id, nothing, now, now, limit=order.timeout, scheduled=True, lateness=now.tick - order.due
        )
        return self._judge(look, judge)

    def _judge_all(self, look: Look, judge: Judge) -> Judgement:
        """Judge a look, and what checks of the same address have to tell one another because of it."""
        judgement = self._judge(look, judge)
        for told in self._contacts.see(look, self._wants_more):
            found = self._judge(told, self._world.judges[told.check])
            if told.check == look.check:
                judgement = found
            else:
                self._follow(told.check, found)
        return judgement

    def _wants_more(self, check: str) -> bool:
        """Whether what others see tells something new of the check."""
        judge = self._world.judges.get(check)
        return judge is not None and judge.state is not State.DOWN

    def _judge(self, look: Look, judge: Judge) -> Judgement:
        look = quantised(look, judge.check)
        decision = self._world.observe(look)
        if decision.change is not None:
            self.writer.enter(decision.change)  # first: whatever fails below must not take along what was decided
        for name in decision.ask:
            self._ask(name)
        self._look_at_agenda()
        self.writer.touch(look.check)
        if self._record is not None:
            self._record(judge.check, look, judge.state)
        self._blind.report(look, judge, moved=decision.judgement.transition is not None)
        self._observer.look(look, judge)
        judge.rest()
        return decision.judgement

    def sighted(self, ailments: Sequence[Ailment]) -> None:
        """What is wrong with the agent itself now: all of it, or nothing."""
        if (change := self._world.sighted(ailments, self._clock.now())) is not None:
            self.writer.enter(change)
        self._look_at_agenda()

    def heard_from(self, witness: str) -> None:
        """A witness of our own network has answered."""
        if (change := self._world.heard_from((witness,), self._clock.now())) is not None:
            self.writer.enter(change)

    async def keep_time(self) -> None:
        """Have done what time alone brings about, when it is due; until cancelled."""
        while True:
            due, now = self._world.next_due, self._clock.now()
            if due is not None and due <= now.tick:
                if (change := self._world.elapse(now)) is not None:
                    self.writer.enter(change)
                await asyncio.sleep(0)  # there may be more of it, of which no look has to wait for all
                continue
            self._alarm = math.inf if due is None else due
            self._sooner.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._sooner.wait(), None if due is None else due - now.tick)

    def _look_at_agenda(self) -> None:
        """A decision may have entered something that is due sooner than all else."""
        due = self._world.next_due
        if due is not None and due < self._alarm:
            self._sooner.set()

    def decide(self, what: Callable[[World, Moment], Change | None]) -> None:
        """Have the world decide what no look has brought about."""
        if (change := what(self._world, self._clock.now())) is not None:
            self.writer.enter(change)
        self._look_at_agenda()
