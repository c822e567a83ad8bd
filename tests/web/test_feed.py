"""Events as they happen: order, resuming, heartbeats, bounds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from monitor.core.model import Event, EventType
from monitor.tokens import Scope, Token
from monitor.web import Feed, Site, application, bind, feed
from monitor.web.feed import Bounds
from tests.web.conftest import Agent
from tests.web.made import PASSWORD
from tests.web.test_server import assert_problem

STREAM = {"Accept": "text/event-stream"}


def event(number: int, **more: Any) -> Event:
    body = {"id": f"evt_{number}", "type": "check.changed", "sentence": f"event {number}", **more}
    return Event(str(body["id"]), EventType.CHECK_CHANGED, datetime(2026, 3, 1, tzinfo=UTC), "check:home", body)


class Station:
    """An agent's page, its journal, and the feed that the pipeline publishes to."""

    def __init__(self, agent: Agent, feed: Feed, site: Site) -> None:
        self.agent, self.feed, self.site = agent, feed, site

    def tell(self, *events: Event) -> None:
        """Commit, then publish: as the pipeline does."""
        self.agent.journal.bodies = [*(dict(item.body) for item in reversed(events)), *self.agent.journal.bodies]
        self.feed.publish(events)

    @asynccontextmanager
    async def listen(self, **headers: str) -> AsyncIterator[Stream]:
        url = self.agent.base + "/api/v1/events"
        async with self.agent.client.get(url, headers={**STREAM, **headers}) as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "text/event-stream"
            stream = Stream(answer)
            assert await stream.block() == {"retry": "2000"}
            yield stream


class Stream:
    """Reads what a browser reads."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def block(self) -> dict[str, str] | None:
        """Fields up to an empty line; None at the end."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(10):
            while line := await self._answer.content.readline():
                if line == b"\n":
                    return fields
                name, _, value = line.decode().rstrip("\n").partition(": ")
                fields[name or "comment"] = value
        return None

    async def next(self) -> Mapping[str, Any]:
        block = await self.block()
        assert block is not None
        body: dict[str, Any] = json.loads(block["data"])
        assert (block["id"], block["event"]) == (body["id"], body["type"])
        return body


@asynccontextmanager
async def on_air(bounds: Bounds = Bounds()) -> AsyncIterator[Station]:  # noqa: B008  (frozen)
    async with aiohttp.ClientSession() as client:
        agent = Agent(client)
        view = agent.view()
        made = Feed(agent.journal, view.redact, bounds)
        site = Site(application(agent.view(feed=made)), bind("127.0.0.1", 0))
        await site.start()
        agent.base = f"http://127.0.0.1:{site.port}"
        try:
            yield Station(agent, made, site)
        finally:
            await site.stop()


@pytest.fixture
async def station() -> AsyncIterator[Station]:
    async with on_air() as station:
        yield station


async def test_each_event_as_it_happens(station: Station) -> None:
    async with station.listen() as one, station.listen() as two:
        station.tell(event(1), event(2))
        station.tell(event(3))
        for stream in (one, two):
            assert [(await stream.next())["id"] for _ in range(3)] == ["evt_1", "evt_2", "evt_3"]


async def test_texts_are_one_line_and_hold_no_secret(station: Station) -> None:
    async with station.listen() as stream:
        station.tell(event(1, why=f"a\n\ndata: forged\r\n{PASSWORD}"))
        assert (await stream.next())["why"] == "a\n\ndata: forged\r\n***"


async def test_whoever_was_away_is_told_what_came_since_each_once(station: Station) -> None:
    station.tell(*(event(number) for number in range(1, 1201)))
    async with station.listen(**{"Last-Event-ID": "evt_3"}) as stream:
        station.tell(event(1201))
        assert [(await stream.next())["id"] for _ in range(1198)] == [f"evt_{n}" for n in range(4, 1202)]


async def test_where_the_journal_has_forgotten_that_is_said(station: Station) -> None:
    async with station.listen(**{"Last-Event-ID": "evt_99"}) as stream:
        block = await stream.block()
        assert block is not None
        assert block["event"] == "gap"
        station.tell(event(1))
        assert (await stream.next())["id"] == "evt_1"


async def test_who_was_away_for_too_long_hears_of_the_gap_and_goes_on() -> None:
    async with on_air(Bounds(page=2, missed=4)) as station:
        station.tell(*(event(number) for number in range(1, 10)))
        async with station.listen(**{"Last-Event-ID": "evt_1"}) as stream:
            assert [(await stream.next())["id"] for _ in range(4)] == ["evt_2", "evt_3", "evt_4", "evt_5"]
            assert await stream.block() == {"event": "gap", "data": "{}"}
            station.tell(event(10))
            assert (await stream.next())["id"] == "evt_10"


