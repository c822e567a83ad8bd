"""What is simulated for each figure of `bench.judgement`: one small function a cell, to be run in any process.

Each takes a policy's name, an interval, a seed and how much to simulate, and returns plain numbers to be put together
with those of other seeds. Times are seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from bench._policies import POLICIES, Ours
from bench._traffic import DAY, Answer, Phase, Traffic
from bench._virtual import Policy, Simulation, Tally, moment
from monitor.core.model import CheckRecord, State

MONTH = 30 * DAY
LEARNING = 3 * DAY
"""What a check has behind it before anything is counted: the figures are from day 4 on."""
LOSS = 0.01
"""Transient loss, where a cell does not say another."""
LEAD = 300.0
"""Seconds before a trouble from which on each look is simulated."""
TROUBLE = 600.0
"""How long a trouble lasts."""
TWO_WEEKS = 14 * DAY
ORDINARY = Phase(latency=0.3, sigma=0.12, memory=5.0, wander=1.0, tail=0.005, day=0.3)
"""The target of the study of detection (DETECTION.md): a daily cycle, first-order autoregression, 12 % of noise and
0.5 % of slow looks. How long its noise remembers is not told there. It must be seconds: the policy of the study has
its 0.000 false alarms a month with 5 s, and 2 on the next target, 46 on the last."""
WANDERING = replace(ORDINARY, memory=60.0, wander=0.6)
"""A harder one, as behind a neighbour that is busy now and then: for a minute or so its looks are off alike."""
ALIKE = replace(ORDINARY, memory=60.0)
"""The hardest: looks a few seconds apart tell nothing that the first one has not told."""
GOLDEN = 0.6180339887
"""Steps of that part of an interval come everywhere on the grid, in whatever order."""
PATIENCE = 1800.0
"""Seconds after its end in which a check must be up again."""


@dataclass
class Found:
    """Numbers by name: sums, and lists of seconds."""

    sums: dict[str, float] = field(default_factory=dict)
    lists: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float = 1.0) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + value

    def note(self, name: str, value: float) -> None:
        self.lists.setdefault(name, []).append(value)

    def merge(self, other: Found) -> None:
        for name, value in other.sums.items():
            self.add(name, value)
        for name, values in other.lists.items():
            self.lists.setdefault(name, []).extend(values)


Cell = Callable[..., Found]
"""Simulates one figure: told a policy, an interval (s), a seed, how much of it, and what its target is like."""


def false_alarms(policy: str, every: float, seed: int, months: float, *, fail: float, burst: float | None) -> Found:
    """A target with nothing but transient loss: who is called down, and how often is it looked at."""
    random = Random(seed)
    _, make = POLICIES[policy]
    traffic = Traffic([Phase(fail=fail, burst=burst)], random)
    return _counted(Simulation(make(every), traffic, every, random.random() * every), months)


def false_slowness(policy: str, every: float, seed: int, months: float, *, nature: Phase = ORDINARY) -> Found:
    """A target whose latency is as ever: who is called slow."""
    random = Random(seed)
    assert policy == "ours"
    traffic = Traffic([nature], random)
    return _counted(Simulation(Ours(every, usual=True), traffic, every, random.random() * every), months)


def _counted(simulation: Simulation, months: float) -> Found:
    """What it is called in so many months, and how often it is looked at, once it has learned."""
    found, learned = Found(), simulation.run(LEARNING)
    known, scheduled, extra = len(learned.changes), learned.scheduled, learned.extra
    tally = simulation.run(LEARNING + months * MONTH)
    late = tally.changes[known:]
    found.add("months", months)
    found.add("down", sum(change.new is State.DOWN for change in late))
    found.add("degraded", sum(change.new is State.DEGRADED and change.old is not State.DOWN for change in late))
    found.add("scheduled", tally.scheduled - scheduled)
    found.add("extra", tally.extra - extra)
    return found


def first_days(policy: str, every: float, seed: int, checks: float, *, fail: float, burst: float | None) -> Found:
    """How often is a check called down in its first three days, of which nothing is known before?"""
    random, found = Random(seed), Found()
    _, make = POLICIES[policy]
    for _ in range(int(checks)):
        traffic = Traffic([Phase(fail=fail, burst=burst)], random)
        tally = Simulation(make(every), traffic, every, random.random() * every).run(LEARNING)
        found.add("checks")
        found.add("down", sum(change.new is State.DOWN for change in tally.changes))
    return found


def trouble(
    policy: str,
    every: float,
    seed: int,
    incidents: float,
    *,
    fail: float,
    blackhole: bool = False,
    burst: float | None = None,
) -> Found:
    """Ten bad minutes, again and again, each at another place of the grid and after the same past; `burst` is how the
    target loses its 1 % before and afterwards."""
    random, found = Random(seed), Found()
    before = Phase(0.0, LOSS, burst)
    record = _learnt(policy, every, random, before)
    for number in range(int(incidents)):
        # Evenly over the grid: of a mean delay of T/2, chance places would leave more noise than all else.
        begin = LEARNING + LEAD + (number + random.random()) / int(incidents) * every
        end = begin + TROUBLE
        phases = [before, Phase(begin, fail, blackhole=blackhole), replace(before, start=end)]
        judge = _policy(policy, every, record)
        tally = Simulation(judge, Traffic(phases, random), every, LEARNING).run(end + PATIENCE)
        _tell(found, tally, begin, end)
    return found


def _tell(found: Found, tally: Tally, begin: float, end: float) -> None:
    """How a trouble between these seconds was called, and how soon its end."""
    found.add("incidents")
    during = [change for change in tally.changes if begin <= change.at < end]
    down = next((change.at - begin for change in during if change.new is State.DOWN), None)
    bad = next((change.at - begin for change in during if change.new in (State.DOWN, State.DEGRADED)), None)
    if down is not None:
        found.add("called_down")
        found.note("down", down)
    found.note("bad", bad if bad is not None else TROUBLE)
    found.add("missed", bad is None)
    found.add("flaps", len(during))
    found.add("into_bad", sum(_worse(change.old, change.new) for change in during))
    if bad is not None:
        left = [change for change in tally.changes if change.at >= end]
        state = during[-1].new
        up = (
            0.0
            if state is State.UP
            else next((change.at - end for change in left if change.new is State.UP), PATIENCE)
        )
        found.note("recovered", max(up, 0.0))


def _worse(old: State, new: State) -> bool:
    """A transition into a bad state: not the way back, from down to degraded."""
    return new is State.DOWN or (new is State.DEGRADED and old is not State.DOWN)


def one_success(policy: str, every: float, seed: int, incidents: float) -> Found:
    """One good look in the midst of an outage: whoever says up because of it was wrong. The good time is as long as
    one look, and is not hit each time."""
    random, found = Random(seed), Found()
    record = _learnt(policy, every, random, Phase(fail=LOSS))
    for _ in range(int(incidents)):
        begin = LEARNING + LEAD
        blip = begin + 120 + random.random() * every
        phases = [Phase(0.0), Phase(begin, 1.0), Phase(blip), Phase(blip + every, 1.0), Phase(begin + TROUBLE, 1.0)]
        start = LEARNING + random.random() * every
        hits: list[float] = []
        judge = _policy(policy, every, record)
        traffic = _OneSuccess(phases, random, hits)
        tally = Simulation(judge, traffic, every, start).run(begin + TROUBLE)
        found.add("incidents", bool(hits))
        found.add("up", sum(change.new is State.UP and change.at > begin for change in tally.changes))
    return found


class _OneSuccess(Traffic):
    """Of the looks of the good time, only the first is answered."""

    def __init__(self, phases: list[Phase], random: Random, hits: list[float]) -> None:
        super().__init__(phases, random)
        self._hits = hits
        self._begin = phases[1].start

    def look(self, at: float, limit: float) -> Answer:
        answer = super().look(at, limit)
        if at < self._begin or answer.failed:
            return answer
        if self._hits:
            return replace(answer, failed=True)
        self._hits.append(at)
        return answer


def slowness(
    policy: str, every: float, seed: int, troubles: float, *, nature: Phase = ORDINARY, **change: Any
) -> Found:
    """Ten slow minutes at any hour of a week, each after the same three weeks or so; `change` is what is different
    about the target meanwhile."""
    random, found = Random(seed), Found()
    assert policy == "ours"
    life = Ours(every, usual=True)
    learning = Simulation(life, Traffic([nature], random), every, random.random() * every)
    learning.run(TWO_WEEKS)
    moments = sorted(TWO_WEEKS + random.random() * TWO_WEEKS / 2 for _ in range(int(troubles)))
    for number, then in enumerate(moments):
        learning.run(then)
        if life.state is not State.UP:
            found.add("left_out")  # called slow without reason: that is counted elsewhere
            continue
        begin, record = then + LEAD, life.judge.record(moment(then))
        begin += (number * GOLDEN + random.random() / troubles) % 1 * every
        end = begin + TROUBLE
        phases = [nature, replace(nature, start=begin, **change), replace(nature, start=end)]
        judge = Ours(every, record, moment(then), usual=True)
        # Its own draws: the life goes on as if nothing had been.
        traffic = Traffic(phases, Random(random.random()))
        tally = Simulation(judge, traffic, every, then).run(end + PATIENCE)
        _tell(found, tally, begin, end)
    return found


def _policy(name: str, every: float, record: CheckRecord | None) -> Policy:
    if name == "ours":
        return Ours(every, record, moment(LEARNING))
    _, make = POLICIES[name]
    return make(every)


def _learnt(policy: str, every: float, random: Random, loss: Phase) -> CheckRecord | None:
    """What the judge has after three days of such loss."""
    if policy != "ours":
        return None
    judge = Ours(every)
    Simulation(judge, Traffic([loss], random), every, random.random() * every).run(LEARNING)
    return judge.judge.record(moment(LEARNING))
