"""Which probes and sinks are installed: ours, found in their folders, and those of third parties."""

from __future__ import annotations

from functools import cache

from monitor.config.kinds import Kinds
from monitor.sinks.registry import sinks
from probes.registry import probes


@cache
def installed_kinds() -> Kinds:
    return Kinds(probes=probes(), sinks=sinks())
