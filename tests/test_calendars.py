"""Calendars are fetched over real HTTP, and the last good copy serves when they are gone."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import structlog
from aiohttp import web

from monitor.calendars import RETRY, Calendars
from monitor.config.load import load
from monitor.config.model import Config
from monitor.core.model import Moment
from monitor.kinds import installed_kinds
from monitor.parts import plan_of
from tests.end_to_end.rig import until
from tests.test_almanac import NOW, calendar

ANN = calendar("DTSTART:20260301T000000Z\nDTEND:20260501T000000Z\nSUMMARY:ann")
BOB = calendar("DTSTART:20260301T000000Z\nDTEND:20260501T000000Z\nSUMMARY:bob")


class Hands:
    """A clock that the test sets."""

    tick = 0.0

    def now(self) -> Moment:
        return Moment(NOW, self.tick)


class Server:
    """Says what it is told to say."""

    def __init__(self) -> None:
        self.status, self.body, self.asked, self.url, self.packed = 200, ANN, 0, "", False

    async def handle(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.packed:
            return web.Response(body=gzip.compress(ANN), headers={"Content-Encoding": "gzip"})
        if request.path == "/moved":
            raise web.HTTPFound("/secret-4711.ics")
        return web.Response(status=self.status, body=self.body)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made, app = Server(), web.Application()
    app.router.add_get("/{path:.*}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    made.url = f"http://127.0.0.1:{port}/secret-4711.ics"
    yield made
    await runner.cleanup()


def config_of(url: str, folder: Path) -> Config:
    path = folder / "checks.yaml"
    path.write_text(
        f"agent: {{state_dir: {folder}}}\noncall: {{calendar: '{url}', refresh: 10m}}\n"
        "people: {ann: {sms: {type: console}}, bob: {sms: {type: console}}}\n"
        "checks: [{name: home, probe: tcp, address: '127.0.0.1:1'}]\n",
        encoding="utf-8",
    )
    return load(path, kinds=installed_kinds(), env={})


class Running:
    """Calendars as a part of an agent runs them."""

    def __init__(self, config: Config) -> None:
        self.config, self.hands, self.client = config, Hands(), httpx.AsyncClient(trust_env=False)
        self.calendars = Calendars(config, self.client, self.hands)
        self.roster = plan_of(config, self.calendars.shifts).roster

    async def __aenter__(self) -> Running:
        self.task = asyncio.create_task(self.calendars.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        await self.client.aclose()

    def oncall(self) -> tuple[str, ...]:
        return self.roster.sinks("oncall.sms", NOW)

    async def sees(self, *who: str) -> None:
        await until(lambda: self.oncall() == who, f"{who} on call")

    def later(self, seconds: float) -> None:
        self.hands.tick += seconds
        self.calendars.adopt(self.config)  # it wakes up, as after a reload


async def test_it_is_fetched_again_and_changes_who_is_reached(server: Server, tmp_path: Path) -> None:
    async with Running(config_of(server.url.replace("secret-4711.ics", "moved"), tmp_path)) as agent:
        assert agent.oncall() == ("ann.sms", "bob.sms")  # nobody is known to be on call: all are
        await agent.sees("ann.sms")
        server.body = BOB
        agent.later(601)
        await agent.sees("bob.sms")


@pytest.mark.parametrize("body", [b"<html>Log in</html>", b"", b"x" * 6_000_000])
async def test_the_last_good_copy_serves_over_a_restart(body: bytes, server: Server, tmp_path: Path) -> None:
    config = config_of(server.url, tmp_path)

    def copies() -> list[Path]:
        return list(tmp_path.glob("calendar-*.ics"))

    async with Running(config) as agent:
        await agent.sees("ann.sms")
        await until(lambda: bool(copies()), "a copy")
    (copy,) = copies()
    assert copy.stat().st_mode & 0o777 == 0o600
    server.body, asked = body, server.asked
    with structlog.testing.capture_logs() as logs:
        async with Running(config) as agent:
            await agent.sees("ann.sms")
            await until(lambda: bool(logs), "a line on the log")
            agent.later(RETRY)
            await until(lambda: server.asked >= asked + 2, "asked again")
            assert agent.oncall() == ("ann.sms",)
            server.body = BOB

            def asks_again() -> bool:
                agent.later(RETRY)
                return agent.oncall() == ("bob.sms",)

            await until(asks_again, "bob on call")
    assert [line["event"] for line in logs] == ["calendar_stale", "calendar_fetched"]
    assert "4711" not in str(logs)


@pytest.mark.parametrize("status", [404, 500, 204])
async def test_without_a_copy_all_are_on_call(status: int, server: Server, tmp_path: Path) -> None:
    server.status = status
    with structlog.testing.capture_logs() as logs:
        async with Running(config_of(server.url, tmp_path)) as agent:
            await until(lambda: bool(logs), "a line on the log")
            assert agent.oncall() == ("ann.sms", "bob.sms")
    assert logs[0]["why"] == f"it answered {status}"


async def test_nobody_listens_and_another_address_is_another_calendar(server: Server, tmp_path: Path) -> None:
    async with Running(config_of(server.url, tmp_path)) as agent:
        await agent.sees("ann.sms")
        dead = config_of("http://127.0.0.1:1/other-4711.ics", tmp_path)
        with structlog.testing.capture_logs() as logs:
            agent.calendars.adopt(replace(dead, path=agent.config.path))
            assert agent.oncall() == ("ann.sms", "bob.sms")
            await until(lambda: bool(logs), "a line on the log")
        assert logs[0]["why"] == "it cannot be reached (ConnectError)"


async def test_what_is_packed_is_not_unpacked(server: Server, tmp_path: Path) -> None:
    """64 KB that were packed three times are gigabytes."""
    server.packed = True
    with structlog.testing.capture_logs() as logs:
        async with Running(config_of(server.url, tmp_path)):
            await until(lambda: bool(logs), "a line on the log")
    assert logs[0]["why"] == "it sends packed what was asked for unpacked"
