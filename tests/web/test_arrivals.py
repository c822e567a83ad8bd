"""`/ping` and `/push` over HTTP: who is let in, what is answered, and what bodies may cost."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
import structlog

from monitor.core.model import Check
from monitor.presence import Listener
from monitor.web import Post, Site, application, bind, public_application
from monitor.web.arrivals import BODY_LIMITS, BODY_TIME
from probes.contract import Arrival, Passive, Presence, Secret, Unit
from probes.heartbeat import Heartbeat
from probes.push import Push
from tests.core.builders import check, world
from tests.web.conftest import Agent, Serve
from tests.web.test_server import assert_problem

BACKUP, ORDERS, SHARED = "backup-0123456789", "orders-0123456789", "shared-0123456789"


class Faulty(Heartbeat):
    """Somebody's probe with a bug."""

    __slots__ = ()

    def receive(self, arrival: Arrival, memory: Any) -> None:
        memory["half"] = "done"
        raise ZeroDivisionError


def passive(name: str, probe: Passive) -> Check:
    return check(name, probe=probe)


@dataclass
class Office:
    """Takes the place of pipeline and scheduler."""

    agent: Agent
    kept: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    works: bool = True
    open: bool = True

    async def keep(self, name: str) -> bool:
        self.kept.append(name)
        await asyncio.sleep(0)
        return self.works

    def memory(self, name: str) -> Mapping[str, float | str]:
        return self.agent.world.judges[name].memory

    async def send(self, path: str, **fields: Any) -> tuple[int, Mapping[str, str], str]:
        return await self.agent.get(path, **({"method": "POST"} | fields))

    @property
    def port(self) -> int:
        return int(self.agent.base.rpartition(":")[2])

    async def count(self, door: str, result: str) -> float:
        _, _, text = await self.agent.get("/metrics")
        name = f'brownout_arrivals_total{{door="{door}",result="{result}"}} '
        return sum(float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))


@pytest.fixture
async def office(serve: Serve) -> Office:
    hour = timedelta(hours=1)
    watched = world(
        passive("backup", Heartbeat(token=Secret(BACKUP), period=hour)),
        passive("orders", Push(token=Secret(ORDERS), figures={"orders": Unit.COUNT})),
        passive("mail", Heartbeat(token=Secret(SHARED), period=hour, slug="mail")),
        passive("faulty", Faulty(token=Secret(SHARED), period=hour, slug="faulty")),
        check("home"),
    )
    here: list[Office] = []
    post = Post(
        lambda: Presence(time.time(), time.monotonic()), lambda name: here[0].keep(name),
        lambda name: here[0].asked.append(name), lambda: here[0].open,
    )  # fmt: skip
    here.append(Office(await serve(watched, post=post)))
    return here[0]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize(
    "path", ["", "/", "/start", "/fail", "/log", "/0", "/255", "?rid=0123abcd-0123-4567-89ab-0123456789ab"]
)
async def test_pings_are_taken_kept_and_looked_at(office: Office, method: str, path: str) -> None:
    status, _, text = await office.send(f"/ping/{BACKUP}{path}", method=method)
    assert (status, text) == (200, "" if method == "HEAD" else "OK")
    assert office.kept == office.asked == ["backup"]
    assert "pinged" in office.memory("backup")
    assert await office.count("ping", "accepted") == 1


async def test_a_check_that_a_reload_removes_while_the_body_comes_is_not_there_any_more() -> None:
    """A body may take ten seconds."""
    backup = passive("backup", Heartbeat(token=Secret(BACKUP), period=timedelta(hours=1)))
    worlds = [world(backup), world(check("home"))]
    post = Post(lambda: Presence(1e9, 0.0), lambda _: _never(), lambda _: None)
    async with aiohttp.ClientSession() as client:
        agent = Agent(client)
        view = agent.view(world=lambda: worlds.pop(0) if len(worlds) > 1 else worlds[0], post=post)
        site = Site(application(view), bind("127.0.0.1", 0))
        await site.start()
        agent.base = f"http://127.0.0.1:{site.port}"
        assert_problem(*await agent.get(f"/ping/{BACKUP}", method="POST", data=b"done"), expected=404)
        await site.stop()


async def _kept(_check: str) -> bool:
    return True


async def _never() -> bool:
    raise AssertionError("nothing is kept of a check that is not there")


async def test_what_a_job_said_arrives(office: Office) -> None:
    await office.send(f"/ping/{BACKUP}/7", data=b"no space left")
    assert (office.memory("backup")["exit_code"], office.memory("backup")["said"]) == (7, "no space left")


