"""Hints about who is reached: names that no route leads to, and targets behind which nobody stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from monitor.config.model import Config
from monitor.config.people import EVERYONE, ONCALL
from monitor.config.units import format_duration
from monitor.core.routing import Route


def unreached(config: Config) -> Iterator[str]:
    """What is written and told to nobody, as if it were not there."""
    for index, route in enumerate(config.routes):
        yield from _empty(config, route, f"routes[{index}]")
    for name in config.escalations:
        if not any(_uses(config, route, name) for route in config.routes):
            yield f"escalations.{name}: no route has it, so nobody is called by it: write escalate: {name} at one"
    reached = _reached(config, _targets(config))
    told = "no route leads there, so nobody is told by it: name it in to: of a route or of an escalation that one has"
    yield from _not_everyone(config)
    for name, members in config.groups.items():
        if name not in reached and (name != EVERYONE or members != tuple(config.people)):
            yield f"groups.{name}: {told}"
    for name in config.oncall.rotas:
        if name not in reached:
            yield f"{'' if name == ONCALL else 'oncall.'}{name}: {told}"
    for name in config.people:
        if name not in reached:
            yield f"people.{name}: no route leads there, so {name} is told nothing"


def _not_everyone(config: Config) -> Iterator[str]:
    """Whom a group that is called so leaves out, in whose place all people would be."""
    if EVERYONE not in config.groups:
        return
    inside = _reached(config, [EVERYONE])
    for name in config.people:
        if name not in inside:
            yield (
                f"groups.{EVERYONE}: {name} is not in it: it takes the place of the group of that name that is there "
                f"without being written, which is all people: add {name}, or call yours otherwise"
            )


def _empty(config: Config, route: Route, where: str) -> Iterator[str]:
    """A route, or a step of its escalation, that tells nobody."""
    steps = route.policy.steps if route.policy is not None else ()
    parts = [(f"{where}.to", route.to) if route.to else (f"{where}.escalate", ())]
    parts += [(f"{where}.escalate, after {format_duration(step.after)}", step.to) for step in steps]
    for place, to in parts:
        if to and not any(name in config.sinks for name in _reached(config, to)):
            yield f"{place}: nobody stands behind {' or '.join(to)}, so nobody is told: give the group a member"


def _uses(config: Config, route: Route, name: str) -> bool:
    """Whether it does what the steps of that name say."""
    steps = config.escalations[name]
    later = route.policy.steps if route.policy is not None else ()
    return later == steps.later and set(steps.at_once) <= set(route.to)


def _targets(config: Config) -> Iterator[str]:
    """All that is named where somebody is told."""
    for route in config.routes:
        yield from route.to
        for step in route.policy.steps if route.policy is not None else ():
            yield from step.to
    for sink in config.sinks.values():
        if sink.fallback is not None:
            yield sink.fallback.to


def _reached(config: Config, targets: Iterable[str]) -> set[str]:
    """The names of sinks, people, groups and rotas that targets lead to, and their own; ways are left aside."""
    found: set[str] = set()
    asked = list(targets)
    while asked:
        name = asked.pop()
        if name in found:
            continue
        found.add(name)
        if name in config.people:
            asked += config.people[name].ways.values()
        elif name in config.oncall.rotas:
            asked += config.oncall.rotas[name].people
        elif name in config.groups:
            asked += config.groups[name]
        elif "." in name:
            asked.append(name.rpartition(".")[0])
    return found
