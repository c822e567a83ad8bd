"""The other side of a sink answers in crumbs, on a real socket: whoever looks meanwhile has its turn."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from monitor.sinks import _http
from monitor.sinks.contract import SendFailed


@pytest.mark.parametrize(
    ("said", "flood", "outcome"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 400, "its answer is no HTTP"),
        (b"HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nz\r\n" * 1700, "answered 503"),
        (b"HTTP/1.1 503 No\r\n", b"a: b\r\n" * 1700, "its answer is no HTTP"),
    ],
    ids=["interim answers", "chunks", "headers"],
)
async def test_an_answer_of_crumbs_leaves_others_their_turns(said: bytes, flood: bytes, outcome: str) -> None:
    """Of 64 KB that had come already, tens of thousands of crumbs were gone through at one go."""
    longest = 0.0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said + flood * 100)
        with suppress(OSError):
            await writer.drain()
        writer.close()

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server, _http.new_client() as client:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        watching = asyncio.create_task(watch())
        with pytest.raises(SendFailed, match=outcome):
            await _http.post(client, url, b"{}", {}, seconds=20, now=datetime.now(UTC))
        watching.cancel()
    assert longest < 0.1  # of the processor's time; 0.2 to 0.4 before
