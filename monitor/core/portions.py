"""What of two plans differs, in portions that can be taken over one by one.

A portion is closed in itself: its checks are in its services, before and after, and no check or service of it was or
is to be anything outside. So whatever is decided of it needs nothing of the others, and what has been taken over is
consistent although the rest has not yet been. What is the same object in both plans, and hangs together with nothing
that is not, is in no portion at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from monitor.core.model import Check, Incident, Service

T = TypeVar("T")


class Layout(Protocol):
    """Checks and services by their ids; a `Plan` is one."""

    @property
    def checks(self) -> Mapping[str, Check]: ...

    @property
    def services(self) -> Mapping[str, Service]: ...


@dataclass(frozen=True, slots=True)
class Section:
    """The checks and services of a portion, as one of the plans has them."""

    checks: Mapping[str, Check]
    services: Mapping[str, Service]


@dataclass(frozen=True, slots=True)
class Names:
    """New names by the former ones, of what is the same under both."""

    checks: Mapping[str, str]
    services: Mapping[str, str]
    """Only those whose name is another one now."""

    def incident(self, incident: Incident) -> Incident:
        def renamed(names: Iterable[str], to: Mapping[str, str]) -> tuple[str, ...]:
            return tuple(to.get(name, name) for name in names)

        root, *checks = renamed((incident.root, *incident.checks), self.checks)
        return replace(incident, root=root, checks=tuple(checks), services=renamed(incident.services, self.services))


@dataclass(frozen=True, slots=True)
class Portion:
    before: Section
    after: Section
    names: Names


def former_ids(before: Mapping[str, Check], after: Mapping[str, Check]) -> dict[str, str]:
    """Of each check that goes on, by its id: the id under which it was known."""
    known: dict[str, str] = {}
    for check in after.values():
        former = next((name for name in (check.id, *check.was) if name in before), None)
        if former is not None and (former == check.id or former not in after):
            known[check.id] = former
    return known


def portions(before: Layout, after: Layout) -> list[Portion]:
    """In the order of the plans. This takes time by the number of all checks; to take a portion over takes time by
    the number of its own."""
    links = _Links(before, after)
    for name in _different(before.checks, after.checks):
        links.follow([name], [])
    for name in _different(before.services, after.services):
        links.follow([], [name])
    return links.found


def _different(before: Mapping[str, T], after: Mapping[str, T]) -> Iterator[str]:
    return (name for name in dict.fromkeys((*before, *after)) if before.get(name) is not after.get(name))


class _Links:
    """Which checks and services hang together."""

    def __init__(self, before: Layout, after: Layout) -> None:
        self._before, self._after = _Ordered(before), _Ordered(after)
        self.found: list[Portion] = []
        self._checks: set[str] = set()
        self._services: set[str] = set()
        """What has been found."""
        self._heirs: dict[str, list[str]] = {}
        """By the name that checks once had: their names now."""
        for check in after.checks.values():
            for name in check.was:
                self._heirs.setdefault(name, []).append(check.id)

    def follow(self, checks: list[str], services: list[str]) -> None:
        """Find the portion around these, unless it has been found."""
        own_checks, own_services = [], []
        while checks or services:
            if checks:
                if (name := checks.pop()) not in self._checks:
                    self._checks.add(name)
                    own_checks.append(name)
                    checks += self._kin(name)
                    services += self._homes(name)
            elif (name := services.pop()) not in self._services:
                self._services.add(name)
                own_services.append(name)
                checks += self._members(name)
        if own_checks or own_services:
            before = self._before.section(own_checks, own_services)
            after = self._after.section(own_checks, own_services)
            self.found.append(Portion(before, after, _names(before, after)))

    def _kin(self, name: str) -> Iterable[str]:
        """The other names under which the check was or is known."""
        check = self._after.checks.get(name)
        return (*(check.was if check else ()), *self._heirs.get(name, ()))

    def _homes(self, name: str) -> list[str]:
        return [check.service for plan in (self._before, self._after) if (check := plan.checks.get(name))]

    def _members(self, name: str) -> list[str]:
        return [
            check
            for plan in (self._before, self._after)
            if (service := plan.services.get(name))
            for check in service.checks
        ]


class _Ordered:
    """A plan whose portions are in its order, whatever the order in which they were found."""

    def __init__(self, layout: Layout) -> None:
        self.checks, self.services = layout.checks, layout.services
        self._checks = {name: place for place, name in enumerate(self.checks)}
        self._services = {name: place for place, name in enumerate(self.services)}

    def section(self, checks: Iterable[str], services: Iterable[str]) -> Section:
        return Section(_those(checks, self.checks, self._checks), _those(services, self.services, self._services))


def _those(names: Iterable[str], items: Mapping[str, T], places: Mapping[str, int]) -> dict[str, T]:
    return {name: items[name] for name in sorted((name for name in names if name in items), key=places.__getitem__)}


def _names(before: Section, after: Section) -> Names:
    checks = {was: name for name, was in former_ids(before.checks, after.checks).items()}
    services = {
        was: name
        for was, name in checks.items()
        if was != name and _stands_alone(before, was) and _stands_alone(after, name)
    }
    return Names(checks, services)


def _stands_alone(section: Section, check: str) -> bool:
    """Whether the check has a service of its own, which nobody has written: it has the check's name."""
    service = section.services.get(check)
    return service is not None and service.implicit and section.checks[check].service == service.id
