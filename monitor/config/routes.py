"""The text form of `when:`: ``service = shop and impact = outage``.

    expression = conjunction {"or" conjunction}
    conjunction = negation {"and" negation}
    negation = "not" negation | "(" expression ")" | term
    term = field ("=" | "!=") value | field ["not"] "in" "(" value {"," value} ")"
    field = "event" | "impact" | "service" | "check" | "state" | "owner" | "label." name

A value may hold ``*``; one with spaces or signs is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pydantic import ValidationError

from monitor.config.escalation import check_targets, finish_steps
from monitor.config.faults import Entry, Faults
from monitor.config.fields import NAMES
from monitor.config.model import Escalating
from monitor.config.schema import RouteKeys
from monitor.config.secrets import Secrets
from monitor.config.suggest import Vocabulary, shorten
from monitor.core.model import EventType, Impact, ServiceState, State
from monitor.core.routing import ALWAYS, AllOf, AnyOf, Expression, Not, Policy, Route, Term

FIELDS = ("event", "impact", "service", "check", "state", "owner")
_TOKEN = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|(!=|==|[=(),])|([^\s"'=!(),]+)|(\S))""")

Lookup = Callable[[str], str]
"""A value as written to the value that events carry. Raises `ValueError` for an unknown one."""


@dataclass(frozen=True, slots=True)
class Known:
    """What routes may name: the values of `when:`, the `targets` of `to:`, and escalations by name."""

    lookups: Mapping[str, Lookup]
    targets: Vocabulary
    escalations: Mapping[str, Escalating]


def closed_lookups() -> dict[str, Lookup]:
    """For the fields whose values are known beforehand."""
    states = dict.fromkeys([*(state.value for state in State), *(state.value for state in ServiceState)])
    return {
        "event": _closed("event", tuple(event.value for event in EventType if event is not EventType.DIGEST)),
        "impact": _closed("impact", tuple(impact.value for impact in Impact)),
        "state": _closed("state", tuple(states)),
    }


def read_routes(
    entries: list[Entry] | None,
    sinks: tuple[str, ...],
    known: Known,
    secrets: Secrets,
    faults: Faults,
) -> tuple[Route, ...]:
    """The routes in the order of the file. None (no `routes:` at all): everything by default, to every sink."""
    if entries is None:
        return (Route(sinks),) if sinks else ()
    return tuple(route for entry in entries if (route := _read_route(entry, known, secrets, faults)))


def _read_route(entry: Entry, known: Known, secrets: Secrets, faults: Faults) -> Route | None:
    keys: RouteKeys | None = None
    try:
        keys = RouteKeys.model_validate(entry.value, context=secrets)
    except ValidationError as error:
        faults.add_findings(entry.place, error, RouteKeys)
    if not isinstance(entry.value, dict):
        return None
    when: Expression = ALWAYS
    if entry.text("when") is not None:
        try:
            when = parse_when(secrets.resolve(entry.value["when"], public=True), known.lookups)
        except ValueError as error:
            faults.add(entry.place, str(error), "when")
    if "to" in entry.value:
        with suppress(ValidationError):  # the model has reported it
            to = NAMES.validate_python(entry.value["to"], context=secrets)
            check_targets(to, known.targets, entry.place, "route", faults, "to")
    elif "escalate" not in entry.value:
        faults.add(entry.place, '"to" is missing')
    return None if keys is None else _finish_route(keys, when, entry, known, faults)


def _finish_route(keys: RouteKeys, when: Expression, entry: Entry, known: Known, faults: Faults) -> Route:
    steps = Escalating()
    asked: object = keys.escalate
    if isinstance(asked, str):
        if asked not in known.escalations:
            faults.add(entry.place, Vocabulary("escalation", known.escalations).unknown(asked), "escalate")
        steps = known.escalations.get(asked, steps)
    elif keys.escalate is not None:
        steps = finish_steps(keys.escalate, entry.place, known.targets, faults, "escalate")
    for key in ("escalate", "remind"):
        if key in keys.model_fields_set and "event" in when.fields():
            told = "goes by incidents, from their beginning to their end: leave event out of when"
            faults.add(entry.place, told, key)
    to = tuple(dict.fromkeys((*keys.to, *steps.at_once)))
    policy = Policy(steps.later, keys.remind) if steps.later or keys.remind else None
    return Route(to, when, policy, keys.during, keys.quiet)


