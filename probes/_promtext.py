"""Prometheus' text formats (0.0.4 and OpenMetrics 1.0), read only as far as somebody asks.

An answer may hold 100,000 lines of which a check wants ten. So lines are found by the name they begin with, by
`bytes.find`, and only those are taken apart; the work is cut into slices, between which the loop gets its turn.

Sources: the exposition formats of Prometheus and OpenMetrics; selectors and matchers as in PromQL.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

from probes._patterns import compiled
from probes._slices import SLICE
from probes.contract import TEXT_LIMIT

LINE_LIMIT = 64 * 1024
"""Bytes of one line; a longer one is no line of a metric."""

_WINDOW = 512 * 1024
"""Bytes that are searched in one go: at some GB a second, well below a millisecond."""
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_NUMBER = rb"[+-]?(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?+|[+-]?[Ii]nf(?:inity)?|[Nn]a[Nn]"
_SAMPLE = re.compile(
    rb"(?P<series>" + _NAME.encode() + rb'[ \t]*+(?:\{[^"}]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"}]*+)*+\})?+)'
    rb"[ \t]*+(?<=[ \t}])(?P<value>" + _NUMBER + rb")(?:[ \t]++[+-]?[0-9][0-9.eE+-]*+)?+[ \t]*+(?:#.*+)?+\r?",
    re.DOTALL,
)
_LABEL = re.compile(
    rb'[ \t]*+([a-zA-Z_][a-zA-Z0-9_]*+)[ \t]*+=[ \t]*+"([^"\\]*+(?:\\.[^"\\]*+)*+)"[ \t]*+(,|$)', re.DOTALL
)
_ESCAPE = re.compile(r'\\([\\"n])')
_ESCAPED = {"\\": "\\", '"': '"', "n": "\n"}
_TYPE = re.compile(rb"^# TYPE (\S{1,200})", re.MULTILINE)
_SUFFIXES = ("_total", "_count", "_bucket")
_COMMENT = re.compile(rb"^#[ \t]*(?:TYPE|HELP|UNIT|EOF)\b", re.MULTILINE)
_HEAD = 64 * 1024

_SELECTOR = re.compile(rf"\s*({_NAME})\s*(?:\{{(.*)\}})?\s*", re.DOTALL)
_MATCHER = re.compile(
    r"""\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)\s*(,|$)"""
)


Text = bytes | bytearray


class Malformed(Exception):
    """A line that was asked for cannot be read; `line` is its beginning."""

    def __init__(self, line: Text) -> None:
        super().__init__("a line is not understood")
        self.line = bytes(line[:TEXT_LIMIT])


@dataclass(frozen=True, slots=True)
class Matcher:
    """One of ``{status=~"5.."}``: a label that a series lacks is the empty text; a pattern must match the whole."""

    label: str
    operator: str
    value: str
    pattern: Any

    def accepts(self, labels: Mapping[str, str]) -> bool:
        found = labels.get(self.label, "")
        if self.pattern is None:
            return (found == self.value) == (self.operator == "=")
        return (self.pattern.fullmatch(found) is not None) == (self.operator == "=~")


@dataclass(frozen=True, slots=True)
class Selector:
    """Which series are meant: a metric's name and matchers, as PromQL writes them."""

    name: str
    matchers: tuple[Matcher, ...]

    def accepts(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels of a series of that name satisfy every matcher."""
        return all(matcher.accepts(labels) for matcher in self.matchers)


class Sample(NamedTuple):
    """One line: `series` is its name and labels as they are written, which serves as a key; `at` its offset."""

    name: str
    series: bytes
    value: float
    at: int


def selector(text: str) -> Selector:
    """``http_requests_total{status=~"5..", method!="OPTIONS"}``. Raises ValueError with what to write instead."""
    whole = _SELECTOR.fullmatch(text)
    if whole is None:
        advice = ": a query belongs to promql" if "(" in text else ""
        raise ValueError(f'{text!r} is not a metric\'s name with matchers, as in name{{status=~"5.."}}{advice}')
    return Selector(whole[1], tuple(_matchers(whole[2] or "", text)))


def _matchers(inside: str, text: str) -> Iterable[Matcher]:
    at, inside = 0, inside.strip()
    while at < len(inside):
        found = _MATCHER.match(inside, at)
        if found is None:
            raise ValueError(f'{text!r} is not understood at {inside[at : at + 40]!r}: write label="value"')
        label, operator, quoted, _ = found.groups()
        value = _literal(quoted)
        yield Matcher(label, operator, value, _pattern(value) if "~" in operator else None)
        at = found.end()


def _literal(quoted: str) -> str:
    if quoted[0] == "`":
        return quoted[1:-1]
    inside = quoted[1:-1]
    if quoted[0] == "'":
        inside = re.sub(r'\\(.)|(")', lambda m: '\\"' if m[2] else ("'" if m[1] == "'" else m[0]), inside)
    try:
        value = json.loads(f'"{inside}"')
    except ValueError:
        raise ValueError(f"{quoted} has an escape that is not known: in a pattern, write \\\\d for \\d") from None
    assert isinstance(value, str)  # noqa: S101  (a JSON text in double quotes is a str)
    return value


def _pattern(text: str) -> Any:
    try:
        return compiled(text)
    except ValueError as error:
        raise ValueError(f"the pattern {text!r} is not understood by RE2: {error}") from None


async def samples(text: Text, names: Iterable[str]) -> AsyncIterator[list[Sample]]:
    """The lines of these metrics, a slice at a time, in no order between metrics.

    Values are as written, NaN and infinite ones too; time stamps and exemplars are passed over. Raises `Malformed`.
    """
    for name in dict.fromkeys(names):
        needle = b"\n" + name.encode()
        at = 0 if text.startswith(needle[1:]) else await _find(text, needle, 0)
        while at >= 0:
            found, at = _slice(text, needle, at)
            if found:
                yield found
            await asyncio.sleep(0)
            if at >= 0:
                at = await _find(text, needle, at)


async def _find(text: Text, needle: bytes, at: int) -> int:
    """Where the next line that begins so begins, from the line break at or before `at` on; -1 when there is none."""
    while at < len(text):
        end = at + _WINDOW
        found = text.find(needle, at, end + len(needle))
        if found >= 0:
            return found + 1
        at = end
        await asyncio.sleep(0)
    return -1


def _slice(text: Text, needle: bytes, at: int) -> tuple[list[Sample], int]:
    """Lines from the offset `at` on, as long as a slice lasts and they follow one another; and where to search on:
    at a line break, or -1."""
    found: list[Sample] = []
    began = perf_counter()
    plain, size, fullmatch = needle[1:].decode(), len(needle) - 1, _SAMPLE.fullmatch
    while True:
        end = text.find(b"\n", at, at + LINE_LIMIT)
        if end < 0:
            if len(text) - at >= LINE_LIMIT:
                raise Malformed(text[at : at + TEXT_LIMIT])
            end = len(text)
        if at + size < end and text[at + size] in b"{ \t":
            line = fullmatch(text, at, end)
            if line is None:
                raise Malformed(text[at:end])
            series, value = line.group(1, 2)
            found.append(Sample(plain, series, float(value), at))
        if end >= len(text):
            return found, -1
        if not text.startswith(needle, end) or (not len(found) % 16 and perf_counter() - began > SLICE):
            return found, end
        at = end + 1


def labels(series: bytes) -> dict[str, str]:
    """The labels of `Sample.series`, unescaped. Raises `Malformed`."""
    _, brace, rest = series.partition(b"{")
    found: dict[str, str] = {}
    if not brace:
        return found
    inside = rest.rstrip()[:-1].rstrip()
    at = 0
    while at < len(inside):
        label = _LABEL.match(inside, at)
        if label is None:
            raise Malformed(series)
        value = label[2].decode("utf-8", "replace")
        found[label[1].decode()] = _ESCAPE.sub(lambda m: _ESCAPED[m[1]], value) if "\\" in value else value
        at = label.end()
    return found


def series_at(text: Text, at: int) -> str:
    """The series of the line at the offset `at`, as it is written; empty when there is none."""
    line = _SAMPLE.match(text, at)
    return line["series"].decode("utf-8", "replace") if line is not None else ""


def metric_names(text: Text) -> list[str]:
    """The metrics that the beginning of an answer declares: to tell a user what there is."""
    return [name.decode("utf-8", "replace") for name in _TYPE.findall(text[: 4 * _HEAD])]


def declares(text: Text, name: str) -> bool:
    """Whether a metric is declared, by the name of its samples: many libraries do so before the first count."""
    families = {name, *(name.removesuffix(suffix) for suffix in _SUFFIXES)}
    return any(f"# TYPE {family} ".encode() in text for family in families)


def longer_name(text: Text, name: str) -> str | None:
    """The name of samples that there are, where `name` is only that of their family."""
    return next((name + suffix for suffix in _SUFFIXES if f"\n{name}{suffix}".encode() in text), None)


def looks_like_metrics(text: Text) -> bool:
    """Whether the beginning of an answer is such a text at all, and not a page of HTML. An empty one is."""
    head = text[:_HEAD]
    if not head.strip() or _COMMENT.search(head):
        return True
    return any(_SAMPLE.fullmatch(line) for line in head.split(b"\n", 50)[:50])
