"""Requests of sinks that are given up, at each of their moments."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any

import uvloop

from monitor.sinks import _http, _lines
from tests.end_to_end.rig import PATIENCE, until
from tests.sinks.other_side import Server, always, told

TURNS = 30
"""Of the loop: after fewer it is answered."""


class Loop(uvloop.Loop):
    """Finds addresses at once and in no thread, so that what is counted in turns is not a matter of time."""

    async def getaddrinfo(self, host: Any, port: Any, **_wanted: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def given_up() -> None:
    """uvloop does not say of a connection that is lost while somebody waits for it that it is."""
    async with Server(always).open() as server, _http.new_client() as client:
        assert (await told(client, server)).status == 200
        lines = client._transport
        assert isinstance(lines, _lines.Lines)
        await lines.aclose()
        await until(lambda: not lines._open, "the first is closed")
        before = descriptors()
        for turns in range(TURNS):
            sending = asyncio.create_task(told(client, server, PATIENCE))
            for _ in range(turns):
                await asyncio.sleep(0)
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending
            await lines.aclose()
        await until(lambda: not lines._open, "none is left")
        await until(lambda: descriptors() <= before, "their sockets are closed")


def test_what_is_given_up_leaves_nothing_behind() -> None:
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(given_up())
