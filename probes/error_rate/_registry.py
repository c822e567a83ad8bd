"""Which sources there are: every module of this folder that holds one, so that a new source is one file."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from probes.error_rate.source import Source

_NOT_SOURCES = frozenset({"probe", "source"})


@cache
def sources() -> Mapping[str, type[Source]]:
    """The sources by the key that selects them, in order of their names."""
    package = __name__.rpartition(".")[0]
    found: dict[str, type[Source]] = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)], f"{package}."):
        name = module.name.rpartition(".")[2]
        if name.startswith("_") or name in _NOT_SOURCES:
            continue
        loaded = importlib.import_module(module.name)
        for _, value in inspect.getmembers(loaded, inspect.isclass):
            if value.__module__ == module.name and issubclass(value, Source) and hasattr(value, "name"):
                found[value.name] = value
    return MappingProxyType(dict(sorted(found.items())))
