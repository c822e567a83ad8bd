"""What befalls the other side of a sink, on real sockets: it asks to wait, hangs up behind what it took, its
certificate expires."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from random import Random

import httpx
import pytest
import structlog

from monitor.clock import SystemClock
from monitor.core.model import Event, EventType
from monitor.outbox import Outbox, Pace
from monitor.sinks import _http
from monitor.sinks.contract import SendFailed, Sink
from monitor.sinks.pagerduty import PagerDuty
from monitor.sinks.slack import Slack
from monitor.sinks.webhook import Webhook
from monitor.store.memory import MemoryStore
from probes.contract import Secret
from tests.end_to_end.rig import until
from tests.faults.peer import Peer, fine, peering
from tests.servers.authority import authority
from tests.sinks import test_pagerduty as pagerduty
from tests.sinks import test_slack as slack
from tests.sinks.lives import OPENED, RESOLVED, WORSE, body, delivered
from tests.store.made import NOBODY, event, told

QUICK = Pace(backoff=(0.05,) * 200, jitter=0.0, trial=0.05, longest_trial=0.05, gather=0.0)


@dataclass
class Bench:
    store: MemoryStore
    outbox: Outbox

    async def tell(self, *events: Event) -> None:
        await self.store.commit([told(*events)], NOBODY)
        self.outbox.wake(["hook"])

    async def all_told(self) -> None:
        async with asyncio.timeout(20):
            while await self.store.backlog():  # noqa: ASYNC110  (a store tells nobody)
                await asyncio.sleep(0.01)
        assert await self.store.dead_letters(9) == []


@asynccontextmanager
async def working(sink: Sink, trusted: Path | None = None) -> AsyncIterator[Bench]:
    store = MemoryStore()
    await store.open()
    transport = None
    if trusted is not None:
        transport = httpx.AsyncHTTPTransport(verify=ssl.create_default_context(cafile=str(trusted)))
    async with _http.new_client(transport) as client:
        outbox = Outbox(
            store,
            {"hook": sink},
            client=client,
            terminal=io.StringIO(),
            clock=SystemClock(),
            random=Random(1),
            pace=QUICK,
        )
        running = asyncio.create_task(outbox.run())
        yield Bench(store, outbox)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def of(told: dict[str, object]) -> Event:
    row = delivered(told)
    return Event(row.event_id, EventType(row.event_type), row.at, row.stream, told, ("hook",))


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_a_429_is_waited_out_in_both_forms_and_by_all_streams(form: str) -> None:
    def busy(request: httpx.Request) -> httpx.Response:
        peer.answer = fine
        when = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
        return httpx.Response(429, headers={"retry-after": "1" if form == "seconds" else when})

    peer = Peer(busy)
    async with peering(peer), working(Webhook(peer.url)) as bench:
        with structlog.testing.capture_logs() as logged:
            await bench.tell(event("e1"))
            await until(lambda: any(line["event"] == "outbox.retry" for line in logged), "the first attempt")
        await bench.tell(event("e2", "check:b"), event("e3"))
        await bench.all_told()
        ids = [request.headers["webhook-id"] for request in peer.taken]
        assert ids[0] == "e1"
        assert sorted(ids[1:]) == ["e1", "e2", "e3"]
        assert ids.index("e3") > ids.index("e1", 1)
        assert 0.9 <= peer.at[1] - peer.at[0] < 6


async def test_a_webhook_whose_answer_is_cut_off_comes_again_as_the_same() -> None:
    """The receiver can tell by the id that it has had it."""

    def hang_up(request: httpx.Request) -> httpx.Response:
        peer.answer = fine
        raise httpx.ReadError("")

    peer = Peer(hang_up)
    async with peering(peer), working(Webhook(peer.url)) as bench:
        with structlog.testing.capture_logs() as logged:
            await bench.tell(event("e1"), event("e2"))
            await bench.all_told()
    [retry] = [line for line in logged if line["event"] == "outbox.retry"]
    assert "it ended the connection without an answer" in retry["error"]
    assert [request.headers["webhook-id"] for request in peer.taken] == ["e1", "e1", "e2"]
    assert peer.taken[0].content == peer.taken[1].content


async def test_an_alert_whose_answer_is_cut_off_pages_once_and_is_closed() -> None:
    """PagerDuty tells a repetition by its key: the first answer to each of its steps is cut off."""
    service = pagerduty.Service()

    def unsteady(request: httpx.Request) -> httpx.Response:
        answer = service.answer(request)
        if service.taken.count(service.taken[-1]) == 1:
            raise httpx.ReadError("")
        return answer

    peer = Peer(unsteady)
    async with peering(peer), working(PagerDuty(Secret(pagerduty.KEY), url=peer.url)) as bench:
        for news in (OPENED, WORSE, RESOLVED):
            await bench.tell(of(news))
            await bench.all_told()
    assert service.open == {}
    assert service.paged == ["warning", "critical"]
    assert {service.taken.count(step) > 1 for step in service.taken} == {True}


async def test_a_message_whose_answer_is_cut_off_is_written_once() -> None:
    """Slack cannot tell a repetition: what was taken is looked for."""
    workspace = slack.Workspace(cut_off={"chat.postMessage", "chat.update"})
    peer = Peer(workspace.answer)
    better = body("incident.updated", "outage", "degradation", "Web shop is degraded.", 400.0)
    async with (
        peering(peer),
        working(Slack(token=Secret(slack.TOKEN), channel=slack.CHANNEL, api=f"{peer.url}/api")) as bench,
    ):
        for news in (OPENED, WORSE, better, RESOLVED):
            workspace.cut_off |= {"chat.postMessage", "chat.update"}
            await bench.tell(of(news))
            await bench.all_told()
    [message] = workspace.shown
    assert "back to normal" in message
    written = [json.dumps(reply["blocks"]) for reply in workspace.replies]
    assert len(written) == len(set(written)) == 4


async def test_a_certificate_that_expires_holds_the_news_and_is_named(tmp_path: Path) -> None:
    made = authority(tmp_path)

    def load(name: str) -> None:
        tls.load_cert_chain(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load("good")
    async with peering(Peer(), tls) as peer, working(Webhook(peer.url), made.file) as bench:
        await bench.tell(event("e1"))
        await bench.all_told()
        load("expired")
        with structlog.testing.capture_logs() as logged:
            await bench.tell(event("e2"), event("e3"))
            await until(lambda: any(line["event"] == "outbox.sink_failing" for line in logged), "the breaker")
        assert {line["error"] for line in logged if "error" in line} == {"cannot reach it: certificate has expired"}
        assert bench.outbox.states["hook"].error == "cannot reach it: certificate has expired"
        load("good")
        await bench.all_told()
    assert [request.headers["webhook-id"] for request in peer.taken] == ["e1", "e2", "e3"]


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
