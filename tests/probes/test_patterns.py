"""Patterns that are slow in bodies that are made for them, and what must be done to bodies before."""

from __future__ import annotations

import asyncio
from random import Random
from time import thread_time

from probes._http.expect import as_utf8
from probes._http.http1 import ResponseReader
from probes._look import Look
from probes._patterns import pattern, searched


async def test_a_slow_pattern_holds_the_loop_but_once() -> None:
    """The first such body takes a tenth of a second; the next ones are searched beside the loop, all in less."""
    wanted = pattern("body", "(?s)(order|cart).{0,500}(paid|done)")
    body = "".join(Random(1).choices(["order", "cart", "x"], k=20_000))[:64_000].encode()
    look = Look(10.0)
    try:
        first = thread_time()
        assert await searched(look, wanted, body) is None
        began = thread_time()
        assert await searched(look, wanted, body) is None
        assert await searched(look, wanted, body + b"paid") is not None
        assert await searched(look, wanted, b"order paid") is not None
        assert thread_time() - began < began - first
    finally:
        look.close()


async def test_a_charset_holds_nobody() -> None:
    """A megabyte of what windows-1252 has no sign for took 0.15 s."""
    reader = ResponseReader("GET", max_bytes=2_000_000, keep=2_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=windows-1252\r\n\r\n"
    reader.feed(head + b"\x81" * 600_000)
    turns, longest = 0, 0.0
    look = Look(10.0)
    recoding = asyncio.ensure_future(as_utf8(reader, look))
    try:
        since = thread_time()
        while not recoding.done():
            await asyncio.sleep(0)
            turns, longest, since = turns + 1, max(longest, thread_time() - since), thread_time()
        assert len(await recoding) == 3 * 600_000
        assert turns > 30
        assert longest < 0.03
    finally:
        look.close()
