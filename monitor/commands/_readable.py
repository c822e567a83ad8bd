"""What went over the wire, readable, and without secrets.

Secrets are searched for in all that went one way, joined: a chunk may end in the middle of one. They are those of the
configuration and of the check, in every form that a target may echo them in, those that were met on the way (cookies,
tokens), and what stands where secrets do: in a header such as `Authorization`, behind `PASS`, in an `access_token`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import accumulate, groupby
from typing import Any

from monitor.commands._overheard import Chunk, Overheard
from probes._clean import MASK, Cleaner, all_forms, sent
from probes._look import visible
from probes.contract import Secret

LINES_LIMIT, LINE_LIMIT = 60, 160
"""Lines that are shown of what was sent or received at once, and characters of a line."""
_ROWS_LIMIT, _ROW = 16, 16
"""Rows of bytes that are no text, and bytes in a row."""
_GIVEN_UP = 2048
"""Bytes dropped from the end of what was cut for want of room: the head of a secret may stand there."""
_HEAD = 4
"""Characters of a secret that tell something: what was sent may end in the middle of it."""
_TEXT = frozenset(b"\t\r\n") | frozenset(range(32, 127)) | frozenset(range(128, 256))
_MOST_STRANGE = 0.05
"""The share of control characters up to which bytes are shown as text."""

_CHUNK_SIZE = re.compile(r"(?=(\r\n[0-9A-Fa-f]{1,16}\r\n))")
"""May stand between any two characters of a body: chunks end where they like (RFC 9112, 7.1). Two may share a CRLF:
then one of them is the end of a chunk that looks like a size."""
_PLACES = re.compile(
    r"^(?:(?:proxy-)?authorization|(?:set-)?cookie|x-api-key|x-auth-token)[ \t]*:[ \t]*(?P<header>[^\r\n]+)"
    r"|^(?:PASS|AUTH(?: [A-Z0-9-]+)?)[ \t]+(?P<word>[^\r\n]+)"
    r"|\"(?:access_token|refresh_token|id_token|client_secret|password)\"\s*:\s*\"(?P<member>[^\"]*)"
    r"|\b(?:client_secret|refresh_token|access_token|password|assertion)=(?P<field>[^&\s\"]+)",
    re.IGNORECASE | re.MULTILINE,
)
_CODED = re.compile(rb"\r\ncontent-encoding[ \t]*:[ \t]*(gzip|deflate|br|zstd)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Block:
    """What went one way without anything in between, as lines; or a note, if there is no `peer`."""

    at: float
    peer: str
    sent: bool
    size: int
    lines: tuple[str, ...]


def readable(overheard: Overheard, secrets: Iterable[str]) -> list[Block]:
    """In order of time. `secrets` are those of the configuration and of the check."""
    known = {*secrets, *overheard.secrets}
    blocks = [
        Block(note.began, "", sent=False, size=0, lines=(visible(_redacted(note.what, known), LINE_LIMIT),))
        for note in overheard.notes
    ]
    shown = _shown(overheard, known)
    order = sorted(range(len(overheard.chunks)), key=lambda place: overheard.chunks[place].at)
    marks = sorted(note.began for note in overheard.notes)
    coded: set[tuple[str, bool]] = set()
    """Ways on which a compressed body is under way."""
    for _, places in groupby(order, key=lambda place: _run_of(overheard.chunks[place], marks)):
        run = list(places)
        first = overheard.chunks[run[0]]
        data, way = b"".join(shown[place] for place in run), (first.peer, first.sent)
        size = sum(overheard.chunks[place].size for place in run)
        if data.startswith(b"HTTP/"):
            coded.discard(way)
        unkept = size - sum(len(overheard.chunks[place].data) for place in run)
        lines = tuple(_lines(data, size, unkept)) if way not in coded else (_packed(size),)
        if _coded_head(data) is not None:
            coded.add(way)
        blocks.append(Block(first.at, first.peer, first.sent, size, lines))
    return sorted(blocks, key=lambda block: block.at)


def _packed(size: int) -> str:
    return f"({size:,} bytes of compressed body)" if size else "(the end)"


def _run_of(chunk: Chunk, marks: Sequence[float]) -> tuple[str, bool, int, bool]:
    """Chunks with the same one are shown together."""
    return chunk.peer, chunk.sent, sum(mark <= chunk.at for mark in marks), not chunk.size


def secrets_of(value: Any, depth: int = 6) -> Iterator[str]:
    """All secrets in a probe's fields, however deep."""
    if isinstance(value, Secret):
        yield from sent([value.reveal()])
    elif isinstance(value, Cleaner):
        yield from value.secrets
    elif depth and is_dataclass(value) and not isinstance(value, type):
        for item in fields(value):
            yield from secrets_of(getattr(value, item.name, None), depth - 1)
    elif depth and isinstance(value, Mapping):
        for inner in value.values():
            yield from secrets_of(inner, depth - 1)
    elif depth and isinstance(value, tuple | list):
        for inner in value:
            yield from secrets_of(inner, depth - 1)


def _redacted(text: str, secrets: Iterable[str]) -> str:
    return Cleaner(secrets)(text)


