"""Which kinds of probe there are: every module and package of this folder, then what other distributions announce.

A module or package has the name of its kind. A package hands on its probe in its ``__init__``; its other modules are
its own business.

A third-party probe is announced by an entry point of the group "brownout.probes"; see docs/writing-a-probe.md.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from itertools import chain
from types import MappingProxyType, ModuleType

import probes as package
from probes.contract import BadField, Probe

GROUP = "brownout.probes"
_NOT_PROBES = frozenset({"contract", "reasons", "registry"})


class BadPlugin(Exception):
    """A probe that cannot be used; the text names the distribution or the classes."""


class Shelf(Mapping[str, type[Probe]]):
    """Probes by kind. One of ours is imported when it is first taken: a file names two or three kinds, and importing
    all of them takes longer than most commands do."""

    def __init__(self, own: Iterable[str], others: Mapping[str, type[Probe]] = MappingProxyType({})) -> None:
        """`own`: the kinds of this distribution; `others` come after them."""
        self._own = frozenset(own)
        self._others = others

    def __getitem__(self, kind: str) -> type[Probe]:
        return _own(kind) if kind in self._own else self._others[kind]

    def __contains__(self, kind: object) -> bool:
        return kind in self._own or kind in self._others  # nothing is imported for that

    def __iter__(self) -> Iterator[str]:
        return chain(sorted(self._own), self._others)

    def __len__(self) -> int:
        return len(self._own) + len(self._others)


@cache
def builtin() -> Mapping[str, type[Probe]]:
    """The probes of this distribution, by kind, each imported when it is taken."""
    names = (module.name for module in pkgutil.iter_modules(package.__path__))
    return Shelf(name for name in names if not name.startswith("_") and name not in _NOT_PROBES)


@cache
def probes() -> Mapping[str, type[Probe]]:
    """All probes by kind, those of other distributions included. Raises `BadPlugin`."""
    return with_plugins(builtin(), entry_points(group=GROUP))


def with_plugins(own: Collection[str], plugins: Iterable[EntryPoint]) -> Mapping[str, type[Probe]]:
    """Our own kinds, and the probes that entry points load, at once. Raises `BadPlugin`."""
    others: dict[str, type[Probe]] = {}
    for plugin in plugins:
        probe = _load(plugin)
        other = _own(probe.kind) if probe.kind in own else others.setdefault(probe.kind, probe)
        if other is not probe:
            raise BadPlugin(f"two probes of kind {probe.kind!r}: {_named(other)} and {_named(probe)}; uninstall one")
    return Shelf(own, others)


def driver_note(extra: str) -> str:
    """For a manual: what a kind needs that not every installation has."""
    return f"Needs a driver, which requirements.lock brings; else `pip install brownout[{extra}]`."


def optional(module: str, extra: str) -> ModuleType:
    """Import what only some kinds need, in their `__post_init__`: whoever does not use them need not have it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BadField("probe", f"needs {module}: pip install brownout[{extra}]") from error


@cache
def _own(kind: str) -> type[Probe]:
    module = importlib.import_module(f"{package.__name__}.{kind}")
    for value in vars(module).values():
        if inspect.isclass(value) and issubclass(value, Probe) and getattr(value, "kind", None) == kind:
            return value
    raise RuntimeError(f"{module.__name__} holds no probe of the kind {kind!r}: the two have one name")


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


def _named(probe: type[Probe]) -> str:
    return f"{probe.__module__}.{probe.__qualname__}"
