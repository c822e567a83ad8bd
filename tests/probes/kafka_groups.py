"""A broker that describes groups: a relay before the mock broker, which offers no DescribeGroups of its own.

Requests go through as they are. In answers the broker's port becomes the relay's, so that clients stay with it;
the list of what the broker can do gets DescribeGroups added, and that is answered here.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aiokafka.protocol.admin import ApiVersionResponse_v0, DescribeGroupsResponse_v0

_DESCRIBE_GROUPS = 15
_API_VERSIONS = 18


@dataclass
class Relay:
    """What is told of every group: its state, and how many members it has."""

    to: int
    port: int = 0
    state: str = "Stable"
    members: int = 0
    code: int = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        above, below = await asyncio.open_connection("127.0.0.1", self.to)
        asked: dict[int, tuple[int, int]] = {}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._down(reader, writer, below, asked))
                group.create_task(self._up(above, writer, asked))
        except* (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            for each in (writer, below):
                each.close()
                with suppress(OSError):
                    await each.wait_closed()

    async def _down(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        below: asyncio.StreamWriter,
        asked: dict[int, tuple[int, int]],
    ) -> None:
        while True:
            frame = await _frame(reader)
            key, version, correlation = struct.unpack_from(">hhi", frame)
            asked[correlation] = (key, version)
            if key == _DESCRIBE_GROUPS:
                _send(writer, struct.pack(">i", correlation) + self._described())
            else:
                _send(below, frame)

    async def _up(
        self, above: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: dict[int, tuple[int, int]]
    ) -> None:
        while True:
            frame = await _frame(above)
            if asked[struct.unpack_from(">i", frame)[0]] == (_API_VERSIONS, 0):
                told = ApiVersionResponse_v0.decode(frame[4:])
                versions = [*told.api_versions, (_DESCRIBE_GROUPS, 0, 0)]
                frame = frame[:4] + ApiVersionResponse_v0(told.error_code, versions).encode()
            _send(writer, frame.replace(struct.pack(">i", self.to), struct.pack(">i", self.port)))

    def _described(self) -> bytes:
        members = [(f"m{number}", "client", "/127.0.0.1", b"", b"") for number in range(self.members)]
        return DescribeGroupsResponse_v0([(self.code, "g", self.state, "consumer", "range", members)]).encode()


@asynccontextmanager
async def describing(port: int) -> AsyncIterator[Relay]:
    """A relay to the broker at `port`."""
    relay = Relay(port)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(relay.talk(reader, writer)))

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    relay.port = listener.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _frame(reader: asyncio.StreamReader) -> bytes:
    size = struct.unpack(">i", await reader.readexactly(4))[0]
    return await reader.readexactly(size)


def _send(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(struct.pack(">i", len(frame)) + frame)
