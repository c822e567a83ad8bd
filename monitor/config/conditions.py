"""Thresholds as text: ``p95(response_time, 5m) > 800ms, clear < 600ms``.

    condition = figure bound {[","] modifier}
    figure    = measurement | measurement "(" window ")" | aggregate "(" measurement ["," window] ")"
    aggregate = "last" | "mean" | "min" | "max" | "rate" | "count" | "p1" .. "p99"
    bound     = (">" | ">=" | "<" | "<=") (limit | [N "x"] measurement | [N "x"] "usual")
    modifier  = "for" N "of" M | "for" span | "clear" bound | "at" "least" count [word]

``name(5m)`` is the mean over the window; for a measurement that is a ratio, the ratio of the sums. A measurement that
is the time of a phase may be called like the phase: ``first_byte`` for ``first_byte_time``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

from monitor.config.suggest import Vocabulary, shorten
from monitor.config.units import parse_duration, parse_figure
from monitor.core.condition import USUAL, Aggregate, Bound, Condition, Level, Operator
from monitor.core.wording import TEXT_LIMIT
from probes.contract import Measurement, Unit

LONGEST_WINDOW = timedelta(days=1)
MOST_LOOKS = 100
_MOST_TIMES = 1e6

_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<figure>-?[0-9][^\s,()<>=]*)|(?P<sign>[<>=!]=?|[(),])|(?P<odd>\S))"
)
_TIMES = re.compile(r"([0-9]+(?:\.[0-9]+)?)x")
_PERCENTILE = re.compile(r"p([0-9]{1,9})")
_AGGREGATES = {aggregate.value: aggregate for aggregate in Aggregate if aggregate is not Aggregate.PERCENTILE}
_RATE_UNITS = {Unit.COUNT: Unit.PER_SECOND, Unit.BYTES: Unit.BYTES_PER_SECOND, Unit.SECONDS: Unit.RATIO}
_NOT_OF_RATIOS = (Aggregate.MIN, Aggregate.MAX, Aggregate.PERCENTILE)
_MODIFIER_WORDS = ("clear ", "for ", "at least ")
_LIMIT_EXAMPLES = {
    Unit.SECONDS: "800ms", Unit.RATIO: "1%", Unit.BYTES: "20MiB", Unit.COUNT: "3", Unit.PER_SECOND: "3/s",
    Unit.BYTES_PER_SECOND: "20MiB/s",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def parse_condition(text: str, level: Level, measurements: Sequence[Measurement]) -> Condition:
    """The condition that `text` says. Raises `ValueError` with what to write instead."""
    words = " ".join(text.split())
    if len(words) > TEXT_LIMIT:
        raise ValueError(f"is {len(words)} characters long: no condition needs more than {TEXT_LIMIT}")
    return _Parser(words, level, {m.name: m for m in measurements}).condition()


def split_condition(pieces: Sequence[str]) -> str | None:
    """The condition that a flow list has split at its comma, put together again; None when the pieces are whole.

    ``[p95(response_time, 5m) > 800ms, clear < 600ms]`` reaches us as three texts.
    """
    whole: list[list[str]] = []
    broken: list[str] | None = None
    depth = 0
    for piece in pieces:
        if whole and (depth > 0 or piece.startswith(_MODIFIER_WORDS)):
            whole[-1].append(piece)
            broken = broken or whole[-1]
        else:
            whole.append([piece])
        depth += piece.count("(") - piece.count(")")
    return ", ".join(broken) if broken else None


class _Parser:
    def __init__(self, text: str, level: Level, known: Mapping[str, Measurement]) -> None:
        self._text = text
        self._level = level
        self._known = known
        self._tokens = [_Token(m.lastgroup or "", m[m.lastgroup or 0]) for m in _TOKEN.finditer(text)]
        self._at = 0
        self._counted = False
        """Whether the figure is a rate or a count, of which nothing is known to be usual."""

    def condition(self) -> Condition:
        if not self._tokens:
            raise ValueError("a condition is missing: write one such as response_time > 800ms")
        if self._text.count("(") > self._text.count(")"):
            raise ValueError(
                f'"{shorten(self._text)}" ends inside its bracket: quote the condition if it holds a comma'
            )
        aggregate, percentile, measurement, window = self._figure()
        unit = self._unit(aggregate, measurement)
        self._counted = aggregate in (Aggregate.RATE, Aggregate.COUNT)
        bound = self._bound(unit)
        modifiers = self._modifiers(unit)
        clear, at_least = modifiers.get("clear"), modifiers.get("at least")
        if isinstance(clear, Bound):
            self._check_clear(bound, clear)
        if at_least is not None and window is None:
            raise ValueError(f'"at least" counts in a window: write {measurement.name}(5m)')
        looks, span = modifiers.get("for looks"), modifiers.get("for span")
        return Condition(
            text=self._text,
            level=self._level,
            measurement=measurement.name,
            unit=unit,
            bound=bound,
            aggregate=aggregate,
            percentile=percentile,
            window=window,
            clear=clear if isinstance(clear, Bound) else None,
            for_looks=looks if isinstance(looks, tuple) else None,
            for_span=span if isinstance(span, timedelta) else None,
            at_least=at_least if isinstance(at_least, float) else None,
            ratio_of=measurement.ratio_of,
        )

    # --- the figure -------------------------------------------------------------------------------------------

    def _figure(self) -> tuple[Aggregate, int | None, Measurement, timedelta | None]:
        name = self._take("name", "the name of a measurement")
        if not self._skip("("):
            return Aggregate.LAST, None, self._measurement(name), None
        token = self._peek()
        if token is not None and token.kind == "figure":
            measurement, window = self._measurement(name), self._window()
            self._expect(")")
            return Aggregate.MEAN, None, measurement, window
        aggregate, percentile = self._aggregate(name)
        measurement = self._measurement(self._take("name", "the name of a measurement"))
        found = self._window() if self._skip(",") else None
        self._expect(")")
        if found is None and aggregate is not Aggregate.LAST:
            raise ValueError(f"{name} needs a window: write {name}({measurement.name}, 5m)")
        if measurement.ratio_of and aggregate in _NOT_OF_RATIOS:
            raise ValueError(f"{measurement.name} is a ratio of sums over a window: write {measurement.name}(5m)")
        return aggregate, percentile, measurement, found

    def _aggregate(self, name: str) -> tuple[Aggregate, int | None]:
        if match := _PERCENTILE.fullmatch(name):
            if not 1 <= int(match[1]) <= 99:
                raise ValueError(f"{name} is no percentile: they go from p1 to p99; the largest is max")
            return Aggregate.PERCENTILE, int(match[1])
        if name in _AGGREGATES:
            return _AGGREGATES[name], None
        if name in self._known:
            raise ValueError(f"{name}(...) takes a window: write {name}(5m)")
        raise ValueError(Vocabulary("aggregate", (*_AGGREGATES, "p50", "p95", "p99")).unknown(name))

    def _measurement(self, name: str) -> Measurement:
        found = self._known.get(name) or self._known.get(f"{name}_time")
        if found is None:
            raise ValueError(Vocabulary("measurement", self._known).unknown(name))
        return found

    def _window(self) -> timedelta:
        window = parse_duration(self._take("figure", "a window such as 5m"))
        if not timedelta(seconds=1) <= window <= LONGEST_WINDOW:
            raise ValueError("a window is from 1s to 1d long")
        return window

    def _unit(self, aggregate: Aggregate, measurement: Measurement) -> Unit:
        if aggregate is Aggregate.COUNT:
            return Unit.COUNT
        if aggregate is Aggregate.RATE:
            if measurement.unit not in _RATE_UNITS:
                raise ValueError(f"{measurement.name} does not count up: rate() means nothing for it")
            return _RATE_UNITS[measurement.unit]
        return measurement.unit

    # --- the bound and what follows ---------------------------------------------------------------------------

    def _bound(self, unit: Unit) -> Bound:
        token = self._next()
        if token is None or token.text not in (">", ">=", "<", "<="):
            found = f', not "{shorten(token.text)}"' if token else ""
            raise ValueError(f"a comparison comes here: >, >=, < or <={found}; for example > {_LIMIT_EXAMPLES[unit]}")
        limit = self._next()
        if limit is not None and (limit.kind == "name" or _TIMES.fullmatch(limit.text)):
            return self._multiple(Operator(token.text), limit, unit)
        if limit is None or limit.kind != "figure":
            raise ValueError(f"a limit comes after {token.text}: for example {token.text} {_LIMIT_EXAMPLES[unit]}")
        following = self._peek()
        if following is not None and following.text in ("x", "times", "*"):
            raise ValueError(f'write {limit.text}x without a space, as in "{token.text} {limit.text}x {USUAL}"')
        if following is not None and (following.kind == "odd" or following.text in ("s", "ms", "m", "h", "d", "MiB")):
            raise ValueError(f"write {limit.text}{following.text} without a space")
        return Bound(Operator(token.text), parse_figure(limit.text, unit))

    def _multiple(self, operator: Operator, first: _Token, unit: Unit) -> Bound:
        """``3x usual``, ``2x workers``, ``workers``"""
        times = _TIMES.fullmatch(first.text)
        name = self._take("name", f'usual, or a measurement, as in "{first.text} usual"') if times else first.text
        factor = float(times[1]) if times else 1.0
        if factor > _MOST_TIMES:
            raise ValueError(f"{shorten(first.text)} is too large a multiple: write one such as 3x")
        if name == USUAL and USUAL not in self._known:
            if self._counted:
                raise ValueError("what is usual is known of single looks, not of rates and counts: write a limit")
            if not factor > 0:
                raise ValueError("must be a multiple above zero, as in 3x usual")
            return Bound(operator, factor, USUAL)
        if name not in self._known and f"{name}_time" not in self._known:
            raise ValueError(Vocabulary("measurement", (*self._known, USUAL)).unknown(name))
        other = self._measurement(name)
        if other.unit is not unit:
            kinds = f"{other.unit.value.replace('_', ' ')}, not {unit.value.replace('_', ' ')}"
            raise ValueError(f"{other.name} counts {kinds}: compare what has one unit")
        return Bound(operator, factor, other.name)

    def _modifiers(self, unit: Unit) -> dict[str, object]:
        found: dict[str, object] = {}
        while (token := self._peek()) is not None:
            if self._skip(","):
                if self._peek() is None:
                    raise ValueError("a comma stands at the end: remove it, or write what should follow")
                continue
            self._at += 1
            key, value = self._modifier(token.text, unit)
            if any(seen.split()[0] == key.split()[0] for seen in found):
                raise ValueError(f'"{token.text}" is written twice')
            found[key] = value
        return found

    def _modifier(self, word: str, unit: Unit) -> tuple[str, object]:
        if word == "clear":
            return "clear", self._bound(unit)
        if word == "for":
            return self._for()
        if word == "at":
            if self._take("name", '"least"') != "least":
                raise ValueError('after "at" comes "least": at least 50 requests')
            count = parse_figure(self._take("figure", "a count such as 50"), Unit.COUNT)
            if (following := self._peek()) is not None and following.text not in ("for", "clear", "at"):
                self._skip_name()
            return "at least", count
        if word in ("and", "or"):
            raise ValueError(
                f'"{word}" is not read here: write each condition as an entry of a list; any of them counts'
            )
        may_follow = '"for 3 of 5", "for 2m", "clear < ..." or "at least 50"'
        raise ValueError(f'"{shorten(word)}" is not read here: what may follow is {may_follow}')

    def _for(self) -> tuple[str, object]:
        first = self._take("figure", "3 of 5, or a span such as 2m")
        following = self._peek()
        if following is None or following.text != "of":
            if first.isdecimal():
                raise ValueError(f"write for {first} of {first} (looks), or a span such as for {first}m")
            span = parse_duration(first)
            if not timedelta(0) < span <= LONGEST_WINDOW:
                raise ValueError("after for, a span is at most 1d long, and longer than zero")
            return "for span", span
        self._at += 1
        second = self._take("figure", "a number of looks")
        numbers = len(first + second) < 9 and first.isdecimal() and second.isdecimal()
        if not (numbers and 1 <= int(first) <= int(second) <= MOST_LOOKS):
            raise ValueError(
                f'"for {first} of {second}" must count looks: N of M, with N at most M and M at most 100'
            )
        return "for looks", (int(first), int(second))

    def _check_clear(self, bound: Bound, clear: Bound) -> None:
        upward = bound.operator in (Operator.ABOVE, Operator.AT_LEAST)
        falls = clear.operator in (Operator.BELOW, Operator.AT_MOST)
        if upward != falls:
            raise ValueError(f'"clear" must look the other way: write clear {"<" if upward else ">"} ...')
        if clear.of != bound.of:
            return  # who knows which of the two is larger
        if (clear.limit > bound.limit) if upward else (clear.limit < bound.limit):
            raise ValueError(f'"clear" must not lie {"above" if upward else "below"} the limit')

    # --- tokens -----------------------------------------------------------------------------------------------

    def _peek(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> _Token | None:
        token = self._peek()
        self._at += 1
        return token

    def _skip(self, text: str) -> bool:
        token = self._peek()
        if token is None or token.text != text:
            return False
        self._at += 1
        return True

    def _skip_name(self) -> None:
        token = self._peek()
        if token is not None and token.kind == "name":
            self._at += 1

    def _take(self, kind: str, wanted: str) -> str:
        token = self._next()
        if token is None or token.kind != kind:
            self._fail(wanted, token)
        return token.text

    def _expect(self, text: str) -> None:
        token = self._next()
        if token is None or token.text != text:
            self._fail(f'"{text}"', token)

    def _fail(self, wanted: str, found: _Token | None) -> NoReturn:
        raise ValueError(
            f'{wanted} comes here, not "{shorten(found.text)}"' if found else f"{wanted} comes at the end"
        )
