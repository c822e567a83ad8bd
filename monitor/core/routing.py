"""Routing: to whom an event goes, and to whom next. The text form of `when:` is parsed by `monitor.config.routes`.

A route that does not name `event` speaks of incidents and of the agent itself (``incident.*``, ``agent.*``); a route
that does may pick any event, for example ``event = check.changed``. Every matching route counts; a sink gets an
event once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from monitor.core.hours import Hours


@dataclass(frozen=True, slots=True)
class Term:
    """``field = pattern``; `pattern` may hold ``*``. A field with several values matches if any value does."""

    field: str
    """event, impact, service, check, state, owner, or ``label.NAME``"""
    pattern: str
    negated: bool = False

    def matches(self, facts: Mapping[str, Sequence[str]]) -> bool:
        found = any(fnmatchcase(value, self.pattern) for value in facts.get(self.field, ()))
        return found is not self.negated

    def fields(self) -> frozenset[str]:
        return frozenset((self.field,))


@dataclass(frozen=True, slots=True)
class AllOf:
    terms: tuple[Expression, ...]

    def matches(self, facts: Mapping[str, Sequence[str]]) -> bool:
        return all(term.matches(facts) for term in self.terms)

    def fields(self) -> frozenset[str]:
        return frozenset[str]().union(*(term.fields() for term in self.terms))


@dataclass(frozen=True, slots=True)
class AnyOf:
    terms: tuple[Expression, ...]

    def matches(self, facts: Mapping[str, Sequence[str]]) -> bool:
        return any(term.matches(facts) for term in self.terms)

    def fields(self) -> frozenset[str]:
        return frozenset[str]().union(*(term.fields() for term in self.terms))


@dataclass(frozen=True, slots=True)
class Not:
    term: Expression

    def matches(self, facts: Mapping[str, Sequence[str]]) -> bool:
        return not self.term.matches(facts)

    def fields(self) -> frozenset[str]:
        return self.term.fields()


Expression = Term | AllOf | AnyOf | Not

ALWAYS = AllOf(())
"""The expression of a route without `when:`."""

_DEGRADATION: dict[str, Sequence[str]] = {"impact": ("degradation",), "state": ("degradation",)}


@dataclass(frozen=True, slots=True)
class Step:
    """Who is told so long after the beginning. `to`: targets (`monitor.core.roster`)."""

    after: timedelta
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """`steps` in the order of time. `remind`: how long after it has told something last it tells all whom it has told
    again; the wait doubles with each time. None: never."""

    steps: tuple[Step, ...] = ()
    remind: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """`to`: targets (`monitor.core.roster`). `policy`: who is told while nobody acknowledges what it takes. `during`:
    when it counts; `quiet`: when degradations are not told by it, but behind those hours."""

    to: tuple[str, ...]
    when: Expression = ALWAYS
    policy: Policy | None = None
    during: Hours | None = None
    quiet: Hours | None = None

    def clocked(self, at: datetime) -> tuple[bool, bool]:
        """Whether it counts at that time, and whether it is quiet then."""
        return self.during is None or self.during.holds(at), self.quiet is not None and self.quiet.holds(at)

    @property
    def keeps(self) -> tuple[tuple[str, str], ...]:
        """From whom it keeps degradations, and by which quiet hours."""
        return tuple((target, self.quiet.text) for target in self.to) if self.quiet is not None else ()

    def hushes(self, facts: Mapping[str, Sequence[str]], at: datetime) -> bool:
        """Whether it would tell of it if it were not quiet."""
        if self.quiet is None or "degradation" not in facts.get("impact", ()) or self.clocked(at) != (True, True):
            return False
        return self.takes(facts)

    def takes(self, facts: Mapping[str, Sequence[str]], at: datetime | None = None) -> bool:
        """`at`: None, whatever the hour."""
        if at is not None and (self.during is not None or self.quiet is not None):
            counts, quiet = self.clocked(at)
            if not counts or (quiet and "degradation" in facts.get("impact", ())):
                return False
        if "event" not in self.when.fields() and not _told_by_default(facts["event"][0]):
            return False
        return self.when.matches(facts)


def possible(when: Expression, facts: Mapping[str, Sequence[str]]) -> bool | None:
    """In three-valued logic: what `facts` says nothing of is not known (None)."""
    match when:
        case Term():
            return when.matches(facts) if when.field in facts else None
        case Not():
            inner = possible(when.term, facts)
            return None if inner is None else not inner
        case AllOf():
            found = {possible(term, facts) for term in when.terms}
            return False if False in found else None if None in found else True
        case _:
            found = {possible(term, facts) for term in when.terms}
            return True if True in found else None if None in found else False


def recipients(
    routes: Iterable[Route], facts: Mapping[str, Sequence[str]], at: datetime | None = None
) -> tuple[str, ...]:
    """The targets of an event with these `facts`, each once, in the order of the routes."""
    return _targets(route for route in routes if route.takes(facts, at))


def hushed(routes: Iterable[Route], facts: Mapping[str, Sequence[str]], at: datetime) -> tuple[tuple[str, str], ...]:
    """From whom what has these `facts` is kept now, and by which quiet hours."""
    return tuple(dict.fromkeys(kept for route in routes if route.hushes(facts, at) for kept in route.keeps))


def told_of_degradations(routes: Iterable[Route], facts: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The targets that would be told if what has these `facts` were a degradation; a field without a value may have
    any. Routes that name `event` are left out: they say themselves what they tell of."""
    known = {field: values for field, values in facts.items() if values} | _DEGRADATION
    common = (route for route in routes if "event" not in route.when.fields())
    return _targets(route for route in common if possible(route.when, known) is not False)


def _targets(routes: Iterable[Route]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(target for route in routes for target in route.to))


def policies(
    routes: Iterable[Route], facts: Mapping[str, Sequence[str]], at: datetime | None = None
) -> dict[Policy, tuple[str, ...]]:
    """The policies for an incident with these `facts`, each with the targets of the routes that have it."""
    found: dict[Policy, tuple[str, ...]] = {}
    for route in routes:
        if route.policy is not None and route.takes(facts, at):
            found[route.policy] = tuple(dict.fromkeys((*found.get(route.policy, ()), *route.to)))
    return found


def _told_by_default(event: str) -> bool:
    return event.startswith(("incident.", "agent."))
