"""Routing: which sinks an event goes to. The text form of `when:` is parsed by `monitor.config.routes`.

A route that does not name `event` speaks of incidents and of the agent itself (``incident.*``, ``agent.*``); a route
that does may pick any event, for example ``event = check.changed``. Every matching route counts; a sink gets an
event once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase


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
class Route:
    to: tuple[str, ...]
    when: Expression = ALWAYS

    def takes(self, facts: Mapping[str, Sequence[str]]) -> bool:
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


def recipients(routes: Iterable[Route], facts: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The names of the sinks for an event with these `facts`, each once, in the order of the routes."""
    return _sinks(route for route in routes if route.takes(facts))


def told_of_degradations(routes: Iterable[Route], facts: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The sinks that would be told if what has these `facts` were a degradation; a field without a value may have
    any. Routes that name `event` are left out: they say themselves what they tell of."""
    known = {field: values for field, values in facts.items() if values} | _DEGRADATION
    common = (route for route in routes if "event" not in route.when.fields())
    return _sinks(route for route in common if possible(route.when, known) is not False)


def _sinks(routes: Iterable[Route]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sink for route in routes for sink in route.to))


def _told_by_default(event: str) -> bool:
    return event.startswith(("incident.", "agent."))
