"""JSON of any size, read for a few paths: valid or not, and what stands at each, without building the rest.

`json.loads` of 2 MB holds the loop for half a second and may take 50 MB. Here runs of plain values are skipped by one
regular expression each, within a window, so that a step is short; what is nested goes step by step, and after some
steps the generator yields, for other work to have its turn. What is valid is what `json.loads` says is valid, but for
nesting deeper than `DEPTH` and numbers of more than `DIGITS` digits, and text that is not UTF-8: those are refused.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

DEPTH = 500
"""Levels of arrays and objects; `json.loads` gives up near a thousand."""
DIGITS = 1000
TEXT = 64 * 1024
"""Bytes of a text that is given as a value; a longer one is given as an `Extract`."""
SHOWN = 5000
"""Bytes of an `Extract`."""

_WINDOW = 16 * 1024
"""Bytes that one step may look at."""
_TURN = 400
"""Steps between two turns; a step costs one or two microseconds, as do `_BYTES_A_STEP` of a window."""
_BYTES_A_STEP = 64
_MOST = 400_000
"""Steps in all, about a second of work: a document that needs more is one that was made to need it."""
_LEVELS = 3
"""Levels of nesting that a single match passes over: what most documents repeat has no more."""

MISSING = object()
"""What stands where nothing is."""

_WS = rb"[ \t\n\r]*+"
_CHARS = rb'[^"\\\x00-\x1f]'
_ESCAPE = rb'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})'
_STRING = rb'"(?:' + _CHARS + rb"++|" + _ESCAPE + rb')*+"'
_NUMBER = rb"-?(?:0|[1-9][0-9]{0,%d}+)(?:\.[0-9]{1,%d}+)?+(?:[eE][+-]?[0-9]{1,%d}+)?+" % (DIGITS, DIGITS, DIGITS)
_SCALAR = rb"(?:" + _STRING + rb"|" + _NUMBER + rb"|true|false|null|NaN|-?Infinity)"
_COLON = _WS + rb":" + _WS


def _nested(levels: int) -> bytes:
    """What matches a value with at most so many levels of arrays and objects in it, and the space behind it."""
    if not levels:
        return _SCALAR + _WS
    inner = _nested(levels - 1)
    items = rb"\[" + _WS + rb"(?:" + inner + rb"(?:,(?!" + _WS + rb"\])" + _WS + rb"|(?=\])))*+\]"
    pairs = rb"\{" + _WS + rb"(?:" + _STRING + _COLON + inner + rb"(?:,(?!" + _WS + rb"\})" + _WS + rb"|(?=\})))*+\}"
    return rb"(?:" + _SCALAR + rb"|" + items + rb"|" + pairs + rb")" + _WS


_SPACE = re.compile(_WS)
_KEY = re.compile(rb"(" + _STRING + rb")" + _COLON)
_TEXT_PART = re.compile(rb"(?:" + _CHARS + rb"++|" + _ESCAPE + rb")++")
_PLAIN = re.compile(_SCALAR)


class _Patterns:
    """Compiled when they are wanted: it takes some 40 ms."""

    def __init__(self) -> None:
        value, more = _nested(_LEVELS), rb"," + _WS
        self.value = re.compile(value)
        # The match by match of `re.Scanner`, which types do not know of.
        self.item: Any = re.compile(value + more)
        self.items = re.compile(rb"(?:" + value + more + rb")*+")
        self.pair: Any = re.compile(rb"(" + _STRING + rb")" + _COLON + rb"(" + value + rb")" + more)
        self.pairs = re.compile(rb"(?:" + _STRING + _COLON + value + more + rb")*+")


prepare = cache(_Patterns)
"""To be called before the first look: not while others wait for their turn."""


class Intricate(ValueError):
    """It may be JSON, but reading it would take too long."""


_ARRAY, _OBJECT = ord("["), ord("{")
_END_ARRAY, _END_OBJECT, _COMMA, _QUOTE = ord("]"), ord("}"), ord(","), ord('"')

Path = tuple[str | int, ...]
Found = Generator[None, None, list[object]]


@dataclass(frozen=True, slots=True)
class Extract:
    """An array, an object, or a very long text: not built, as nothing is compared with it; its beginning."""

    start: str


def found(data: bytes | bytearray, paths: Sequence[Path]) -> Found:
    """What stands at each path: a plain value, an `Extract`, or `MISSING`. Yields when others should have a turn.

    Raises ValueError, which quotes nothing of the document, when it is not JSON, or `Intricate`.
    """
    yield from _check_utf8(data)
    scan = _Scan(data)
    begin = yield from scan.space(3 if data.startswith(codecs.BOM_UTF8) else 0)
    end = yield from scan.skip(begin)
    if end < len(data):
        raise ValueError(f"something follows the document at byte {end}")
    answers = []
    for path in paths:
        at = yield from scan.follow(begin, path)
        answers.append(MISSING if at is None else scan.value(at))
    return answers


def _check_utf8(data: bytes | bytearray) -> Generator[None, None, None]:
    decoder = codecs.getincrementaldecoder("utf-8")("surrogatepass")  # as json.loads decodes
    for start in range(0, len(data), _WINDOW * 4):
        try:
            decoder.decode(data[start : start + _WINDOW * 4], final=start + _WINDOW * 4 >= len(data))
        except UnicodeDecodeError:
            raise ValueError("it is not UTF-8") from None
        yield


class _Scan:
    """Positions in a document: where a value ends, where a member stands."""

    __slots__ = ("_data", "_paid_for", "_patterns", "_turn_ends")

    def __init__(self, data: bytes | bytearray) -> None:
        self._data = data
        self._paid_for = 0
        self._turn_ends = _TURN
        self._patterns = prepare()

    def _paid(self, since: int, at: int, steps: int = 1) -> bool:
        """Count steps; True when it is somebody else's turn. Raises ValueError when there have been too many."""
        self._paid_for += steps + (at - since) // _BYTES_A_STEP
        if self._paid_for < self._turn_ends:
            return False
        self._turn_ends = self._paid_for + _TURN
        if self._paid_for > _MOST:
            raise Intricate("it is nested too intricately to be read")
        return True

    def _byte(self, at: int) -> int:
        return self._data[at] if at < len(self._data) else -1

    def _match(self, pattern: re.Pattern[bytes], at: int) -> int:
        """The end of what matches within a window; `at` when nothing does."""
        match = pattern.match(self._data, at, at + _WINDOW)
        return match.end() if match is not None else at

    def space(self, at: int) -> Generator[None, None, int]:
        while True:
            end = self._match(_SPACE, at)
            if end < at + _WINDOW:
                return end
            if self._paid(at, end):
                yield
            at = end

    def skip(self, at: int) -> Generator[None, None, int]:
        """The position behind the value at `at` and the space behind it. Raises ValueError."""
        nested = bytearray()
        while True:
            since = at
            end = self._match(self._patterns.value, at)
            if end > at:
                at = yield from self.space(end)
            elif self._byte(at) == _QUOTE:
                at = yield from self.space((yield from self._text(at)))
            elif self._byte(at) in (_ARRAY, _OBJECT):
                opened = self._byte(at)
                if len(nested) >= DEPTH:
                    raise Intricate(f"it is nested deeper than {DEPTH} levels")
                nested.append(opened)
                at = yield from self.space(at + 1)
                if self._byte(at) != (_END_ARRAY if opened == _ARRAY else _END_OBJECT):
                    at = yield from self._to_value(nested, at)
                    if self._paid(since, at):
                        yield
                    continue
            else:
                raise ValueError(f"no value begins at byte {at}")
            at = yield from self._close(nested, at)
            if not nested:
                return at
            at = yield from self._to_value(nested, (yield from self.space(at + 1)))
            if self._paid(since, at):
                yield

    def _close(self, nested: bytearray, at: int) -> Generator[None, None, int]:
        """Leave what ends at `at`, up to a comma, or all of it."""
        while nested:
            byte = self._byte(at)
            if byte == _COMMA:
                return at
            if byte != (_END_ARRAY if nested[-1] == _ARRAY else _END_OBJECT):
                raise ValueError(f"neither a comma nor an end at byte {at}")
            nested.pop()
            if self._paid(at, at + 1):
                yield
            at = yield from self.space(at + 1)
        return at

    def _to_value(self, nested: bytearray, at: int) -> Generator[None, None, int]:
        """Over plain members with their commas, and a key, to a value that must follow."""
        if nested[-1] == _ARRAY:
            while (end := self._match(self._patterns.items, at)) > at:
                if self._paid(at, end):
                    yield
                at = yield from self.space(end)
            return at
        while (end := self._match(self._patterns.pairs, at)) > at:
            if self._paid(at, end):
                yield
            at = yield from self.space(end)
        _, at = yield from self._key(at)
        return at

    def _key(self, at: int) -> Generator[None, None, tuple[bytes | bytearray, int]]:
        """A key with its quotes, and the position of its value."""
        match = _KEY.match(self._data, at, at + _WINDOW)
        if match is not None:
            return match[1], (yield from self.space(match.end()))
        if self._byte(at) != _QUOTE:
            raise ValueError(f"no key begins at byte {at}")
        end = yield from self._text(at)
        colon = yield from self.space(end)
        if self._byte(colon) != ord(":"):
            raise ValueError(f"no colon follows the key at byte {at}")
        return self._data[at:end], (yield from self.space(colon + 1))

    def _text(self, at: int) -> Generator[None, None, int]:
        """The position behind a text that is too long for a window, or broken."""
        begun, at = at, at + 1
        while (end := self._match(_TEXT_PART, at)) > at:
            if self._paid(at, end):
                yield
            at = end
        if self._byte(at) != _QUOTE:
            raise ValueError(f"the text that begins at byte {begun} is broken, or does not end")
        return at + 1

    def follow(self, at: int, path: Path) -> Generator[None, None, int | None]:
        """Where the value at the end of a path stands; the document is known to be valid."""
        for step in path:
            found = yield from self._step(at, step)
            if found is None:
                return None
            at = found
        return at

    def _step(self, at: int, step: str | int) -> Generator[None, None, int | None]:
        byte = self._byte(at)
        if byte == _OBJECT and isinstance(step, str):
            return (yield from self._member(at, step))
        if byte == _ARRAY and isinstance(step, int):
            if step < 0:
                step += yield from self._count(at)
            return (yield from self._item(at, step)) if step >= 0 else None
        return None

    def _member(self, at: int, name: str) -> Generator[None, None, int | None]:
        """The last one of that name, as `json.loads` takes it."""
        last = None
        plain = b'"%s"' % name.encode("utf-8", "surrogatepass")
        at = yield from self.space(at + 1)
        while self._byte(at) != _END_OBJECT:
            since = at
            scanner = self._patterns.pair.scanner(self._data, at, at + _WINDOW)
            pairs = 0
            while match := scanner.match():
                key, pairs, at = match[1], pairs + 1, match.end()
                if key == plain or (b"\\" in key and json.loads(key) == name):
                    last = match.start(2)
            if self._paid(since, at, pairs // 8 + 1):
                yield
            if not pairs:
                key, value = yield from self._key(at)
                if key == plain or (b"\\" in key and len(key) < TEXT and json.loads(key) == name):
                    last = value
                at = yield from self._past(value)
        return last

    def _item(self, at: int, index: int) -> Generator[None, None, int | None]:
        _, at = yield from self._over(at, index)
        return None if self._byte(at) == _END_ARRAY else at

    def _count(self, at: int) -> Generator[None, None, int]:
        count, _ = yield from self._over(at, len(self._data))
        return count

    def _over(self, at: int, most: int) -> Generator[None, None, tuple[int, int]]:
        """Over at most so many items of an array: how many there were, and what is reached."""
        count = 0
        at = yield from self.space(at + 1)
        while count < most and self._byte(at) != _END_ARRAY:
            since, before = at, count
            scanner = self._patterns.item.scanner(self._data, at, at + _WINDOW)
            while count < most and (match := scanner.match()):
                count, at = count + 1, match.end()
            if self._paid(since, at, (count - before) // 8 + 1):
                yield
            at = yield from self.space(at)
            if count == before:
                at = yield from self._past(at)
                count += 1
        return count, at

    def _past(self, at: int) -> Generator[None, None, int]:
        """Past the value at `at`, and the comma behind it."""
        end = yield from self.skip(at)
        if self._paid(at, end):
            yield
        return (yield from self.space(end + 1)) if self._byte(end) == _COMMA else end

    def value(self, at: int) -> object:
        match = _PLAIN.match(self._data, at, at + TEXT)
        if match is not None:
            value: object = json.loads(match[0])
            return value
        return Extract(bytes(self._data[at : at + SHOWN]).decode("utf-8", "replace"))