async def test_one_token_and_many_slugs(office: Office) -> None:
    assert (await office.send(f"/ping/{SHARED}/mail/3"))[0] == 200
    assert office.memory("mail")["exit_code"] == 3
    assert_problem(*await office.send(f"/ping/{SHARED}"), expected=404)
    assert_problem(*await office.send(f"/ping/{SHARED}/nobody"), expected=404)


@pytest.mark.parametrize(
    "path",
    [
        "/ping/unknown", f"/ping/{BACKUP}x", f"/ping/{BACKUP.upper()}", f"/ping/{ORDERS}", "/ping/", "/ping",
        "/push/unknown", f"/push/{BACKUP}", "/push", "/push/", f"/push/{ORDERS}/more", "/pushy",
        "/ping/home", "/ping/%00", "/ping/%ff",
    ],
)  # fmt: skip
async def test_who_has_no_token_is_told_nothing(office: Office, path: str) -> None:
    status, headers, text = await office.send(path, data=b"{}")
    assert_problem(status, headers, text, expected=404)
    assert office.kept == office.asked == []


async def test_what_makes_no_sense_is_a_problem(office: Office) -> None:
    assert_problem(*await office.send(f"/ping/{BACKUP}/256"), expected=400)
    assert_problem(*await office.send(f"/ping/{BACKUP}?rid=7"), expected=400)
    status, headers, text = await office.send(f"/push/{ORDERS}", data=b'{"order": 1}')
    assert_problem(status, headers, text, expected=400)
    assert "It knows: orders." in text
    for method, path, allowed in (("PUT", f"/ping/{BACKUP}", "GET, HEAD, POST"), ("GET", f"/push/{ORDERS}", "POST")):
        status, headers, text = await office.send(path, method=method)
        assert_problem(status, headers, text, expected=405)
        assert headers["Allow"] == allowed
    assert office.kept == office.asked == []
    assert office.memory("backup") == {}
    assert await office.count("ping", "refused") == 3


async def test_pushes_by_path_and_by_bearer(office: Office) -> None:
    body = json.dumps({"orders": 3}).encode()
    for path, headers in ((f"/push/{ORDERS}", {}), ("/push", {"Authorization": f"Bearer {ORDERS}"}),
                          ("/push", {"authorization": f"bearer  {ORDERS}"})):  # fmt: skip
        assert (await office.send(path, data=body, headers=headers))[::2] == (200, "OK")
    assert office.memory("orders")["figure orders"] == 3
    for wrong in (f"Basic {ORDERS}", ORDERS, "Bearer", "Bearer "):
        assert_problem(*await office.send("/push", data=body, headers={"Authorization": wrong}), expected=404)


async def test_any_name_of_the_agent_will_do(office: Office) -> None:
    """A token is its own authority; what is read stays guarded."""
    name = {"Host": "agent.example.net"}
    assert (await office.send(f"/ping/{BACKUP}", headers=name))[0] == 200
    assert (await office.send(f"/push/{ORDERS}", data=b'{"orders": 1}', headers=name))[0] == 200
    assert_problem(*await office.send("/api/v1/status", method="GET", headers=name), expected=421)


async def test_a_journal_that_cannot_be_written_refuses_nobody(office: Office) -> None:
    office.works = False
    status, _, text = await office.send(f"/ping/{BACKUP}")
    assert status == 200
    assert "journal" in text
    assert await office.count("ping", "unsaved") == 1


async def test_an_agent_that_stops_takes_nothing_that_it_could_not_keep(office: Office) -> None:
    office.open = False
    status, headers, text = await office.send(f"/ping/{BACKUP}")
    assert_problem(status, headers, text, expected=503)
    assert headers["Retry-After"] == "5"
    assert office.memory("backup") == {}


async def test_a_bug_of_a_probe_changes_nothing_and_shows_nothing(office: Office) -> None:
    with structlog.testing.capture_logs() as logged:
        status, headers, text = await office.send(f"/ping/{SHARED}/faulty")
    assert_problem(status, headers, text, expected=500)
    assert office.memory("faulty") == {}
    assert [line["event"] for line in logged] == ["probe_bug"]
    assert SHARED not in repr(logged)


