"""Whatever fails in whatever order, over reloads and restarts: no event twice, and every incident can be closed."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.model import Check, OutageRule, Service
from probes.contract import Reason
from tests.core.builders import check, world
from tests.core.stories import begun
from tests.core.succeeded import ROUTES, reloaded, sound
from tests.core.tiers import Tiers, restarted

NAMES = ("a", "b", "c", "d", "e")
LAYOUT = st.lists(
    st.tuples(st.sampled_from(["one", "two", None]), st.sets(st.sampled_from(NAMES), max_size=2)),
    min_size=2,
    max_size=5,
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["kill", "kill", "heal", "blip", "blind", "wait", "plan", "restart"]),
        st.sampled_from(NAMES),
        st.sampled_from([1.0, 3.0, 20.0, 120.0, 700.0]),
    ),
    max_size=16,
)


def laid_out(layout: list[tuple[str | None, set[str]]]) -> tuple[list[Check], dict[str, Service]]:
    """A check may depend on those before it, so that there is no circle."""
    checks = []
    for place, (service, parents) in enumerate(layout):
        name, known = NAMES[place], NAMES[:place]
        on = tuple(sorted(parent for parent in parents if parent in known))
        checks.append(check(name, service=service or name, depends_on=on))
    services = {}
    for service in {item.service for item in checks if item.service != item.id}:
        own = tuple(item.id for item in checks if item.service == service)
        services[service] = Service(service, service.title(), own, OutageRule(1, own[:2]))
    return checks, services


@settings(max_examples=40)
@given(LAYOUT, LAYOUT, STEPS)
def test_whatever_fails_every_incident_can_be_closed(first: Any, second: Any, steps: Any) -> None:
    plans = [laid_out(first), laid_out(second)]
    checks, services = plans[0]
    story, at = begin(checks, services), 30.0
    for kind, name, gap in steps:
        at += gap
        story.wait(at)
        if kind == "plan":
            plans.reverse()
            reloaded(story, *plans[0][0], at=at, services=plans[0][1])
        elif kind == "restart":
            story = restarted(story, plans[0][0], at=at, services=plans[0][1])
        elif name in story.world.judges:
            act(story, kind, name, at)
        one_case_each(story)
    for name in list(story.world.judges):
        at += 20
        story.heal(name, at)
    story.wait(at + 1000)
    sound(story)
    assert all(status.incident is None for status in story.world.services.values())
    assert all(judge.untold is None for judge in story.world.judges.values())


def begin(checks: list[Check], services: dict[str, Service]) -> Tiers:
    story = Tiers(world(*checks, services=services, routes=ROUTES))
    begun(story, [item.id for item in checks])
    return story


def act(story: Tiers, kind: str, name: str, at: float) -> None:
    match kind:
        case "kill":
            story.kill(name, at)
        case "heal":
            story.heal(name, at)
        case "blip":
            story.see(at, name, Reason.REFUSED)
        case "blind":
            for second in (0, 20, 40):
                story.see(at + second, name, Reason.NO_ROUTE)


def one_case_each(story: Tiers) -> None:
    """What a service says of its incident is what the incident says of its services, and checks are told as due."""
    for name, status in story.world.services.items():
        if status.case is not None:
            assert name in status.case.services
            assert all(story.world.services[other].case is status.case for other in status.case.services)
            assert status.case.incident.resolved is None
            assert status.state != "operational"
    told: dict[str, str] = {}
    for event in story.events:
        if event["type"] == "check.changed":
            name, state = event["check"]["id"], event["state"]
            assert told.get(name, state["old"]) == state["old"], "each change begins where people were left"
            told[name] = state["new"]