async def test_an_event_that_was_read_before_it_was_published_is_told_once() -> None:
    """It is in the journal a moment before anybody is told of it."""
    reader, told = feed.Reader(8), {"evt_1", "evt_2", "evt_3"}
    for number in (2, 3, 4):
        reader.offer((f"evt_{number}", b"%d" % number))
    assert await feed._next(reader, told, 15.0) == b"4"
    assert not told, "behind the first that is new, all are: nothing need be remembered any more"


async def test_what_cannot_be_an_id_of_ours_is_not_asked_for(station: Station) -> None:
    station.agent.journal.broken = True  # so that whoever asks it hears so
    for strange in (b"\xff", b"x" * 101):
        reader, writer = await asyncio.open_connection("127.0.0.1", station.site.port)
        writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n")
        writer.write(b"Last-Event-ID: %b\r\n\r\n" % strange)
        async with asyncio.timeout(10):
            await reader.readuntil(b"event: gap\n")
        writer.close()


async def test_silence_has_heartbeats() -> None:
    async with on_air(Bounds(silence=0.01)) as station, station.listen() as stream:
        assert await stream.block() == {"comment": "still here"}
        assert await stream.block() == {"comment": "still here"}


async def test_readers_are_bounded() -> None:
    async with on_air(Bounds(readers=1)) as station, station.listen():
        status, headers, text = await station.agent.get("/api/v1/events", headers=STREAM)
        assert_problem(status, headers, text, 503)
        assert headers["Retry-After"]
        assert (await station.agent.get("/api/v1/events"))[0] == 200


async def test_a_reader_that_does_not_read_is_let_go_and_nobody_waits_for_it() -> None:
    bounds = Bounds(buffer=4, write=0.2)
    async with on_air(bounds) as station, station.listen(), station.listen() as other:
        for number in range(1, 401):
            station.tell(event(number, why="x" * 60_000))
            assert (await other.next())["id"] == f"evt_{number}"
            if len(station.feed.readers) == 1:
                break
        assert len(station.feed.readers) == 1


async def test_a_reader_that_was_full_is_told_no_more() -> None:
    reader = feed.Reader(1)
    for number in (1, 2):
        reader.offer((f"evt_{number}", b""))
    assert reader.queue.get_nowait() == ("evt_1", b"")
    reader.offer(("evt_3", b""))
    assert (reader.full, reader.queue.empty()) == (True, True)


async def test_whose_right_is_taken_away_hears_nothing_more() -> None:
    """At the next event, even before anybody has said that the rights have changed."""
    reader, other = "reader-token-0123456789", "other-token-0123456789"
    tokens = [Token.of("grafana", reader, [Scope.READ]), Token.of("page", other, [Scope.READ])]
    protected = [False]
    async with aiohttp.ClientSession() as client:
        agent = Agent(client)
        made = Feed(agent.journal, lambda body: body)
        view = agent.view(feed=made, tokens=lambda: tokens, protected=lambda: protected[0])
        site = Site(application(view), bind("127.0.0.1", 0))
        await site.start()
        agent.base = f"http://127.0.0.1:{site.port}"
        station = Station(agent, made, site)
        try:
            async with station.listen(Authorization=f"Bearer {other}") as stays:
                async with station.listen() as stranger:
                    protected[0] = True
                    station.tell(event(1))
                    assert await stranger.block() is None
                async with station.listen(Authorization=f"Bearer {reader}") as revoked:
                    made.review()
                    station.tell(event(2))
                    assert (await revoked.next())["id"] == "evt_2"
                    del tokens[0]
                    made.review()
                    assert await revoked.block() is None
                assert [(await stays.next())["id"] for _ in range(2)] == ["evt_1", "evt_2"]
        finally:
            await site.stop()


async def test_at_the_stop_streams_end(station: Station) -> None:
    async with station.listen() as stream:
        await asyncio.wait_for(station.site.stop(), 10)
        assert await stream.block() is None


async def test_head_and_a_broken_journal(station: Station) -> None:
    status, headers, text = await station.agent.get("/api/v1/events", method="HEAD", headers=STREAM)
    assert (status, headers["Content-Type"], text) == (200, "text/event-stream", "")
    station.agent.journal.broken = True
    headers_sent = {**STREAM, "Last-Event-ID": "evt_1"}
    assert_problem(*await station.agent.get("/api/v1/events", headers=headers_sent), expected=503)
