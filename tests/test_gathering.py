"""What people and *level* sinks are told of much at once, in virtual time."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import ClassVar

import pytest

from monitor.core.model import EventType
from monitor.sending import SinkCondition
from monitor.sinks._message import Message, compose
from monitor.sinks._told import read
from monitor.sinks.contract import Nature, SendFailed, SinkContext
from monitor.store.contract import Delivery
from tests.sending import People, accept, news, refuse, working
from tests.store.made import NOBODY, told
from tests.virtual_time import START, run


@dataclass(frozen=True, slots=True)
class Reader(People):
    """Sees messages as they are laid out."""

    messages: list[Message] = field(default_factory=list)

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        self.messages.append(compose(read(delivery), context.now))
        await super(Reader, self).send(delivery, context)


@dataclass(frozen=True, slots=True)
class Pager(People):
    nature: ClassVar[Nature] = Nature.LEVEL


@dataclass(frozen=True, slots=True)
class Board(People):
    """Has one message for each incident that it was told of by itself, and edits it."""

    @property
    def edits(self) -> bool:
        return True

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        body = json.loads(delivery.body)
        if body["type"] != "digest":
            context.memory["told"] = body["state"]["new"]
        if body["state"]["new"] == "resolved":
            context.memory.clear()
        await super(Board, self).send(delivery, context)


def test_the_first_at_once_and_a_storm_behind_it_is_one_message_with_counts_and_the_worst_first() -> None:
    async def scenario() -> None:
        chat = People()
        async with working(hook=chat) as bench:
            await bench.tell(news(0, "degradation"))
            for number in range(1, 500):
                await asyncio.sleep(29 / 500)
                state = "outage" if number % 10 == 7 else "degradation"
                await bench.tell(news(number, state, asyncio.get_running_loop().time()))
            await asyncio.sleep(120)
            assert chat.times == [0.0, 30.0], "500 transitions within 30 s"
            digest = chat.bodies[1]
            assert digest["type"] == "digest"
            assert digest["sentence"].startswith(
                "499 events within 30 s: 50 outages, 449 degradations. First: Service 7 "
            )
            assert [item["state"] for item in digest["items"]] == ["outage"] * 20
            assert digest["items"][0]["incident"] == "inc_7"
            assert digest["more"] == 479
            assert digest["state"] == {"old": "operational", "new": "outage"}
            assert await bench.store.backlog() == {}
            assert bench.outbox.states["hook"].gathered == 498

    run(scenario())


def test_what_breaks_behind_a_deploy_does_not_wait_for_it() -> None:
    async def scenario() -> None:
        chat = People()
        mark = replace(news(0, "v42"), type=EventType.DEPLOY_MARKED, stream="deploy:1")
        async with working(hook=chat) as bench:
            await bench.tell(mark)
            await asyncio.sleep(5)
            await bench.tell(news(1, "outage", 5.0))
            await asyncio.sleep(60)
            assert chat.times == [0.0, 5.0]

    run(scenario())


def test_a_message_that_is_edited_is_in_no_digest() -> None:
    """It would say that there is an outage for ever."""

    async def scenario() -> None:
        board = Board()
        async with working(hook=board) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(5)
            for number in (2, 3):
                await bench.tell(news(number, at=5))
            await bench.tell(news(1, "resolved", at=10))
            await asyncio.sleep(60)
            assert [body["type"] for body in board.bodies] == ["incident.opened", "incident.resolved", "digest"]
            assert [item["incident"] for item in board.bodies[2]["items"]] == ["inc_2", "inc_3"]
            assert await bench.store.backlog() == {}

    run(scenario())


def test_who_has_it_is_told_once_beside_how_it_stands() -> None:
    """An update's sentence begins with that of the incident."""

    async def scenario() -> None:
        chat = People()
        async with working(hook=chat) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(5)
            words = "Service 2 has outage. Ann has it."
            update = {"kind": "acknowledged", "by": "Ann", "text": ""}
            acknowledged = replace(news(2, sentence=words, update=update), id="evt_ack")
            await bench.tell(news(2), acknowledged)
            await asyncio.sleep(60)
            assert chat.sentences[1] == words

    run(scenario())


def test_what_has_ended_in_a_digest_is_kept_no_longer() -> None:
    """A sink that threads its mails, say, is not told of that end by itself."""

    @dataclass(frozen=True, slots=True)
    class Threads(People):
        async def send(self, delivery: Delivery, context: SinkContext) -> None:
            if delivery.event_type != "digest":
                context.memory["first"] = delivery.event_id
            await super(Threads, self).send(delivery, context)

    async def scenario() -> None:
        mail = Threads()
        async with working(hook=mail) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(5)
            await bench.tell(news(1, "resolved", at=5), news(2, at=5))
            await asyncio.sleep(60)
            assert [body["type"] for body in mail.bodies] == ["incident.opened", "digest"]
            assert not [name for name in bench.store._shelf.notes if name.startswith("sink:")]

    run(scenario())


def test_what_comes_alone_within_the_time_is_told_as_it_is() -> None:
    async def scenario() -> None:
        chat = People()
        async with working(hook=chat) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(5)
            await bench.tell(news(2, at=5))
            await asyncio.sleep(600)
            await bench.tell(news(3, at=605))
            await asyncio.sleep(1)
            assert chat.times == [0.0, 30.0, 605.0]
            assert [body["type"] for body in chat.bodies] == ["incident.opened"] * 3

    run(scenario())