def parse_when(text: str, lookups: Mapping[str, Lookup]) -> Expression:
    """The expression that `text` says. Raises `ValueError` with what to write instead."""
    parser = _Parser(text, lookups)
    expression = parser.expression()
    parser.end()
    return expression


def one_of(known: Vocabulary, meaning: Mapping[str, str] | None = None) -> Lookup:
    """For a field whose values the configuration has. `meaning`: what they stand for, where that is another."""

    def look_up(value: str) -> str:
        if "*" in value or value in known:
            return (meaning or {}).get(value, value)
        raise ValueError(known.unknown(value))

    return look_up


def _closed(noun: str, values: tuple[str, ...]) -> Lookup:
    def look_up(value: str) -> str:
        if value in values or ("*" in value and any(fnmatchcase(known, value) for known in values)):
            return value
        raise ValueError(Vocabulary(noun, values).unknown(value))

    return look_up


class _Parser:
    def __init__(self, text: str, lookups: Mapping[str, Lookup]) -> None:
        self._lookups = lookups
        self._tokens: list[tuple[str, str]] = []
        for double, single, sign, word, odd in _TOKEN.findall(text):
            if odd:
                raise ValueError(
                    f'"{odd}" is not read here: write terms such as service = shop, joined by and, or, not'
                )
            kind = "sign" if sign else "word" if word else "quoted"
            self._tokens.append((kind, sign or word or double or single))
        self._at = 0

    def expression(self) -> Expression:
        terms = [self._conjunction()]
        while self._skip("word", "or"):
            terms.append(self._conjunction())
        return AnyOf(tuple(terms)) if len(terms) > 1 else terms[0]

    def end(self) -> None:
        if self._at < len(self._tokens):
            found = shorten(self._tokens[self._at][1])
            raise ValueError(
                f'"{found}" does not belong here: join terms by and, or; quote a value that holds a space'
            )

    def _conjunction(self) -> Expression:
        terms = [self._negation()]
        while self._skip("word", "and"):
            terms.append(self._negation())
        return AllOf(tuple(terms)) if len(terms) > 1 else terms[0]

    def _negation(self) -> Expression:
        if self._skip("word", "not"):
            return Not(self._negation())
        if self._skip("sign", "("):
            inner = self.expression()
            self._expect(")")
            return inner
        return self._term()

    def _term(self) -> Expression:
        field = self._value("a field such as service")
        if field not in FIELDS and not (field.startswith("label.") and len(field) > len("label.")):
            raise ValueError(Vocabulary("field", (*FIELDS, "label.NAME")).unknown(field))
        if self._skip("sign", "="):
            return self._compare(field, negated=False)
        if self._skip("sign", "!="):
            return self._compare(field, negated=True)
        negated = self._skip("word", "not")
        if self._skip("word", "in"):
            return self._among(field, negated=negated)
        found = f', not "{shorten(self._tokens[self._at][1])}"' if self._at < len(self._tokens) else ""
        raise ValueError(f"after {field} comes =, != or in (...){found}")

    def _compare(self, field: str, *, negated: bool) -> Term:
        value = self._value(f"a value for {field}")
        look_up = self._lookups.get(field)
        known = look_up(value) if look_up else value
        return Term(field, known.replace("[", "[[]").replace("?", "[?]"), negated)

    def _among(self, field: str, *, negated: bool) -> Expression:
        self._expect("(")
        terms: list[Expression] = [self._compare(field, negated=False)]
        while self._skip("sign", ","):
            terms.append(self._compare(field, negated=False))
        self._expect(")")
        return Not(AnyOf(tuple(terms))) if negated else AnyOf(tuple(terms))

    def _value(self, wanted: str) -> str:
        if self._at >= len(self._tokens):
            raise ValueError(f"{wanted} is missing at the end")
        kind, text = self._tokens[self._at]
        if kind == "sign" or (kind == "word" and text in ("and", "or", "in")):
            raise ValueError(f'{wanted} comes here, not "{text}"')
        self._at += 1
        return text

    def _skip(self, kind: str, text: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == (kind, text):
            self._at += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._skip("sign", sign):
            if self._at < len(self._tokens):
                raise ValueError(f'"{sign}" comes here, not "{shorten(self._tokens[self._at][1])}"')
            # Between { } YAML itself ends a text at its comma, and what follows becomes a key of its own.
            raise ValueError(f'"{sign}" is missing at the end: quote the rule if it holds a comma')
