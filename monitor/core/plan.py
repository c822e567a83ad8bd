"""What the world is made of: the finished configuration, as far as deciding needs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from monitor.core.event import Source
from monitor.core.handled import Updates
from monitor.core.maintenance import Window
from monitor.core.model import Check, Service
from monitor.core.roster import Roster
from monitor.core.routing import Route
from monitor.core.ruling import Rule


@dataclass(frozen=True, slots=True)
class Themselves:
    """A roster by which every target is a sink: where nobody is on call, and where nobody knows any more who was."""

    def sinks(self, target: str, now: datetime) -> tuple[str, ...]:  # noqa: ARG002  (as the port has it)
        return (target,)


@dataclass(frozen=True, slots=True)
class Plan:
    checks: Mapping[str, Check]
    services: Mapping[str, Service]
    routes: tuple[Route, ...]
    source: Source
    sinks: frozenset[str]
    """The names of all sinks there are: whoever was told of an incident and is gone since, is told its end alone."""
    maintenance: tuple[Window, ...] = ()
    """The windows that are written down."""
    roster: Roster = field(default=Themselves(), compare=False)
    """Who is reached by a name at a time."""
    human: frozenset[str] = frozenset()
    """Of the sinks those that people read."""
    updates: Mapping[str, Updates] = field(default_factory=dict)
    """Of the sinks those that are not told all that happens meanwhile."""
    actions: Mapping[str, Rule] = field(default_factory=dict, compare=False)
    """What is done by itself, by name."""
    acts: bool = field(default=True, compare=False)
    """Whether any of that is done at all."""
    dependants: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)
    """By the id of a check: those that name it in `depends_on`."""
    _by_label: dict[tuple[str, str], dict[str, None]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )
    """The ids of checks by each label that they or their service have; empty until it is asked for."""

    def __post_init__(self) -> None:
        found: dict[str, list[str]] = {}
        for check in self.checks.values():
            for parent in check.depends_on:
                found.setdefault(parent, []).append(check.id)
        object.__setattr__(self, "dependants", {name: tuple(names) for name, names in found.items()})

    def labelled(self, labels: Iterable[tuple[str, str]]) -> Sequence[str]:
        """The ids of the checks that have all of these labels, in the order of the plan."""
        if not self._by_label:
            self._index()
        fewest, *more = sorted((self._by_label.get(label, {}) for label in labels), key=len)
        names = list(fewest)
        for others in more:
            names = [name for name in names if name in others]
        return names

    def _index(self) -> None:
        """Once a plan: hundreds of windows may ask each minute, of 10,000 checks."""
        self._by_label["", ""] = {}
        for check in self.checks.values():
            for label in {**self.services[check.service].labels, **check.labels}.items():
                self._by_label.setdefault(label, {})[check.id] = None
