"""What does not get as far as the routes: requests that are none, connections that take room, clients that go."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from monitor.web import Site, application, bind, public_application, sockets
from monitor.web.health import Health
from tests.end_to_end.rig import until
from tests.web.conftest import Agent, Journal, Serve
from tests.web.test_server import assert_problem, unfinished

TOKEN = "heartbeattoken_01234"


async def raw(port: int, request: bytes) -> tuple[bytes, dict[str, str], str]:
    """(status line, headers, body) of what is answered before the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(10):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    first, *lines = head.split(b"\r\n")
    headers = dict(line.decode("latin1").split(": ", 1) for line in lines)
    return first, headers, body.decode()


@pytest.mark.parametrize("public", [False, True], ids=["inner", "public"])
@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (f"GET /ping/{TOKEN}".encode() + b"\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: heartbeattoken_01234\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nheartbeattoken_01234\r\n\r\n", 400),
        (b"GET /heartbeattoken_01234" + b"x" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET http://[::1heartbeattoken_01234 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: heartbeattoken_01234\r\nConnection: close\r\n\r\n", 417),
        (b"GET /nope HTTP/1.1\r\nHost: localhost\r\nExpect: <b>x\r\nConnection: close\r\n\r\n", 417),
    ],
    ids=["bytes", "two hosts", "no header", "long", "bracket", "tls", "expect", "expect, nowhere"],
)
async def test_errors_of_the_parser_are_problems_that_repeat_nothing(
    agent: Agent, caplog: pytest.LogCaptureFixture, request_: bytes, expected: int, *, public: bool
) -> None:
    app = (public_application if public else application)(agent.view())
    site = Site(app, bind("127.0.0.1", 0))
    await site.start()
    try:
        first, headers, body = await raw(site.port, request_)
    finally:
        await site.stop()
    assert_problem(int(first.split()[1]), headers, body, expected)
    assert (headers["Server"], headers["X-Frame-Options"], headers["Cache-Control"]) == (
        "brownout",
        "DENY",
        "no-store",
    )
    assert "<b>" not in body
    assert TOKEN not in body
    assert caplog.records == []


class SlowJournal(Journal):
    """Answers when it is let, so that a client can go away before."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answers = asyncio.Event(), asyncio.Event()

    async def events(self, limit: int) -> list[Mapping[str, Any]]:
        self.asked.set()
        await self.answers.wait()
        return await super().events(limit)


@pytest.mark.parametrize(
    "more", [b"", b"Accept: text/event-stream\r\nLast-Event-ID: evt_1\r\n"], ids=["list", "feed"]
)
async def test_who_hangs_up_before_the_answer_begins_leaves_no_trace(
    agent: Agent, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], more: bytes
) -> None:
    journal = SlowJournal()
    site = Site(application(agent.view(records=journal)), bind("127.0.0.1", 0))
    await site.start()
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n" + more + b"\r\n")
        await asyncio.wait_for(journal.asked.wait(), 10)
        writer.transport.abort()
        assert site._runner.server is not None
        [connection] = site._runner.server.connections
        await until(lambda: connection.transport is None, "the connection to be lost")
        journal.answers.set()
        await until(lambda: not site._runner.server.connections, "the request to end")
    finally:
        await site.stop()
    assert caplog.records == []
    assert "request_failed" not in "".join(capsys.readouterr())


async def test_a_connection_of_ours_that_breaks_is_a_fault_of_ours(serve: Serve) -> None:
    def broken() -> Health:
        raise ConnectionResetError

    assert_problem(*await (await serve(health=broken)).get("/healthz"), expected=500)


async def test_connections_that_are_merely_held_make_room(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[None] = []
    site = Site(
        application(agent.view()), bind("127.0.0.1", 0), connections=2, turned_away=lambda: refused.append(None)
    )
    await site.start()
    try:
        held = [await unfinished(site.port) for _ in range(2)]
        assert (await raw(site.port, b"GET /readyz HTTP/1.0\r\n\r\n"))[0] == b""
        assert len(refused) == 1, "both have been there for a moment only: they may be about to ask"
        monkeypatch.setattr(sockets, "IDLE", 0.0)
        for _ in range(5):
            first, _, _ = await raw(site.port, b"GET /readyz HTTP/1.0\r\n\r\n")
            assert first == b"HTTP/1.0 200 OK"
        assert len(refused) == 1
        reader, _ = held[0]
        assert await asyncio.wait_for(reader.read(), 10) == b""
        for _, writer in held:
            writer.close()
    finally:
        await site.stop()


async def test_one_address_has_half_of_the_room_at_most(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "is_loopback_name", lambda name: name == "127.0.0.2")
    refused: list[None] = []
    site = Site(
        application(agent.view()), bind("0.0.0.0", 0), connections=4, turned_away=lambda: refused.append(None)
    )  # fmt: skip
    await site.start()
    try:
        held = [await unfinished(site.port) for _ in range(2)]
        assert (await raw(site.port, b"GET /readyz HTTP/1.0\r\n\r\n"))[0] == b""
        assert len(refused) == 1
        proxy = [
            await asyncio.open_connection("127.0.0.1", site.port, local_addr=(host, 0))
            for host in ("127.0.0.3", "127.0.0.2")
        ]
        for reader, writer in proxy:
            writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
            assert await asyncio.wait_for(reader.readline(), 10) == b"HTTP/1.0 200 OK\r\n", "others have theirs"
        monkeypatch.setattr(sockets, "IDLE", 0.0)
        assert (await raw(site.port, b"GET /readyz HTTP/1.0\r\n\r\n"))[0] == b"HTTP/1.0 200 OK"
        for _, writer in (*held, *proxy):
            writer.close()
    finally:
        await site.stop()
