"""Reading a few paths of a large document: the same as `json.loads` says, a short step at a time."""

from __future__ import annotations

import json
import time
import tracemalloc
from contextlib import suppress
from itertools import pairwise

import pytest

from probes._http.jsonpath import find, parse_path
from probes._http.jsonscan import DEPTH, MISSING, TEXT, Extract, Path, found

DOCUMENTS = [
    b'{"queue": 5, "status": "pass", "items": [{"name": "x"}, {"a b": {"c-d": 1.5}}, []], "ok": true, "none": null}',
    b' \n[1, -0.5e+3, "a\\u00e9\\n\\"", [], {}, [[[1], {"a": [{}]}], 2], NaN, -Infinity, Infinity] \t\r\n',
    b'{"a": 1, "a": {"b": 2}, "\\u0061": {"b": [3, 4]}, "long": "' + b"x" * 40_000 + b'", "c": [0, [1]]}',
    b'["' + "é€😀".encode() * 30 + b'", {"k": "' + b"\\\\" * 9_000 + b'"}, {"' + b"k" * 20_000 + b'": 1}]',
    b"[" + b"1," * 30_000 + b"[2]," * 3_000 + b'{"a":{"b":[]}},' * 2_000 + b'"end"]',
    b"[[" + b" " * 40_000 + b"1 , 2 ]" + b"\n" * 40_000 + b", 3]",
    b"\xef\xbb\xbf[1]",
    b'"\\ud800"',
    b"0",
    b"-0.0",
    b'{"a": [' + b'{"b": [1, {"c": "d"}], "e": "f"},' * 2_000 + b"{}]}",
]
PATHS = [
    "$", "$.a", "$.a.b", "$.a.b[0]", "$.a.b[-1]", "$[0]", "$[-1]", "$[-2]", "$[5][0][1].a", "$[5][-2][0][0]",
    "$[99999]",
    "$.queue", "$.status", "$.items[1]['a b'].c-d", "$.items[-2]['a b']", "$.ok", "$.none", "$.none.x", "$.c[1][0]",
    "$.items[0].name", "$[1].k", "$.a[-1]", "$.a[1999].b[1].c", "$.a[-2].e", "$[-2].a.b", "$[30000]", "$.long",
]  # fmt: skip
SMALL = [document for document in DOCUMENTS if len(document) < 1000]


def read(data: bytes | bytearray, *paths: Path) -> list[object]:
    scan = found(data, paths)
    while True:
        try:
            next(scan)
        except StopIteration as ended:
            values: list[object] = ended.value
            return values


def same(ours: object, theirs: object) -> bool:
    """Nothing is compared with a container, so of those only the beginning is told."""
    if isinstance(ours, Extract):
        return isinstance(theirs, dict | list) or (isinstance(theirs, str) and len(theirs) > TEXT // 6)
    return ours is theirs if ours is MISSING or theirs is MISSING else repr(ours) == repr(theirs)


def is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def is_ours(data: bytes) -> bool:
    try:
        read(data)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("document", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_finds_what_json_loads_finds(document: bytes) -> None:
    paths = [parse_path(text) for text in PATHS]
    loaded = json.loads(document)
    for path, ours in zip(paths, read(bytearray(document), *paths), strict=True):
        assert same(ours, find(loaded, path)), path


def test_the_paths_lead_somewhere() -> None:
    paths = [parse_path(text) for text in PATHS]
    hits = sum(find(json.loads(document), path) is not MISSING for document in DOCUMENTS for path in paths)
    assert hits > 40


@pytest.mark.parametrize("document", SMALL, ids=range(len(SMALL)))
def test_what_is_cut_or_changed_at_any_byte_is_json_to_both_or_to_none(document: bytes) -> None:
    for position in range(len(document)):
        assert is_ours(document[:position]) == is_json(document[:position]), position
        for other in (b"", b"{", b"]", b",", b'"', b"0", b"\\", b"x", b"\x00", b"\xff", b":", b" "):
            changed = document[:position] + other + document[position + 1 :]
            if b"\0" in changed[:4]:
                continue  # json.loads takes it for UTF-16
            assert is_ours(changed) == is_json(changed), changed


@pytest.mark.parametrize(
    "data",
    [
        b"", b" ", b"[", b"[1", b"[1,", b"[1,]", b"[,1]", b"[1 2]", b'{"a"', b'{"a":', b'{"a":1', b'{"a":1,}',
        b"{1:2}",
        b'{"a":1 "b":2}', b"[1]]", b"1 2", b"01", b"1.", b".5", b"+1", b"1e", b"tru", b"nul", b"'a'", b'"a', b'"\n"',
        b'"\\x"', b'"\\u12g4"', b"[1}", b'{"a":1]', b"{,}", b"-", b"\xff", b'["\xc3"]', b"[NaN,-NaN]", b"[[1],]",
        b'{"a":{"b":1},}', b'{"a":{}"b":1}', b"[{}{}]", b"/**/1",
    ],
)  # fmt: skip
def test_what_is_no_json(data: bytes) -> None:
    assert not is_json(data)
    for padding in (b"", b" " * 40_000):
        with pytest.raises(ValueError, match=r"byte|UTF-8"):
            read(padding + data)


def test_what_is_refused_beyond_that() -> None:
    deep = b"[" * DEPTH + b"1" + b"]" * DEPTH
    assert is_ours(deep)
    assert not is_ours(b"[" * 5 + deep + b"]" * 5)
    assert is_ours(b"9" * 1000)
    assert not is_ours(b"9" * 1500)


_NASTY = {
    "numbers": b"[" + b"1," * 300_000 + b"1]",
    "arrays": b"[" + b"[]," * 200_000 + b"[]]",
    "nested arrays": b"[" + b"[[1]]," * 100_000 + b"1]",
    "steps down and up": b"[" + b"[[[[]]]]," * 220_000 + b"1]",
    "objects": b"[" + b'{"a":{"b":{}}},' * 40_000 + b"1]",
    "keys": b"{" + b'"a":[[1]],' * 60_000 + b'"a":1}',
    "one text": b'"' + b"x" * 1_000_000 + b'"',
    "one text of escapes": b'["' + b"\\n" * 1_000_000 + b'"]',
    "one text and none": b'["' + b"\\n" * 1_000_000,
    "space": b"[" + b" " * 1_000_000 + b"1]",
    "space between": b"[" + b"1 , " * 150_000 + b"1]",
    "open": b"[" * 2_000_000,
    "digits": b"[" + b"1" * 2_000_000 + b"]",
}


_REFUSED = frozenset({"one text and none", "open", "digits", "steps down and up"})


@pytest.mark.parametrize("name", _NASTY)
def test_no_turn_is_long(name: str) -> None:
    marks = [time.thread_time()]
    try:
        marks.extend(time.thread_time() for _ in found(_NASTY[name], [("a",), (-1, -1), (5, "a")]))
    except ValueError:
        assert name in _REFUSED
    else:
        assert name not in _REFUSED
    turns = [after - before for before, after in pairwise(marks)]
    assert sum(turns) < 10  # about a second at most, where nobody else is busy
    assert max(turns) < 0.05  # 2 to 5 ms
    assert len(turns) > 5


@pytest.mark.parametrize("name", ["nested arrays", "one text of escapes", "keys"])
def test_little_memory_is_taken(name: str) -> None:
    data = _NASTY[name][:400_000]
    tracemalloc.start()
    try:
        with suppress(ValueError):
            read(data, ("a",), (-1, -1))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 300_000
