"""Apprise, with services on loopback: what is sent, what its failures mean, and that none holds up others."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import httpx
import pytest
from aiohttp import web

from monitor.sinks import apprise as sink_module
from monitor.sinks import registry
from monitor.sinks._message import compose
from monitor.sinks._told import read
from monitor.sinks.apprise import MOST_UNDER_WAY, Apprise, texts
from monitor.sinks.contract import SendFailed
from probes.contract import BadField, Secret
from tests.end_to_end.rig import until
from tests.sinks.lives import ALL, DIGEST, OPENED, RESOLVED, START, WORSE, delivered, hostile
from tests.sinks.made import context


class Service:
    """Keeps what it is sent, and answers as told."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.answer: Callable[[], Awaitable[web.Response]] = self.accept
        self.port = 0
        self.wanted = 1
        self.all_came = asyncio.Event()

    async def accept(self) -> web.Response:
        return web.json_response({"id": "1"})

    async def handle(self, request: web.Request) -> web.Response:
        text = await request.text()
        self.got.append(json.loads(text) if text.startswith("{") else {"message": text})
        if len(self.got) >= self.wanted:
            self.all_came.set()
        return await self.answer()

    def refuse(self, status: int) -> None:
        async def answer() -> web.Response:
            return web.Response(status=status, text="s3cr3t", headers={"retry-after": "30"})

        self.answer = answer

    def hang(self) -> asyncio.Event:
        """Until it is set."""
        ended = asyncio.Event()

        async def answer() -> web.Response:
            await ended.wait()
            return web.Response()

        self.answer = answer
        return ended

    def sink(self, scheme: str = "json", query: str = "", **facts: Any) -> Apprise:
        return Apprise(Secret(f"{scheme}://127.0.0.1:{self.port}/s3cr3t{query}"), **facts)


@asynccontextmanager
async def serving() -> AsyncIterator[Service]:
    service = Service()
    app = web.Application()
    app.router.add_post("/{path:.*}", service.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.port = runner.addresses[0][1]
    try:
        yield service
    finally:
        await runner.cleanup()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving() as found:
        yield found


async def tell(sink: Apprise, told: dict[str, Any] = OPENED) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        await sink.send(delivered(told), context(client, now=START))


async def fails(sink: Apprise) -> SendFailed:
    with pytest.raises(SendFailed) as raised:
        await tell(sink)
    assert "s3cr3t" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize(
    ("told", "kind", "title"),
    [
        (OPENED, "warning", "🟡 Web shop: degraded"),
        (WORSE, "failure", "🔴 Web shop: outage"),
        (RESOLVED, "success", "🟢 Web shop: back to normal"),
        (DIGEST, "failure", "🔴 29 more alerts"),
        (ALL["cannot_tell"], "info", "⚪ Web shop: cannot be judged"),
    ],
)
async def test_each_class_has_its_kind(service: Service, told: dict[str, Any], kind: str, title: str) -> None:
    await tell(service.sink(), told)
    [sent] = service.got
    assert (sent["type"], sent["title"]) == (kind, title)
    assert sent["message"].startswith(told["sentence"])
    assert told["links"]["page"] in sent["message"]
    if told is DIGEST:
        assert "and 27 more" in sent["message"]


async def test_a_short_one_is_for_text_messages(service: Service) -> None:
    await tell(service.sink(short=True))
    [sent] = service.got
    assert sent["title"] == ""
    assert sent["message"] == f"{OPENED['sentence']}\n{OPENED['links']['acknowledge']}"
    await tell(service.sink(short=True), DIGEST)
    assert service.got[-1]["message"] == f"{DIGEST['sentence']}\n{DIGEST['links']['page']}"
    assert all(sent["message"].isascii() for sent in service.got)


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("name", sorted(ALL))
def test_hostile_text_mentions_nobody(name: str, *, short: bool) -> None:
    title, text = texts(compose(read(delivered(hostile(ALL[name]))), START), short=short)
    for found in (title, text):
        assert "@everyone" not in found
        assert "<@U123>" not in found
        assert "](" not in found
        assert "\x1b" not in found


async def test_over_long_text_is_cut_to_what_the_service_takes(service: Service) -> None:
    """By default Apprise sends it unchanged, and is refused."""
    members = [{"id": "a", "state": "down", "why": "x"}] * 12
    told = hostile(OPENED | {"evidence": {"facts": {f"{n}": "x" for n in range(16)}, "checks": members}})
    limit = sink_module._apprise().NotificationManager()["ntfy"].body_maxlen
    assert len(texts(compose(read(delivered(told)), START), short=False)[1]) > limit
    await tell(service.sink("ntfy"), told)
    [sent] = service.got
    assert 0.9 * limit < len(sent["message"]) <= limit


@pytest.mark.parametrize(
    ("status", "permanent"),
    [(400, True), (401, True), (404, True), (410, True), (408, False), (429, False), (500, False), (503, False)],
)
async def test_what_a_status_means(service: Service, status: int, *, permanent: bool) -> None:
    service.refuse(status)
    failed = await fails(service.sink())
    assert failed.permanent is permanent
    assert str(failed) == f"answered {status}"


async def test_nobody_is_there() -> None:
    async with serving() as service:
        pass
    failed = await fails(service.sink())
    assert (failed.permanent, failed.uncertain) == (False, True)
    assert str(failed) == "it cannot be reached, or has not answered in time"


async def test_its_time_is_limited(service: Service) -> None:
    ended = service.hang()
    failed = await fails(service.sink(timeout=timedelta(milliseconds=100)))
    ended.set()
    assert (str(failed), failed.uncertain) == ("no answer within 0.1 s", True)


async def test_what_hangs_holds_up_no_other(service: Service) -> None:
    """Apprise's own pool has as many threads as there are processors, and a few: a dozen hung sends stop all."""
    ended = service.hang()
    sinks = [service.sink(query=f"/{number}?rto=60") for number in range(8)]
    service.wanted = len(sinks) * MOST_UNDER_WAY
    hung = [asyncio.create_task(tell(sink)) for sink in sinks for _ in range(MOST_UNDER_WAY)]
    await asyncio.wait_for(service.all_came.wait(), 15)
    failed = await fails(sinks[0])
    assert (failed.permanent, str(failed)) == (False, "4 earlier sends have not ended yet")
    async with serving() as other:
        await tell(other.sink())
        assert len(other.got) == 1
    assert not any(task.done() for task in hung)
    ended.set()
    await asyncio.gather(*hung)
    await tell(sinks[0])


@pytest.mark.parametrize("name", ["apprise", "urllib3"])
def test_nothing_of_it_is_logged(name: str) -> None:
    """They log addresses, and what was answered."""
    sink_module._apprise()
    assert not logging.getLogger(name).propagate


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("s3cr3t", "must be an address in Apprise's form"),
        ("nope://s3cr3t", "Apprise knows no nope://"),
        ("discord://s3cr3t", "no complete discord:// address"),
        ("twilio://s3cr3t:x@y", "no complete twilio:// address"),
        ("https://s3cr3t.example.com/x", "Apprise knows no https://"),
    ],
)
def test_what_cannot_be_used_is_refused(url: str, told: str) -> None:
    with pytest.raises(BadField, match=told) as raised:
        Apprise(Secret(url))
    assert raised.value.field == "url"
    assert "s3cr3t" not in str(raised.value)


