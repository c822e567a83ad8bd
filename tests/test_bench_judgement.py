"""The simulator of `bench.judgement` schedules as the scheduler does, and its targets are what they say."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import ClassVar

import pytest

from bench import _policies, judgement
from bench._cells import false_alarms, first_days
from bench._jobs import GROUPS, jobs
from bench._policies import Ours
from bench._traffic import OVER, Answer, Phase, Traffic, read_trace
from bench._virtual import EPOCH, Simulation, moment
from monitor.core.event import Source
from monitor.core.judgement import Judgement
from monitor.core.model import Look, OutageRule, Service
from monitor.core.plan import Plan
from monitor.core.quantise import quantised
from monitor.core.world import World
from monitor.grid import until_beat
from monitor.pipeline import Pipeline
from monitor.runner import Runner
from monitor.scheduler import Scheduler
from monitor.store.memory import MemoryStore
from probes.contract import Context, Measurement, Observation, Probe, Reason, Unit
from tests.simulation import Counter, NoNames, NoTls
from tests.virtual_time import START, VirtualClock, run

Taken = tuple[float, bool, bool]
"""When a look began, whether it was a scheduled one, and whether it failed."""

TARGET = [
    Phase(), Phase(300, 1.0), Phase(420), Phase(700, 1.0, blackhole=True), Phase(900), Phase(1300, 1.0), Phase(1310),
    Phase(1500, 1.0, blackhole=True), Phase(1503),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Played(Probe):
    """Meets the same target in the virtual time of an event loop."""

    kind: ClassVar[str] = "played"
    measurements: ClassVar[tuple[Measurement, ...]] = (Measurement("response_time", Unit.SECONDS, "how long"),)

    traffic: Traffic = field(compare=False)
    taken: list[Taken] = field(compare=False)

    @property
    def target(self) -> str:
        return "played"

    async def look(self, context: Context) -> Observation:
        at = asyncio.get_running_loop().time()
        answer = self.traffic.look(at, context.timeout)
        self.taken.append((at, context.scheduled, answer.failed))
        await asyncio.sleep(answer.took)
        if not answer.failed:
            return Observation()
        return Observation(reason=Reason.CONNECT_TIMEOUT if answer.timed_out else Reason.REFUSED)


@pytest.mark.parametrize("every", [10.0, 30.0])
def test_the_simulation_looks_when_the_scheduler_does_and_judges_alike(every: float) -> None:
    taken, changes = live(every, 2000)
    start = until_beat(_policies.check(every), START.timestamp())
    simulated: list[Taken] = []

    def seen(at: float, answer: Answer, scheduled: bool) -> None:
        simulated.append((at, scheduled, answer.failed))

    policy = Doubtful(every)
    tally = Simulation(policy, Traffic(TARGET, Random(1)), every, start, seen).run(2000)
    mine = [(round(at, 3), *rest) for at, *rest in simulated if at > every * 2]
    theirs = [(round(at, 3), *rest) for at, *rest in taken if at > every * 2]
    assert mine == theirs
    assert len([look for look in mine if not look[1]]) > 100
    told = [(change.at, change.old.value, change.new.value) for change in tally.changes]
    assert [item[1:] for item in told[1:]] == [item[1:] for item in changes[1:]]
    assert all(abs(one[0] - other[0]) <= 0.11 for one, other in zip(told[1:], changes[1:], strict=True))
    assert len(told) > 5


class Doubtful(Ours):
    """No look of it is passed over."""

    @property
    def steady(self) -> bool:
        return False


def live(every: float, seconds: float) -> tuple[list[Taken], list[tuple[float, str, str]]]:
    taken: list[Taken] = []
    check = replace(_policies.check(every), probe=Played(Traffic(TARGET, Random(1)), taken))
    service = Service("check", "check", ("check",), OutageRule(1, ("check",)), implicit=True)
    changes: list[tuple[float, str, str]] = []

    async def main() -> None:
        clock, store = VirtualClock(), MemoryStore()
        plan = Plan({"check": check}, {"check": service}, (), Source("virtual"), frozenset())
        world = World(plan, await store.open(), clock.now())
        pipeline = Pipeline(
            world, Runner(clock, NoNames(), NoTls()), store, clock,
            level_sinks=frozenset(), wake=lambda _: None, observer=Counter(),
        )  # fmt: skip
        scheduler = Scheduler(
            [check], pipeline.look, pipeline.pass_over, lambda name: world.judges[name].extra_timeout, clock,
            limit=500, limit_per_host=50, observer=Counter(),
            soft_deadline=pipeline.soft_deadline, overdue=pipeline.overdue,
        )  # fmt: skip
        parts = [asyncio.create_task(part.run()) for part in (scheduler, pipeline.writer)]
        await asyncio.wait(parts, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for part in parts:
            assert not part.done()
            part.cancel()
        await asyncio.wait(parts)
        await pipeline.writer.settle()
        for past in await store.transitions("check", "check", 999):
            item = past.transition
            changes.append(((item.at - START).total_seconds(), item.old, item.new))

    run(main())
    return taken, sorted(changes)


@pytest.mark.parametrize("phase", [Phase(fail=0.01), Phase(fail=0.01, burst=2.0), Phase(fail=0.02, burst=5.0)])
def test_passing_over_what_changes_nothing_changes_nothing_but_the_work(phase: Phase) -> None:
    """In distribution: other draws, the same counts."""
    counts = []
    for policy in (Ours, Doubtful):
        simulation = Simulation(policy(10.0), Traffic([phase], Random(3)), 10.0, 1.0)
        tally = simulation.run(3 * 86400)
        assert tally.scheduled == pytest.approx(3 * 8640, abs=2)
        counts.append(tally.extra)
    assert counts[0] == pytest.approx(counts[1], rel=0.25)


def test_an_outage_is_met_at_the_same_look_whether_or_not_those_before_it_are_taken() -> None:
    phases = [Phase(), Phase(86_400, 1.0), Phase(87_000)]
    skipping, each = (
        Simulation(policy(30.0), Traffic(phases, Random(1)), 30.0, 7.0).run(90_000) for policy in (Ours, Doubtful)
    )
    assert (skipping.changes, skipping.looks) == (each.changes, each.looks)


@pytest.mark.parametrize("burst", [None, 2.0, 5.0])
def test_targets_lose_as_much_as_they_say_in_bursts_as_long_as_they_say(burst: float | None) -> None:
    traffic, fails, runs, last = Traffic([Phase(fail=0.05, burst=burst)], Random(2)), 0, 0, False
    for number in range(160_000):
        failed = traffic.look(number * 0.25, 1.0).failed
        fails, runs, last = fails + failed, runs + (failed and not last), failed
    assert fails / 160_000 == pytest.approx(0.05, rel=0.1)
    assert fails / runs * 0.25 == pytest.approx(burst + 0.125 if burst else 0.25 / 0.95, rel=0.1)


def test_latency_is_spread_as_told_and_what_takes_too_long_runs_into_its_limit() -> None:
    slow = Phase(latency=0.3, sigma=0.12, memory=60.0, tail=0.005, slow=0.2)
    traffic = Traffic([slow], Random(4))
    found = sorted(traffic.look(at * 2.0, 10.0).took for at in range(20_000))
    assert found[8_000] == pytest.approx(0.3, rel=0.05)
    assert sum(took > 0.9 for took in found) / 20_000 == pytest.approx(0.2, abs=0.02)
    late = Traffic([Phase(latency=3.0)], Random(4)).look(0.0, 2.0)
    assert (late.failed, late.timed_out, late.took) == (True, True, 2.0 + OVER)


def test_what_is_judged_is_rounded_as_the_pipeline_rounds_it() -> None:
    seen: list[Look] = []

    class Listening(Ours):
        def observe(self, look: Look) -> Judgement:
            seen.append(look)
            return super().observe(look)

    policy, chance = Listening(30.0), Random(5)
    phases = [Phase(latency=0.123456, sigma=0.1), Phase(600, 0.5, latency=0.2), Phase(900)]
    Simulation(policy, Traffic(phases, chance), 30.0, 1.23456).run(1200)
    assert len(seen) > 50
    assert all(quantised(look, policy.judge.check) == look for look in seen)
    assert moment(0.0).at == EPOCH


TRACE = """\
{"from": 0, "fail": 0.001, "burst": null, "latency": null, "sigma": 0, "blackhole": false}
{"from": 3600, "fail": 1, "burst": null, "latency": null, "sigma": 0, "blackhole": true}

