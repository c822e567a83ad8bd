"""Windows of maintenance: of what, and from when to when.

A window goes by the wall clock, as the people who announce it do. It covers checks: those it names, those of the
services it names, and those whose labels (or their service's) it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Protocol

from monitor.core.model import Check, Service
from monitor.core.snapshot import read_seconds

LONGEST_AD_HOC = 30 * 86400.0
"""Seconds that a window may last which is announced by hand: what lasts longer is written down for others to see."""

MOST_COMPARED = 500
"""Names that a misspelt one is compared with."""


class Schedule(Protocol):
    """When something recurs. Times are Unix times."""

    @property
    def text(self) -> str:
        """For people."""

    def after(self, at: float) -> float:
        """The first time after `at`."""


class Watched(Protocol):
    """Checks and services by their ids."""

    @property
    def checks(self) -> Mapping[str, Check]: ...

    @property
    def services(self) -> Mapping[str, Service]: ...

    def labelled(self, labels: Iterable[tuple[str, str]]) -> Sequence[str]:
        """The ids of the checks that have all of them, their service's included."""


Part = tuple[str, str] | frozenset[tuple[str, str]]
"""A piece of a scope: ``("check", id)``, ``("service", id)``, or labels that must all hold."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a window covers: any of what is named. Of labels all must hold."""

    checks: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def parts(self) -> Iterator[Part]:
        """Its pieces; two scopes may have some in common."""
        yield from (("check", name) for name in self.checks)
        yield from (("service", name) for name in self.services)
        if self.labels:
            yield frozenset(self.labels.items())

    def members(self, watched: Watched) -> Iterator[str]:
        """The ids of checks, some perhaps twice."""
        for part in self.parts():
            yield from members_of(part, watched)

    def renamed(self, check: str, to: str) -> Scope:
        return replace(self, checks=tuple(to if name == check else name for name in self.checks))

    @property
    def text(self) -> str:
        """``shop, api, tier=web``"""
        return ", ".join((*self.services, *self.checks, *(f"{name}={value}" for name, value in self.labels.items())))


def members_of(part: Part, watched: Watched) -> Sequence[str]:
    """The ids of the checks in a piece of a scope."""
    if isinstance(part, frozenset):
        return watched.labelled(part)
    kind, name = part
    if kind == "check":
        return (name,) if name in watched.checks else ()
    service = watched.services.get(name)
    return service.checks if service is not None else ()


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when, in Unix time; the end is not within."""

    begin: float
    end: float

    def holds(self, at: float) -> bool:
        return self.begin <= at < self.end


@dataclass(frozen=True, slots=True)
class Window:
    """One `span`, or one of `lasts` seconds at each time of a `schedule`."""

    id: str
    scope: Scope
    once: Span | None = None
    schedule: Schedule | None = None
    lasts: float = 0.0
    why: str = ""
    by: str = ""
    """Who has announced it by hand (the name of a token); empty for one of the configuration."""

    def span(self, at: float) -> Span | None:
        """The one that holds `at`, else the next; None when it is over for good."""
        if self.schedule is None:
            return self.once if self.once is not None and at < self.once.end else None
        begin = self.schedule.after(at - self.lasts)
        return Span(begin, begin + self.lasts)

    def as_json(self) -> dict[str, Any]:
        """Of one that was announced by hand: for its note."""
        assert self.once is not None  # noqa: S101  (only those are noted)
        return {
            "checks": list(self.scope.checks),
            "services": list(self.scope.services),
            "labels": dict(self.scope.labels),
            "from": self.once.begin,
            "until": self.once.end,
            "why": self.why,
            "by": self.by,
        }


def read_window(identity: str, value: Mapping[str, Any]) -> Window:
    """Of its note. Raises `ValueError`, `KeyError`, `TypeError` or `AttributeError` for what nobody has written."""
    labels = dict(value["labels"].items())
    _texts([*labels, *labels.values()])
    scope = Scope(_texts(value["checks"]), _texts(value["services"]), labels)
    once = Span(read_seconds(value["from"]), read_seconds(value["until"]))
    return Window(identity, scope, once, why=str(value["why"]), by=str(value["by"]))


def _texts(values: list[Any]) -> tuple[str, ...]:
    if not all(isinstance(value, str) for value in values):
        raise TypeError("a name is a text")
    return tuple(values)


def find(names: Iterable[str], watched: Watched) -> Scope:
    """What people mean by these: checks and services by id or name, labels as ``tier=web``; ``check:``, ``service:``
    and ``label:`` before it say which. Raises `ValueError`, which names one by its place."""
    checks: dict[str, None] = {}
    services: dict[str, None] = {}
    labels: dict[str, str] = {}
    by_name = called(watched)
    for place, name in enumerate(names, 1):
        kind, colon, rest = name.partition(":")
        if not colon or kind not in ("check", "service", "label"):
            kind, rest = "", name
        found = {
            "service": rest if rest in watched.services and not watched.services[rest].implicit else None,
            "check": rest if rest in watched.checks else by_name.get(rest),
        }
        meant = {key: value for key, value in found.items() if value is not None and kind in ("", key)}
        if len(meant) == 2 and watched.services[rest].checks != (meant["check"],):
            raise ValueError(f"name {place} is a check and a service: write check: or service: before it")
        if "service" in meant:
            services[meant["service"]] = None
        elif "check" in meant:
            checks[meant["check"]] = None
        elif "=" in rest and kind in ("", "label"):
            label, _, value = rest.partition("=")
            labels[label] = value
        else:
            raise ValueError(f"name {place} is neither a check nor a service{_perhaps(rest, watched)}")
    scope = Scope(tuple(checks), tuple(services), labels)
    if labels and not any(Scope(labels=labels).members(watched)):
        raise ValueError("no check has these labels")
    return scope


def called(watched: Watched) -> dict[str, str | None]:
    """The ids of checks by their names; None where several have the same."""
    found: dict[str, str | None] = {}
    for check in watched.checks.values():
        found[check.name] = None if check.name in found else check.id
    return found


def _perhaps(name: str, watched: Watched) -> str:
    known = [*watched.services, *watched.checks, *(check.name for check in watched.checks.values())]
    near = get_close_matches(name[:100], known[:MOST_COMPARED], 1)
    return f" (did you mean {near[0]}?)" if near else "; a label is written tier=web"
