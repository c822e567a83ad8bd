"""Values for the tests of the core: a probe that never looks, checks, looks at given seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from monitor.core.condition import Aggregate, Bound, Condition, Level, Operator
from monitor.core.event import Source
from monitor.core.judge import Judge
from monitor.core.judgement import Judgement
from monitor.core.model import Check, Confirm, Journal, Look, Moment, OutageRule, Recover, Service
from monitor.core.plan import Plan
from monitor.core.routing import Route
from monitor.core.world import World
from probes.contract import Context, Measurement, Observation, Probe, Reason, Unit

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Still(Probe):
    """A probe for checks whose looks are made by the test."""

    kind: ClassVar[str] = "still"
    measurements: ClassVar[tuple[Measurement, ...]] = (Measurement("response_time", Unit.SECONDS, "how long"),)

    @property
    def target(self) -> str:
        return "nowhere"

    async def look(self, context: Context) -> Observation:
        raise AssertionError("the core never looks")


def moment(seconds: float) -> Moment:
    """The moment so many seconds after the start of the test; ticks begin at 1,000."""
    return Moment(START + timedelta(seconds=seconds), 1000.0 + seconds)


def check(name: str = "home", *conditions: Condition, **fields: Any) -> Check:
    defaults: dict[str, Any] = {
        "service": name,
        "probe": Still(),
        "every": timedelta(seconds=30),
        "timeout": timedelta(seconds=10),
        "confirm": Confirm(looks=3, span=timedelta(seconds=2)),
        "recover": Recover(looks=10, every=timedelta(seconds=1)),
    }
    return Check(id=name, name=name, conditions=conditions, **(defaults | fields))


def above(limit: float, level: Level = Level.DEGRADED, **fields: Any) -> Condition:
    """``response_time > LIMIT``, and what `fields` add to it."""
    text = f"response_time > {limit} {fields}"
    defaults: dict[str, Any] = {
        "measurement": "response_time",
        "unit": Unit.SECONDS,
        "bound": Bound(Operator.ABOVE, limit),
    }
    if "window" in fields:
        defaults["aggregate"] = Aggregate.MEAN
    return Condition(text=text, level=level, **(defaults | fields))


def look(
    at: float,
    *,
    fails: Reason | None = None,
    check: str = "home",
    took: float = 0.0,
    scheduled: bool = True,
    limit: float = 10.0,
    **measurements: float,
) -> Look:
    """A look that began `at` seconds after the start."""
    observation = Observation(measurements=measurements, reason=fails, evidence={"address": "192.0.2.1"})
    return Look(check, observation, moment(at), moment(at + took), limit=limit, scheduled=scheduled)


class Watch:
    """A judge fed with looks, second by second."""

    def __init__(self, *conditions: Condition, **fields: Any) -> None:
        self.judge = Judge(check("home", *conditions, **fields), None, moment(0))
        self.transitions: list[tuple[float, str, str]] = []

    def see(self, at: float, **fields: Any) -> Judgement:
        judgement = self.judge.observe(look(at, **fields))
        if judgement.transition is not None:
            self.transitions.append((at, judgement.transition.old, judgement.transition.new))
        return judgement

    @property
    def state(self) -> str:
        return self.judge.state.value

    def restart(self, at: float) -> None:
        """As if the agent had been killed and started again."""
        record = self.judge.record(moment(at))
        self.judge = Judge(self.judge.check, record, moment(at))


def dead(watch: Watch, at: float, seconds: int = 3) -> None:
    """Nobody answers for so many seconds, with a look in each."""
    for second in range(seconds):
        watch.see(at + second, fails=Reason.REFUSED)


def world(
    *checks: Check,
    services: Mapping[str, Service] | None = None,
    routes: tuple[Route, ...] = (Route(("hook",)),),
    journal: Journal | None = None,
    at: float = 0.0,
) -> World:
    """A world of checks; a check whose service is not given gets one of its own."""
    own = {
        item.service: Service(
            item.service, item.service.title(), (item.id,), OutageRule(1, (item.id,)), implicit=True
        )
        for item in checks
    }
    sinks = frozenset(sink for route in routes for sink in route.to)
    plan = Plan({item.id: item for item in checks}, own | dict(services or {}), routes, Source("test"), sinks)
    return World(plan, journal or Journal("origin", 1), moment(at))
