"""Which kinds of probe there are: every module and package of this folder, then what other distributions announce.

A package hands on its probe in its ``__init__``; its other modules are its own business.

A third-party probe is announced by an entry point of the group "brownout.probes"; see docs/writing-a-probe.md.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType, ModuleType

import probes as package
from probes.contract import BadField, Probe

GROUP = "brownout.probes"
_NOT_PROBES = frozenset({"contract", "reasons", "registry"})


class BadPlugin(Exception):
    """A probe that cannot be used; the text names the distribution or the classes."""


@cache
def builtin() -> Mapping[str, type[Probe]]:
    """The probes of this distribution, by kind."""
    found: dict[str, type[Probe]] = {}
    for module in pkgutil.iter_modules(package.__path__, "probes."):
        name = module.name.removeprefix("probes.")
        if not name.startswith("_") and name not in _NOT_PROBES:
            for probe in _probes_of(importlib.import_module(module.name)):
                _add(found, probe)
    return MappingProxyType(dict(sorted(found.items())))


@cache
def probes() -> Mapping[str, type[Probe]]:
    """All probes by kind, those of other distributions included. Raises `BadPlugin`."""
    return with_plugins(builtin(), entry_points(group=GROUP))


def with_plugins(known: Mapping[str, type[Probe]], plugins: Iterable[EntryPoint]) -> Mapping[str, type[Probe]]:
    """`known` and the probes that entry points load. Raises `BadPlugin`."""
    found = dict(known)
    for plugin in plugins:
        _add(found, _load(plugin))
    return MappingProxyType(found)


def driver_note(extra: str) -> str:
    """For a manual: what a kind needs that not every installation has."""
    return f"Needs a driver, which requirements.lock brings; else `pip install brownout[{extra}]`."


def optional(module: str, extra: str) -> ModuleType:
    """Import what only some kinds need, in their `__post_init__`: whoever does not use them need not have it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BadField("probe", f"needs {module}: pip install brownout[{extra}]") from error


def _probes_of(module: ModuleType) -> Iterable[type[Probe]]:
    for _, value in inspect.getmembers(module, inspect.isclass):
        inside = value.__module__ == module.__name__ or value.__module__.startswith(f"{module.__name__}.")
        if inside and issubclass(value, Probe) and hasattr(value, "kind"):
            yield value


def _load(plugin: EntryPoint) -> type[Probe]:
    whose = f"{plugin.dist.name} {plugin.dist.version}" if plugin.dist is not None else plugin.value
    try:
        probe = plugin.load()
    except Exception as error:
        raise BadPlugin(
            f"{whose}: probe {plugin.name!r} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not (inspect.isclass(probe) and issubclass(probe, Probe) and hasattr(probe, "kind")):
        raise BadPlugin(f"{whose}: {plugin.value} is not a Probe with a kind")
    if probe.kind != plugin.name:
        raise BadPlugin(f"{whose}: the entry point is called {plugin.name!r}, but the probe's kind is {probe.kind!r}")
    return probe


def _add(found: dict[str, type[Probe]], probe: type[Probe]) -> None:
    other = found.setdefault(probe.kind, probe)
    if other is not probe:
        raise BadPlugin(f"two probes of kind {probe.kind!r}: {_named(other)} and {_named(probe)}; uninstall one")


def _named(probe: type[Probe]) -> str:
    return f"{probe.__module__}.{probe.__qualname__}"
