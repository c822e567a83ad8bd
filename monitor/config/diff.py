"""What is different between two configurations, and the one that is in force after the second was loaded.

Pure, and made for 10,000 checks: what is equal is the same object afterwards, so that a probe keeps its connections
and the rest of the agent can tell by identity what has not changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from monitor.config.model import AgentSettings, Config
from monitor.core.model import Check
from monitor.core.portions import former_ids

LIVE = frozenset({"limits", "tokens", "hooks", "protected", "heartbeat", "actions"})
"""The agent's own settings that are taken over while it runs; all others wait for a restart."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Names:
    """What was added, removed and changed of one kind, by name, in the order of the files."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class Diff:
    """What a reload changes."""

    checks: Names
    renamed: tuple[tuple[str, str], ...]
    """(former id, id) of each check that goes on under another one."""
    unchanged: int
    """Checks that go on as they are."""
    services: Names
    sinks: Names
    routes: bool
    maintenance: bool
    oncall: bool
    """People, groups, and who is on call."""
    actions: Names
    agent: tuple[str, ...]
    """The settings of the agent that changed at once: ``agent.limits``."""
    restart: tuple[str, ...]
    """Those that keep their old value until the agent is restarted: ``agent.listen``."""

    @property
    def sentence(self) -> str:
        """``3 checks added, 1 removed, 2 changed; 1 sink added; restart needed for agent.listen``"""
        parts = [_counted("check", self.checks, len(self.renamed))]
        parts += [_counted("service", self.services), _counted("sink", self.sinks)]
        parts.append("routes changed" if self.routes else "")
        parts.append("maintenance changed" if self.maintenance else "")
        parts.append("on-call changed" if self.oncall else "")
        parts.append(_counted("action", self.actions))
        parts.append(f"{', '.join(self.agent)} changed" if self.agent else "")
        told = "; ".join(part for part in parts if part) or "nothing changed"
        return f"{told}; restart needed for {', '.join(self.restart)}" if self.restart else told

    def as_json(self) -> dict[str, Any]:
        return {
            "checks": _as_json(self.checks),
            "renamed": dict(self.renamed),
            "unchanged": self.unchanged,
            "services": _as_json(self.services),
            "sinks": _as_json(self.sinks),
            "routes": self.routes,
            "maintenance": self.maintenance,
            "oncall": self.oncall,
            "actions": _as_json(self.actions),
            "agent": list(self.agent),
            "restart": list(self.restart),
        }


def compare(before: Config, after: Config) -> Diff:
    """What `after` changes. Written services only: those that stand behind a single check change with it."""
    former = former_ids(before.checks, after.checks)
    renamed = tuple((was, name) for name, was in former.items() if was != name)
    known = set(former.values())
    checks = Names(
        tuple(name for name in after.checks if name not in former),
        tuple(name for name in before.checks if name not in known),
        tuple(name for name, was in former.items() if _differs(before.checks[was], after.checks[name])),
    )
    different = [
        item.name
        for item in fields(AgentSettings)
        if getattr(before.agent, item.name) != getattr(after.agent, item.name)
    ]
    return Diff(
        checks=checks,
        renamed=renamed,
        unchanged=len(former) - len({*checks.changed, *(name for _, name in renamed)}),
        services=_compared(_written(before), _written(after)),
        sinks=_compared(before.sinks, after.sinks),
        routes=before.routes != after.routes,
        maintenance=before.maintenance != after.maintenance,
        oncall=_reached(before) != _reached(after),
        actions=_compared(before.actions, after.actions),
        agent=tuple(f"agent.{name}" for name in different if name in LIVE),
        restart=tuple(f"agent.{name}" for name in different if name not in LIVE),
    )


def _reached(config: Config) -> tuple[object, ...]:
    return config.people, config.groups, config.oncall


def in_force(before: Config, after: Config) -> Config:
    """`after`, with the objects of `before` wherever they are equal, and with its settings that need a restart."""
    former = former_ids(before.checks, after.checks)
    kept = (
        _kept_check(before.checks[former[name]], check) if name in former else check
        for name, check in after.checks.items()
    )
    checks = {check.id: check for check in kept}
    old = {name: getattr(before.agent, name) for name in (f.name for f in fields(AgentSettings)) if name not in LIVE}
    return replace(
        after,
        checks=checks,
        services=_kept(before.services, after.services),
        sinks=_kept(before.sinks, after.sinks),
        routes=before.routes if before.routes == after.routes else after.routes,
        agent=replace(after.agent, **old),
        redactor=before.redactor,
    )


def _differs(before: Check, after: Check) -> bool:
    """Whether more than the name is different. A check that calls itself differently for people is the same."""
    if before.id == after.id:
        return before != after
    own = before.service == before.id and after.service == after.id
    service = before.service if own else after.service
    return before != replace(after, id=before.id, name=before.name, was=before.was, service=service)


def _kept_check(before: Check, after: Check) -> Check:
    if before == after:
        return before
    return replace(after, probe=before.probe) if before.probe == after.probe else after


def _kept(before: Mapping[str, T], after: Mapping[str, T]) -> dict[str, T]:
    return {name: before[name] if before.get(name) == item else item for name, item in after.items()}


def _written(config: Config) -> dict[str, Any]:
    return {name: item for name, item in config.services.items() if not item.implicit}


def _compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> Names:
    return Names(
        tuple(name for name in after if name not in before),
        tuple(name for name in before if name not in after),
        tuple(name for name, item in after.items() if name in before and before[name] != item),
    )


def _counted(word: str, names: Names, renamed: int = 0) -> str:
    counts: Iterable[tuple[int, str]] = (
        (len(names.added), "added"),
        (len(names.removed), "removed"),
        (len(names.changed), "changed"),
        (renamed, "renamed"),
    )
    told = [(count, what) for count, what in counts if count]
    if not told:
        return ""
    (first, what), *others = told
    return ", ".join([f"{first} {word}{'' if first == 1 else 's'} {what}", *(f"{n} {w}" for n, w in others)])


def _as_json(names: Names) -> dict[str, list[str]]:
    return {"added": list(names.added), "removed": list(names.removed), "changed": list(names.changed)}
