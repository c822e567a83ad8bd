"""Hints: what is right as it is written, and yet hardly what was meant. They stop nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import get_args, get_type_hints

from monitor.config.model import Config
from monitor.config.reach import unreached
from monitor.config.suggest import Vocabulary
from monitor.core.model import Check, EventType, Impact, Service
from monitor.core.routing import Route, possible, recipients, told_of_degradations
from probes.contract import FilePath, Probe

_CHANGES = (EventType.CHECK_CHANGED, EventType.SERVICE_CHANGED)


def hints(config: Config) -> tuple[str, ...]:
    """Each says where, what will happen, and what to write instead."""
    return (*_of_the_agent(config), *_of_ends(config.routes), *_of_labels(config), *unreached(config))


def missing_files(config: Config) -> tuple[str, ...]:
    """What checks read, or actions run, and is not there. It may well be on the machine where they will run."""
    found: dict[str, str] = {}
    for name, action in config.actions.items():
        if action.deed.run and not os.path.lexists(program := action.deed.run[0]):
            apart = ": write its arguments apart, as in [program, argument]" if " " in program else ""
            found[program] = f"actions.{name}.run: there is no program {program} here{apart}"
    for check in config.checks.values():
        for field in _files_of(type(check.probe)):
            path = getattr(check.probe, field)
            if path is not None and path not in found and not os.path.lexists(path):
                found[path] = f'"{check.name}".{field}: there is no file {path} here: without it no look can be taken'
    return tuple(found.values())


@cache
def _files_of(probe: type[Probe]) -> tuple[str, ...]:
    """The fields that name a file."""
    hints = get_type_hints(probe, include_extras=True)
    return tuple(item.name for item in fields(probe) if item.init and _names_a_file(hints[item.name]))


def _names_a_file(hint: object) -> bool:
    return hint == FilePath or any(_names_a_file(inner) for inner in get_args(hint))


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


def _of_labels(config: Config) -> Iterator[str]:
    """A label that nothing has takes nothing, or everything."""
    items: list[Check | Service] = [*config.checks.values(), *config.services.values()]
    known = Vocabulary("label", sorted({label for item in items for label in item.labels}))
    rules = {f"routes[{index}].when": route.when for index, route in enumerate(config.routes)}
    rules |= {f"actions.{name}.when": action.rule.when for name, action in config.actions.items()}
    for place, when in rules.items():
        for field in sorted(when.fields()):
            label = field.removeprefix("label.")
            if field.startswith("label.") and label not in known:
                yield f"{place}: {known.unknown(label)}: nothing that is watched has it"


def _begins(route: Route, event: EventType) -> bool:
    return any(_takes(route, event, (impact.value,)) for impact in Impact)


def _ends(route: Route, event: EventType) -> bool:
    return _takes(route, event, ())


def _takes(route: Route, event: EventType, impact: tuple[str, ...]) -> bool:
    """Whether it takes some such event."""
    facts = {"event": (event.value,), "impact": impact}
    return "event" in route.when.fields() and possible(route.when, facts) is not False
