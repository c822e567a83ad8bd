"""What the world is made of: the finished configuration, as far as deciding needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
