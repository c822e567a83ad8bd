"""Finds the sinks: one kind a file in this folder, then the entry points "brownout.sinks" of installed packages."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import ModuleType

import monitor.sinks
from monitor.sinks.contract import Sink

ENTRY_POINTS = "brownout.sinks"
_NO_SINKS = frozenset({"contract", "registry"})


@dataclass(frozen=True, slots=True)
class Registry:
    """The kinds that can be used, and why others cannot (text for people), by kind."""

    kinds: Mapping[str, type[Sink]]
    broken: Mapping[str, str]


def load() -> Registry:
    """Import every sink. One that fails to import is `broken`, and stops nobody who does not use it."""
    kinds: dict[str, type[Sink]] = {}
    broken: dict[str, str] = {}
    for name in _own_files():
        try:
            found = sinks_of(importlib.import_module(f"monitor.sinks.{name}"))
        except ImportError as error:
            broken[name] = f'sink type "{name}" needs {error.name}: pip install "brownout[{name}]"'
            continue
        kinds |= {sink.kind: sink for sink in found}
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name in kinds:
            broken[f"{entry.name} ({entry.value})"] = f'"{entry.name}" is a sink type of Brownout itself'
            continue
        try:
            kinds[entry.name] = _checked(entry.name, entry.load())
        except Exception as error:  # noqa: BLE001  (a stranger's plug-in must not stop the agent)
            broken[entry.name] = f'sink type "{entry.name}" ({entry.value}) cannot be loaded: {error!r}'[:500]
    return Registry(kinds, broken)


def sinks() -> Mapping[str, type[Sink]]:
    """The kinds that can be used."""
    return load().kinds


def sinks_of(module: ModuleType) -> list[type[Sink]]:
    """The sinks that a module defines itself."""
    return [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Sink)
        and not inspect.isabstract(value)
        and value.__module__ == module.__name__
    ]


def _own_files() -> Iterable[str]:
    for module in pkgutil.iter_modules(monitor.sinks.__path__):
        if not module.name.startswith("_") and module.name not in _NO_SINKS:
            yield module.name


def _checked(name: str, loaded: object) -> type[Sink]:
    if not (inspect.isclass(loaded) and issubclass(loaded, Sink) and loaded.kind == name):
        raise TypeError(f"{loaded!r} is no Sink of kind {name}")
    return loaded