{"from": 4200, "fail": 0}
"""


def test_a_trace_is_played_line_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "target.jsonl"
    file.write_text(TRACE, encoding="utf-8")
    assert judgement.main(["--trace", str(file), "--every", "10", "--seed", "3", "--runs", "2"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    *changes, last = told
    assert last["runs"] == 2
    assert last["looks"] > last["extra"] > 20
    assert [(item["from"], item["to"]) for item in changes if item["run"] == 1] == [
        ("unknown", "up"), ("up", "down"), ("down", "degraded"), ("degraded", "up"),
    ]  # fmt: skip
    down = next(item for item in changes if item["to"] == "down")
    assert 3605 < down["t"] < 3640
    assert down["reason"] == "connect_timeout"
    assert judgement.main(["--trace", str(file), "--every", "10s", "--seed", "3", "--runs", "2"]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == told


def test_the_trace_of_the_documents_can_be_played() -> None:
    page = (Path(__file__).parents[1] / "docs" / "judgement.md").read_text(encoding="utf-8")
    phases = read_trace(page.partition("```jsonl\n")[2].partition("```")[0].splitlines())
    assert [phase.start for phase in phases] == [0, 259_200, 259_800]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no line"),
        ("[]", "line 1: each line must be an object"),
        ('{"from": 0}\n{"from": 0}', "line 2"),
        ('{"fail": 1.5}', "no target can be like that"),
        ('{"fial": 1}', "unknown: fial"),
        ('{"latency": "slow"}', "line 1"),
        ('{"from": NaN}', "no target can be like that"),
        ("nonsense", "line 1"),
    ],
)
def test_a_trace_that_is_none_is_told_by_its_line(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "target.jsonl"
    file.write_text(text, encoding="utf-8")
    assert judgement.main(["--trace", str(file)]) == 2
    assert said in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"line|no"):
        read_trace(text.splitlines())


def test_a_check_month_of_losses_is_simulated_in_a_second_or_two() -> None:
    found = false_alarms("three", 10.0, 1, 1, fail=0.01, burst=5.0)
    assert found.sums["months"] == 1
    assert 10 < found.sums["down"] < 100


def test_the_first_days_of_a_check_are_counted_by_the_check() -> None:
    found = first_days("ours", 10.0, 1, 12, fail=0.01, burst=5.0)
    assert found.sums["checks"] == 12
    assert found.sums["down"] < 3 * 12 < first_days("first", 10.0, 1, 2, fail=0.01, burst=5.0).sums["down"]


def test_a_part_of_the_work_is_a_part_of_each_figure_of_it() -> None:
    whole, part = jobs(quick=False, seed=1), jobs(quick=False, seed=1, part=0.3)
    for name in GROUPS:
        counts = [
            sum(job.count for job in some if (job.group, job.policy) == (name, "ours")) for some in (whole, part)
        ]
        assert 0.2 * counts[0] <= counts[1] <= 0.5 * counts[0], name
    assert len({job.seed for job in whole}) == len(whole)
