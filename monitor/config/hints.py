"""Hints: what is right as it is written, and yet hardly what was meant. They stop nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from monitor.config.model import Config
from monitor.core.model import EventType, Impact
from monitor.core.routing import Route, possible, recipients, told_of_degradations

_CHANGES = (EventType.CHECK_CHANGED, EventType.SERVICE_CHANGED)


def hints(config: Config) -> tuple[str, ...]:
    """Each says where, what will happen, and what to write instead."""
    return (*_of_the_agent(config), *_of_ends(config.routes))


def _of_the_agent(config: Config) -> Iterator[str]:
    """That the agent cannot see is told to nobody."""
    facts: Mapping[str, Sequence[str]] = {"event": (EventType.AGENT_IMPAIRED.value,), "impact": (), "state": ()}
    if not config.sinks or recipients(config.routes, facts) or told_of_degradations(config.routes, facts):
        return
    sink = next(iter(config.sinks))
    yield (
        "routes: nobody is told when the agent itself cannot see (agent.impaired), as that is no outage: "
        f'add {{when: "event = agent.*", to: [{sink}]}}'
    )


def _of_ends(routes: Sequence[Route]) -> Iterator[str]:
    """A change for the better has no impact: whoever asks for one is told of trouble, and never of its end."""
    for index, route in enumerate(routes):
        told = " and ".join(event.value for event in _CHANGES if _begins(route, event) and not _ends(route, event))
        if told:
            yield (
                f"routes[{index}].when: tells that something gets bad and never that it ends, as {told} has no "
                "impact then: leave impact out, or tell of incident.* instead, which ends for whoever was told"
            )


def _begins(route: Route, event: EventType) -> bool:
    return any(_takes(route, event, (impact.value,)) for impact in Impact)


def _ends(route: Route, event: EventType) -> bool:
    return _takes(route, event, ())


def _takes(route: Route, event: EventType, impact: tuple[str, ...]) -> bool:
    """Whether it takes some such event."""
    facts = {"event": (event.value,), "impact": impact}
    return "event" in route.when.fields() and possible(route.when, facts) is not False