@pytest.mark.parametrize("kind", [People, Pager])
def test_after_an_outage_of_the_sink_it_gets_the_present(kind: type[People]) -> None:
    """500 for a simulated day, then recovery."""

    async def back(delivery: Delivery) -> None:
        if asyncio.get_running_loop().time() < 86_400:
            raise SendFailed("answered 500")

    async def scenario() -> None:
        sink = kind([back])
        async with working(hook=sink) as bench:
            level = frozenset({"hook"}) if kind is Pager else NOBODY
            for number in range(60):
                start = number * 1400.0
                await bench.store.commit([told(news(number, at=start))], level)
                bench.outbox.wake(("hook",))
                await asyncio.sleep(700)
                if number % 20:  # three are open at the end
                    end = news(number, "resolved", start + 700, since=(START + timedelta(seconds=start)).isoformat())
                    await bench.store.commit([told(end)], level)
                    bench.outbox.wake(("hook",))
                await asyncio.sleep(700)
            before = len(sink.bodies)
            assert bench.outbox.states["hook"].condition is SinkCondition.FAILING
            await asyncio.sleep(86_400 - asyncio.get_running_loop().time() + 700)
            taken = [body for body, at in zip(sink.bodies, sink.times, strict=True) if at >= 86_400]
            assert before < 3_000, "and its breaker kept the load from it"
            assert await bench.store.backlog() == {}
            assert bench.outbox.states["hook"].condition is SinkCondition.FINE
        if kind is People:
            [digest] = taken
            assert digest["sentence"].startswith(
                "60 events within 1 d: 3 outages, 57 over. First: 2026-01-01 00:00 UTC: "
            )
            assert digest["items"][3]["sentence"] == (
                "Service 1 was down 2026-01-01 00:23-00:35 UTC (11 min 40 s). It was home: connection refused."
            )
        else:
            assert len(taken) == 60, "one for each key: how it is now"
            assert [body["state"]["new"] for body in taken].count("resolved") == 57

    run(scenario())


def test_a_resolve_that_was_late_alone_says_when_it_was() -> None:
    async def scenario() -> None:
        chat = People([accept, refuse(retry_after=900.0), accept])
        async with working(hook=chat) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(60)
            await bench.tell(news(1, "resolved", 60))
            await asyncio.sleep(2000)
            assert chat.sentences[1:] == ["Service 1 has resolved.", "00:01 UTC: Service 1 has resolved."]

    run(scenario())


def test_a_note_does_not_hide_what_it_is_about() -> None:
    async def scenario() -> None:
        chat = People()
        async with working(hook=chat) as bench:
            await bench.tell(news(0))
            await asyncio.sleep(1)
            note = news(1, at=2)
            note = replace(note, id="e2", body={**note.body, "sentence": "Ann is on it.", "update": {"kind": "note"}})
            await bench.tell(news(1, at=1), note)
            await asyncio.sleep(60)
            assert chat.sentences[1:] == ["Service 1 has outage. Ann is on it."]

    run(scenario())


@pytest.mark.parametrize(("kind", "headline"), [("action", ": outage"), ("acknowledged", "acknowledged")])
def test_an_action_taken_as_it_begins_makes_the_first_message_none_of_an_action(kind: str, headline: str) -> None:
    async def scenario() -> None:
        chat = Reader()
        async with working(hook=chat) as bench:
            done = news(1, at=0)
            body = {
                **done.body,
                "sentence": "Service 1 has outage. It is done.",
                "update": {"kind": kind, "by": "it"},
            }
            evidence = {"checks": [{"id": "home", "state": "down", "why": "refused"}]}
            done = replace(done, id="e2", body={**body, "evidence": evidence})
            await bench.tell(news(1, at=0), done)
            await asyncio.sleep(60)
            [message] = chat.messages
            assert message.sentence == "Service 1 has outage. It is done."
            assert message.headline.endswith(headline)
            assert bool(message.details) is (kind == "action"), "what was seen is told"

    run(scenario())


def test_a_digest_that_fails_is_sent_again_with_all_that_came_since() -> None:
    async def scenario() -> None:
        chat = People([accept, refuse(), accept])
        async with working(hook=chat) as bench:
            await bench.tell(news(0))
            await asyncio.sleep(1)
            await bench.tell(news(1), news(2))
            await asyncio.sleep(29.5)
            await bench.tell(news(3))
            await asyncio.sleep(60)
            assert [len(body.get("items", [0])) for body in chat.bodies] == [1, 2, 3]
            assert chat.times == [0.0, 30.0, 32.0]
            assert await bench.store.backlog() == {}

    run(scenario())


def test_a_level_sink_skips_what_it_never_got() -> None:
    async def scenario() -> None:
        pager = Pager([refuse(), refuse(), accept])
        async with working(hook=pager) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(3)
            await bench.tell(news(1, "resolved", 3))
            await asyncio.sleep(60)
            assert [body["type"] for body in pager.bodies] == [
                "incident.opened",
                "incident.opened",
                "incident.resolved",
            ]
            assert pager.sentences[-1].startswith("Service 1 was down 00:00-00:00 UTC (3 s). It was home")

    run(scenario())


def test_a_digest_of_quiet_hours_keeps_its_lines() -> None:
    """As one line of another digest it would lose them."""

    async def scenario() -> None:
        chat = People()
        items = [{"at": START.isoformat(), "sentence": "Shop was degraded.", "state": "operational", "incident": "a"}]
        night = replace(news(0, "operational", type="digest", items=items), type=EventType.DIGEST, stream="digest:1")
        async with working(hook=chat) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(5)
            await bench.tell(night, news(2, at=5), news(3, at=5))
            await asyncio.sleep(60)
            assert sorted(body.get("events", 0) for body in chat.bodies) == [0, 0, 2]
            assert [body["items"] for body in chat.bodies if body["id"] == night.id] == [items]
            assert await bench.store.backlog() == {}

    run(scenario())
