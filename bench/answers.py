"""What reading an HTTP answer costs, packed and plain, and for how long a hostile one can hold the loop."""

from __future__ import annotations

import gzip
import json
import sys
import time
import zlib
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise

import h11

from bench._line import Figure, Line, median, run, spread
from probes._http.codings import ACCEPTED, asked
from probes._http.http1 import ResponseReader
from probes._http.jsonscan import found, prepare
from probes.contract import LookFailed

LIMIT = 10.0
"""Milliseconds of CPU that a turn may take (the project's own goal: a tick that late is still on time)."""
_ASKED = asked(ACCEPTED)
_HEAD = (
    "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 18:00:00 GMT\r\nContent-Type: text/html\r\n"
    'Last-Modified: Mon, 02 Nov 2026 00:00:00 GMT\r\nConnection: close\r\nETag: "6380d4e2-267"\r\n'
    "Accept-Ranges: bytes\r\n"
)
_PAGE = b"".join(b"<li><a href='/item/%d'>item %d</a> costs %d</li>\n" % (n, n * 7919, n * n) for n in range(600))
_API = [
    {"id": n, "name": f"user {n}", "tags": ["a", "b"], "at": {"city": "x", "geo": {"lat": 1.5, "lng": n}}}
    for n in range(18_000)
]
_DEEP = b"[" + (b"[" * 400 + b"]" * 400 + b",") * 2400 + b"1]"


def measure(options: Namespace) -> Line:
    """Answers that are there already, read by the parser alone."""
    count, repeats = (100, 1) if options.quick else (2000, 7)
    packed = gzip.compress(_PAGE)
    cases: dict[str, Callable[[], object]] = {
        "plain_615_B": lambda: _read(_answer(b"x" * 615)),
        "h11_the_same": lambda: _read_by_h11(_answer(b"x" * 615)),
        "plain_30_KB": lambda: _read(_answer(_PAGE)),
        "gzip_30_KB": lambda: _read(_answer(packed, "Content-Encoding: gzip\r\n")),
    }
    costs: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, case in cases.items():
            costs[name].append(_cost(case, count) * 1e6)
    figures = [Figure(name, median(values), "us") for name, values in costs.items()]
    document = json.dumps(_API).encode()
    prepare()
    turns = _turns(found(document, [(-1, "at", "geo", "lng")]))
    figures += [
        Figure("json_2_MB", sum(turns), "ms"),
        Figure("json_loads", _cost(lambda: json.loads(document), 1) * 1e3, "ms"),
        Figure("its_longest_turn", max(turns), "ms", LIMIT),
        Figure("made_to_be_slow", max(_turns(found(_DEEP, [(-1, -1)]))), "ms", LIMIT),
        Figure("gzip_bomb", max(_turns(_fed(_answer(_bomb(), "Content-Encoding: gzip\r\n")))), "ms", LIMIT),
    ]
    how = f"CPU time, {count:,} answers at a time, in turns; plain_615_B {spread(costs['plain_615_B'], 'us')}"
    return Line("answers", tuple(figures), how)


def _answer(body: bytes, more: str = "") -> bytes:
    return f"{_HEAD}{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(bytes(1_000_000)) for _ in range(100)) + packer.flush()


def _cost(work: Callable[[], object], count: int) -> float:
    before = time.process_time()
    for _ in range(count):
        work()
    return (time.process_time() - before) / count


def _read(data: bytes) -> None:
    for _ in _fed(data):
        pass


def _fed(data: bytes) -> Iterator[None]:
    reader = ResponseReader("GET", max_bytes=2_000_000, keep=4096, asked=_ASKED)
    for start in range(0, len(data), 65_536):
        reader.feed(data[start : start + 65_536])
        while reader.held:
            yield
            reader.feed(b"")
    reader.close()


def _read_by_h11(data: bytes) -> None:
    peer = h11.Connection(h11.CLIENT)
    peer.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    peer.send(h11.EndOfMessage())
    peer.receive_data(data)
    while not isinstance(peer.next_event(), h11.EndOfMessage):
        pass


def _turns(work: Iterator[None]) -> list[float]:
    """Milliseconds of CPU of each turn, to the end or until it is refused."""
    marks = [time.thread_time()]
    with suppress(LookFailed, ValueError):  # too large, too intricate: as it should be
        marks.extend(time.thread_time() for _ in work)
    marks.append(time.thread_time())
    return [(after - before) * 1e3 for before, after in pairwise(marks)]


if __name__ == "__main__":
    sys.exit(run(measure))