def test_a_time_limit_that_is_none() -> None:
    with pytest.raises(BadField) as raised:
        Apprise(Secret("json://localhost"), timeout=timedelta(0))
    assert raised.value.field == "timeout"


def test_who_has_not_installed_it_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nobody else is bothered."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    monkeypatch.delitem(sys.modules, "monitor.sinks.apprise")
    found = registry.load()
    assert found.broken == {"apprise": 'sink type "apprise" needs apprise: pip install "brownout[apprise]"'}
    assert "email" in found.kinds


def test_its_repr_shows_no_secret() -> None:
    assert "s3cr3t" not in repr(Apprise(Secret("json://localhost/s3cr3t")))


@asynccontextmanager
async def lying(said: bytes, flood: bytes) -> AsyncIterator[tuple[Apprise, list[bytes]]]:
    """Says the one, then the other for ever. What was asked."""
    asked: list[bytes] = []
    under_way: list[asyncio.Task[Any] | None] = []
    writers: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way.append(asyncio.current_task())
        writers.append(writer)
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(said)
        with suppress(OSError):
            while flood:
                writer.write(flood)
                await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Apprise(Secret(f"json://127.0.0.1:{port}/s3cr3t"), timeout=timedelta(seconds=1)), asked
        for (
            writer
        ) in writers:  # what failed in urllib3 refers to itself and to its connection, which stays for a while
            writer.transport.abort()
        await asyncio.gather(*filter(None, under_way), return_exceptions=True)


async def no_thread_left() -> None:
    await until(lambda: not any(item.name == "apprise" for item in threading.enumerate()), "no thread is left")


@pytest.mark.parametrize(
    ("said", "flood", "outcome"),
    [
        (b"HTTP/1.1 500 No\r\n\r\n", b"x" * 65536, "answered 500"),
        (b"HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 999, "answered 500"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 999, "no answer within 1 s"),
    ],
    ids=["body", "chunks", "interim answers"],
)
async def test_an_endless_answer_has_an_end(said: bytes, flood: bytes, outcome: str) -> None:
    """Apprise reads all of it, into memory, in a thread that nobody ends."""
    async with lying(said, flood) as (sink, _):
        assert str(await fails(sink)) == outcome
        await no_thread_left()


async def test_a_redirect_gets_no_secrets() -> None:
    async with lying(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"") as (elsewhere, asked):
        host = elsewhere.url.reveal().removeprefix("json")
        moved = f"HTTP/1.1 308 Moved\r\nlocation: http{host}\r\ncontent-length: 0\r\n\r\n".encode()
        async with lying(moved, b"") as (sink, _):
            assert str(await fails(sink)) == "answered 308"
    assert asked == []
