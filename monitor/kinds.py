"""Which probes and sinks are installed: ours, found in their folders, and those of third parties."""

from __future__ import annotations

from functools import cache

from monitor.config.kinds import Kinds
from monitor.config.model import ConfigError, Fault
from monitor.sinks import registry
from probes.registry import BadPlugin, probes


@cache
def installed_kinds() -> Kinds:
    """Raises `ConfigError` when a probe of a third party cannot be used."""
    found = registry.load()
    try:
        return Kinds(probes=probes(), sinks=found.kinds, broken_sinks=found.broken)
    except BadPlugin as error:
        raise ConfigError((Fault("installed probes", 0, 0, "", str(error)),)) from None