async def test_large_bodies_are_bounded(office: Office) -> None:
    assert (await office.send(f"/ping/{BACKUP}/fail", data=b"x" * (BODY_LIMITS["ping"] + 1)))[0] == 200
    assert len(str(office.memory("backup")["said"])) <= 300
    assert_problem(*await office.send(f"/push/{ORDERS}", data=b" " * (BODY_LIMITS["push"] + 1)), expected=413)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(gzip.compress(b"0" * 50_000_000, mtime=0), id="bomb"),
        pytest.param(gzip.compress(b'{"orders": 1}', mtime=0), id="gzip"),
        pytest.param(b"not gzip", id="plain"),
    ],
)
async def test_bodies_are_taken_as_they_come(office: Office, body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    packed = {"Content-Encoding": "gzip"}
    assert (await office.send(f"/ping/{BACKUP}", data=body, headers=packed))[0] == 200
    assert (await office.send(f"/push/{ORDERS}", data=body, headers=packed))[0] in (400, 413)
    assert caplog.records == []


async def raw(port: int, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    return reader, writer


async def test_bodies_that_do_not_end_are_cut_and_keep_nobody_waiting(office: Office) -> None:
    def begun(path: str) -> bytes:
        return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{{".encode()

    started = asyncio.get_running_loop().time()
    slow = [await raw(office.port, begun(f"/ping/{BACKUP}/fail")) for _ in range(20)]
    slow += [await raw(office.port, begun(f"/push/{ORDERS}"))]
    assert (await office.send(f"/ping/{SHARED}/mail"))[0] == 200
    assert asyncio.get_running_loop().time() - started < BODY_TIME / 2
    answers = [await asyncio.wait_for(reader.readline(), 30) for reader, _ in slow]
    assert answers == [b"HTTP/1.1 200 OK\r\n"] * 20 + [b"HTTP/1.1 413 Request Entity Too Large\r\n"]
    assert asyncio.get_running_loop().time() - started >= BODY_TIME * 0.9
    assert office.memory("backup")["failures"] == 20, "the ping itself had arrived"
    for _, writer in slow:
        writer.close()


async def test_a_body_that_breaks_off_is_still_a_ping(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    head = f"POST /ping/{BACKUP}/fail HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf".encode()
    _, writer = await raw(office.port, head)
    writer.close()
    give_up = asyncio.get_running_loop().time() + 10
    while "failures" not in office.memory("backup"):
        assert asyncio.get_running_loop().time() < give_up
        await asyncio.sleep(0.01)
    assert caplog.records == []


async def test_a_connection_that_is_turned_away_is_told(office: Office) -> None:
    turned_away: list[float] = []
    site = Site(
        application(office.agent.view()), bind("127.0.0.1", 0), connections=1,
        turned_away=lambda: turned_away.append(time.monotonic()),
    )  # fmt: skip
    await site.start()
    try:
        _, held = await raw(site.port, b"GET /")
        reader, writer = await raw(site.port, b"")
        assert await asyncio.wait_for(reader.read(), 10) == b""
        assert turned_away
        writer.close()
        held.close()
    finally:
        await site.stop()


@pytest.mark.parametrize("listener", Listener)
async def test_it_is_told_where_something_was_sent(listener: Listener) -> None:
    heard: list[Listener] = []
    async with aiohttp.ClientSession() as client:
        agent = Agent(client)
        agent.world = world(passive("backup", Heartbeat(token=Secret(BACKUP), period=timedelta(hours=1))))
        post = Post(lambda: Presence(1e9, 0.0), _kept, lambda _: None, heard=heard.append)
        app = {Listener.INNER: application, Listener.PUBLIC: public_application}[listener](agent.view(post=post))
        site = Site(app, bind("127.0.0.1", 0))
        await site.start()
        agent.base = f"http://127.0.0.1:{site.port}"
        try:
            assert (await agent.get("/ping/no-token-of-anybody"))[0] == 404
            assert heard == [], "whoever has no token is nobody"
            assert (await agent.get(f"/ping/{BACKUP}"))[0] == 200
            assert heard == [listener]
        finally:
            await site.stop()


async def test_where_nothing_is_taken_there_is_nothing(agent: Agent) -> None:
    assert_problem(*await agent.get(f"/ping/{BACKUP}"), expected=404)
    assert_problem(*await agent.get("/push", method="POST"), expected=404)


async def test_nothing_that_the_agent_shows_has_a_token(office: Office) -> None:
    await office.send(f"/ping/{BACKUP}/fail", data=BACKUP.encode())
    await office.send(f"/push/{ORDERS}", data=json.dumps({"orders": 1, "message": ORDERS}).encode())
    for path in ("/", "/api/v1/status", "/metrics", "/api/v1/events"):
        _, _, text = await office.agent.get(path)
        assert BACKUP not in text
        assert ORDERS not in text
    assert BACKUP not in repr(office.memory("backup"))
    assert ORDERS not in repr(office.memory("orders"))
