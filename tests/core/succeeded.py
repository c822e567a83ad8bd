"""Stories whose plan changes while they go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from monitor.core.condition import Condition
from monitor.core.model import Check, OutageRule, Service
from monitor.core.routing import Route, Term
from monitor.core.succession import succeed
from probes.contract import Context, Measurement, Observation, Passive, Probe, Secret, Unit
from tests.core.builders import check, moment, world
from tests.core.stories import SCHEMA, SHOP, Story, begun


@dataclass(frozen=True, slots=True)
class Aimed(Probe):
    """A probe with a target, a password, and headers that may be secret."""

    kind: ClassVar[str] = "aimed"
    measurements: ClassVar[tuple[Measurement, ...]] = (Measurement("response_time", Unit.SECONDS, "how long"),)

    url: str
    password: Secret | None = None
    headers: Any = None

    @property
    def target(self) -> str:
        return self.url

    async def look(self, context: Context) -> Observation:
        raise AssertionError("the core never looks")


@dataclass(frozen=True, slots=True)
class Heard(Passive):
    """A probe that is handed what arrives."""

    kind: ClassVar[str] = "heard"
    door: ClassVar[str] = "ping"
    measurements: ClassVar[tuple[Measurement, ...]] = ()

    period: int = 1

    @property
    def target(self) -> str:
        return "pings"

    def receive(self, arrival: object, memory: object) -> None:
        raise AssertionError("nothing arrives in the core")

    def report(self, presence: object, memory: object) -> Observation:
        raise AssertionError("the core never looks")


ROUTES = (Route(("hook",), Term("event", "*")),)


def reloaded(story: Story, *checks: Check, at: float, **fields: Any) -> Story:
    """The same story under another plan."""
    other = world(*checks, **{"routes": ROUTES, **fields})
    story.world, change = succeed(story.world, other.plan, moment(at))
    if change is not None:
        story.changes.append(change)
    return story


def shop(*names: str, without: Sequence[str] = ()) -> tuple[list[Check], dict[str, Service]]:
    left = tuple(name for name in (*SHOP.checks, *names) if name not in without)
    needed = tuple(name for name in ("home", "checkout") if name in left)
    service = replace(SHOP, checks=left, outage=OutageRule(1, needed))
    return [check(name, service="shop") for name in left], {"shop": service}


def shop_story() -> Story:
    checks, services = shop()
    return begun(Story(world(*checks, services=services, routes=ROUTES)))


def single(name: str = "home", *conditions: Condition, **fields: Any) -> Story:
    return begun(Story(world(check(name, *conditions, **fields), routes=ROUTES)), [name])


def sound(story: Story) -> None:
    """No event twice, every one as published, and no incident left open that nobody could end."""
    events = [event for change in story.changes for event in change.events]
    ids = [event.id for event in events]
    assert len(set(ids)) == len(ids)
    for event in events:
        SCHEMA.validate(dict(event.body))
    opened = {i.id for change in story.changes for i in change.incidents if i.resolved is None}
    resolved = {i.id for change in story.changes for i in change.incidents if i.resolved is not None}
    held = {status.incident.id for status in story.world.services.values() if status.incident}
    assert opened - resolved == held
    assert story.world.cases.keys() == held
    assert story.world.start(moment(9999)) is None
