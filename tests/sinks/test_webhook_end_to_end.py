"""From a commit in SQLite to a real receiver on loopback that verifies with the reference library."""

from __future__ import annotations

import asyncio
import base64
import io
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from aiohttp import web
from standardwebhooks.webhooks import Webhook as Reference

from monitor.clock import SystemClock
from monitor.outbox import Outbox, Outcome, Pace
from monitor.sinks import _http
from monitor.sinks.webhook import Webhook
from monitor.store.contract import Delivery
from monitor.store.sqlite import SqliteStore
from probes.contract import Secret
from tests.store.made import NOBODY, event, told

SECRET = "whsec_" + base64.b64encode(b"a key of at least 24 bytes").decode()


class Receiver:
    """Refuses the first `refusals` attempts, verifies the rest."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.attempts: list[str] = []
        self.accepted: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.attempts.append(request.headers["webhook-id"])
        if len(self.attempts) <= self.refusals:
            return web.Response(status=503, headers={"retry-after": "0"})
        verified = Reference(SECRET).verify(await request.read(), dict(request.headers))
        assert verified["id"] == request.headers["webhook-id"]
        self.accepted.append(verified["id"])
        return web.Response(status=204)


@asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/hook"
    finally:
        await runner.cleanup()


async def test_signed_in_order_and_through_refusals(tmp_path: Path) -> None:
    receiver = Receiver(refusals=2)
    store = SqliteStore(tmp_path)
    await store.open()
    done = asyncio.Event()
    outcomes: list[Outcome] = []

    def watch(delivery: Delivery, outcome: Outcome, seconds: float, error: str) -> None:
        outcomes.append(outcome)
        if outcomes.count(Outcome.ACCEPTED) == 10:
            done.set()

    async with listening(receiver) as url, _http.new_client() as client:
        outbox = Outbox(
            store,
            {"hook": Webhook(url, secret=(Secret(SECRET),))},
            client=client,
            terminal=io.StringIO(),
            clock=SystemClock(),
            random=Random(1),
            on_result=watch,
            pace=Pace(backoff=(0.01,) * 9, trial=0.01),
        )
        running = asyncio.create_task(outbox.run())
        await store.commit([told(*(event(f"e{n}", excerpt="größe €") for n in range(10)))], NOBODY)
        outbox.wake(["hook"])
        await asyncio.wait_for(done.wait(), 20)
        assert await outbox.drain(5)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert receiver.attempts[:3] == ["e0", "e0", "e0"]
    assert receiver.accepted == [f"e{n}" for n in range(10)]
    assert outcomes == [Outcome.RETRIED] * 2 + [Outcome.ACCEPTED] * 10
    assert await store.backlog() == {}
    await store.close()


class Searches:
    """Sees which modules are looked for on the path, and finds none."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> None:
        self.names.append(name)


async def test_a_send_searches_for_no_module() -> None:
    """httpcore looks for sniffio at each request; where it is not installed, that took a third of a send."""
    searches = Searches()
    async with listening(Receiver(99)) as url, _http.new_client() as client:

        async def ask() -> None:
            await _http.ask(client, "POST", url, b"{}", {"webhook-id": "e1"}, seconds=20)

        await ask()  # the first brings what it needs
        sys.meta_path.insert(0, searches)
        try:
            await ask()
        finally:
            sys.meta_path.remove(searches)
    assert not searches.names


async def test_nobody_listens(tmp_path: Path) -> None:
    async with listening(Receiver(0)) as url:
        pass
    store = SqliteStore(tmp_path)
    await store.open()
    async with _http.new_client() as client:
        results: asyncio.Queue[Outcome] = asyncio.Queue()
        outbox = Outbox(
            store,
            {"hook": Webhook(url)},
            client=client,
            terminal=io.StringIO(),
            clock=SystemClock(),
            random=Random(1),
            on_result=lambda delivery, outcome, seconds, error: results.put_nowait(outcome),
            pace=Pace(backoff=()),
        )
        running = asyncio.create_task(outbox.run())
        await store.commit([told(event("e1"))], NOBODY)
        outbox.wake(["hook"])
        assert await asyncio.wait_for(results.get(), 20) is Outcome.DEAD
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    [letter] = await store.dead_letters(1)
    assert letter.error == "cannot reach it: Connection refused"
    await store.close()