def _shown(overheard: Overheard, secrets: set[str]) -> list[bytes]:
    """The data of each chunk, without secrets."""
    shown = [b""] * len(overheard.chunks)
    forms = all_forms(secret for secret in secrets if len(secret) > 2)
    ways = {(chunk.peer, chunk.sent) for chunk in overheard.chunks}
    for way in ways:
        places = [place for place, chunk in enumerate(overheard.chunks) if (chunk.peer, chunk.sent) == way]
        text = b"".join(overheard.chunks[place].data for place in places).decode("latin-1")
        cut = any(overheard.chunks[place].size > len(overheard.chunks[place].data) for place in places)
        spans = _secret_spans(text, forms)
        end = len(text) - _GIVEN_UP if cut and forms else len(text)
        begin = 0
        for place in places:
            last = begin + len(overheard.chunks[place].data)
            shown[place] = _without(text, spans, begin, min(last, end)).encode("latin-1")
            begin = last
    return shown


def _secret_spans(text: str, forms: Sequence[str]) -> list[tuple[int, int]]:
    """Where secrets stand, in order and apart from one another."""
    found = [match.span(match.lastgroup or 0) for match in _PLACES.finditer(text)]
    for sizes in _chunk_sizes(text) if forms else ():
        found += _form_spans(text, forms, sizes)
    for form in forms:
        head = next(
            (size for size in range(min(len(form), len(text)), _HEAD - 1, -1) if text.endswith(form[:size])), 0
        )
        if head:
            found.append((len(text) - head, len(text)))
    spans: list[tuple[int, int]] = []
    for begin, end in sorted(found):
        if spans and begin <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((begin, end))
    return spans


def _chunk_sizes(text: str) -> Iterator[list[tuple[int, int]]]:
    """Where the sizes of chunks may stand: nowhere, and where such lines touch, one way and the other."""
    runs: list[list[tuple[int, int]]] = []
    for match in _CHUNK_SIZE.finditer(text):
        if runs and match.start(1) == runs[-1][-1][1] - 2:
            runs[-1].append(match.span(1))
        else:
            runs.append([match.span(1)])
    yield []
    if runs:
        yield [size for run in runs for size in run[::2]]
    if any(len(run) > 1 for run in runs):
        yield [size for run in runs for size in run[1::2] or run]


def _form_spans(text: str, forms: Sequence[str], sizes: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Where forms stand once the sizes of chunks are taken out. By `str.find`, whose time a text cannot make long."""
    begins = [0, *(end for _, end in sizes)]
    parts = [text[begin:end] for begin, end in zip(begins, [*(begin for begin, _ in sizes), len(text)], strict=True)]
    joined, places = "".join(parts), list(accumulate(map(len, parts), initial=0))

    def place(at: int) -> int:
        part = bisect_right(places, at, hi=len(parts)) - 1
        return begins[part] + at - places[part]

    for form in forms:
        at = joined.find(form)
        while at >= 0:
            end = at + len(form)
            yield place(at), place(end - 1) + 1
            at = joined.find(form, end)


def _without(text: str, spans: Iterable[tuple[int, int]], begin: int, end: int) -> str:
    """That part of a text without what stands in the spans; one that began before the part leaves nothing."""
    parts = []
    for first, last in spans:
        if last <= begin or first >= end:
            continue
        parts.append(text[begin : max(first, begin)])
        parts.append(MASK if first >= begin else "")
        begin = min(last, end)
    return "".join([*parts, text[begin:end]])


def _lines(data: bytes, size: int, unkept: int) -> Iterator[str]:
    if not size:
        yield "(the end)"
        return
    head = _coded_head(data)
    if head is not None:
        yield from _text(data[:head])
        yield _packed(max(size - head, 0))
    elif sum(byte not in _TEXT for byte in data[:4096]) <= _MOST_STRANGE * min(len(data), 4096):
        yield from _text(data)
        if unkept:
            yield f"({unkept:,} bytes for which there was no room)"
    else:
        yield from _hexadecimal(data)


def _coded_head(data: bytes) -> int | None:
    """Where the body of an HTTP answer begins that is compressed, and so nothing that can be cleaned; else None."""
    end = data.find(b"\r\n\r\n")
    return end + 4 if end >= 0 and data.startswith(b"HTTP/") and _CODED.search(data[:end]) else None


def _text(data: bytes) -> Iterator[str]:
    lines = data.decode("utf-8", "replace").split("\n")
    if not lines[-1]:
        lines.pop()
    for line in lines[:LINES_LIMIT]:
        yield visible(line.removesuffix("\r"), LINE_LIMIT)
    if len(lines) > LINES_LIMIT:
        yield f"({len(lines) - LINES_LIMIT:,} more lines)"


def _hexadecimal(data: bytes) -> Iterator[str]:
    for begin in range(0, min(len(data), _ROW * _ROWS_LIMIT), _ROW):
        row = data[begin : begin + _ROW]
        plain = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"{begin:04x}  {row.hex(' '):47}  {plain}"
    if len(data) > _ROW * _ROWS_LIMIT:
        yield f"({len(data) - _ROW * _ROWS_LIMIT:,} more bytes)"
