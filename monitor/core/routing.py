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


@dataclass(frozen=True, slots=True)
class Route:
    to: tuple[str, ...]
    when: Expression = ALWAYS

    def takes(self, facts: Mapping[str, Sequence[str]]) -> bool:
        if "event" not in self.when.fields() and not _told_by_default(facts["event"][0]):
            return False
        return self.when.matches(facts)


def recipients(routes: Iterable[Route], facts: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The names of the sinks for an event with these `facts`, each once, in the order of the routes."""
    return tuple(dict.fromkeys(sink for route in routes if route.takes(facts) for sink in route.to))


def _told_by_default(event: str) -> bool:
    return event.startswith(("incident.", "agent."))
