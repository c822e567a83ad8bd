"""What the world is made of: the finished configuration, as far as deciding needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.core.event import Source
from monitor.core.maintenance import Window
from monitor.core.model import Check, Service
from monitor.core.routing import Route


@dataclass(frozen=True, slots=True)
class Plan:
    checks: Mapping[str, Check]
    services: Mapping[str, Service]
    routes: tuple[Route, ...]
    source: Source
    sinks: frozenset[str]
    """The names of all sinks there are: whoever was told of an incident and is gone since, is told no more."""
    maintenance: tuple[Window, ...] = ()
    """The windows that are written down."""
    dependants: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)
    """By the id of a check: those that name it in `depends_on`."""

    def __post_init__(self) -> None:
        found: dict[str, list[str]] = {}
        for check in self.checks.values():
            for parent in check.depends_on:
                found.setdefault(parent, []).append(check.id)
        object.__setattr__(self, "dependants", {name: tuple(names) for name, names in found.items()})
