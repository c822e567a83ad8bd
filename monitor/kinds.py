"""Which probes and sinks are installed: ours, found in their folders, and those of third parties."""

from __future__ import annotations

from functools import cache

from monitor.config.kinds import Kinds
from monitor.sinks import registry
from probes.registry import probes


@cache
def installed_kinds() -> Kinds:
    found = registry.load()
    return Kinds(probes=probes(), sinks=found.kinds, broken_sinks=found.broken)
