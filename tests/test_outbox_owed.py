"""What would end something that is open at a sink is never forgotten: not by a restart, a reload, an answer 410."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any, ClassVar

import pytest
import structlog

from monitor.lane import REMOVED
from monitor.sending import SinkCondition
from monitor.sinks.contract import Fallback, Most, Nature, SinkContext
from monitor.store.contract import Delivery
from monitor.store.memory import MemoryStore, Shelf
from tests.sending import Behaviour, FakeSink, accept, refuse, working
from tests.store.made import NOBODY, event, told
from tests.test_gathering import Forgetful, People, news
from tests.virtual_time import run

DAY = 86400.0


def until(open_now: asyncio.Event, then: Behaviour = accept) -> Behaviour:
    """Answers when the event is set, as `then` does."""

    async def send(delivery: Delivery) -> None:
        await open_now.wait()
        await then(delivery)

    return send


def dead(letters: list[Any]) -> list[str]:
    return sorted(letter.delivery.event_id for letter in letters)


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_end_waits_for_a_sink_that_is_gone_at_the_restart_and_says_so(when: str) -> None:
    async def scenario() -> None:
        shelf, back, chat = Shelf(), FakeSink(), FakeSink()
        before = MemoryStore(shelf)
        await before.open()
        await before.commit([told(news(1), *([news(1, "resolved")] if when == "before" else []))], NOBODY)
        still = {} if when == "before" else {"hook": ["inc_1"], "chat": ["inc_2"]}
        async with working(MemoryStore(shelf), open_at=lambda: still, chat=chat) as bench:
            await asyncio.sleep(1)
            assert await bench.outbox.owed() == {"hook": ["inc_1"]}
            if when == "after":
                still.clear()
                await bench.tell(news(1, "resolved"))
            await asyncio.sleep(7 * DAY)
            assert dead(await bench.store.dead_letters(9)) == ["evt_1_outage"]
            assert await bench.outbox.owed() == {"hook": ["inc_1"]}
            bench.outbox.adopt({"chat": chat, "hook": back})
            await asyncio.sleep(0.1)
            assert back.names == ["evt_1_resolved"], "at once when it is back"
            assert await bench.outbox.owed() == {}
            assert await bench.store.backlog() == {"hook": (await bench.store.backlog())["hook"]}
            assert (await bench.store.backlog())["hook"].waiting == 0

    with structlog.testing.capture_logs() as logged:
        run(scenario())
    [line] = [line for line in logged if line["event"] == "outbox.end_owed"]
    assert (line["sink"], line["of"], line["log_level"]) == ("hook", ["inc_1"], "error")
    assert "put it back, or resolve them there by hand" in line["advice"]


def test_restarts_do_not_wear_it_out_and_after_a_month_it_is_a_dead_letter() -> None:
    async def scenario() -> None:
        attempts: list[int] = []

        async def counted(delivery: Delivery) -> None:
            attempts.append(delivery.attempt)

        shelf, back = Shelf(), FakeSink([counted])
        before = MemoryStore(shelf)
        await before.open()
        await before.commit([told(news(1), news(1, "resolved"))], NOBODY)
        for _ in range(4):
            async with working(MemoryStore(shelf)):
                await asyncio.sleep(1)
        async with working(MemoryStore(shelf), hook=back) as bench:
            await asyncio.sleep(1)
            assert attempts == [2], "it was leased once, along with what was given up"
            bench.outbox.adopt({})
            await asyncio.sleep(1)
            await bench.tell(news(3, "resolved"), news(4, "resolved", at=int(30 * DAY)))
            await asyncio.sleep(31 * DAY)
            assert dead(await bench.store.dead_letters(9)) == ["evt_1_outage", "evt_3_resolved"]
            assert await bench.outbox.owed() == {"hook": ["inc_4"]}

    run(scenario())


def test_a_removed_sink_is_told_an_end_that_waits_though_nothing_is_open_any_more() -> None:
    """Its other side was away when the incident ended; reloads, however many, change nothing."""

    async def scenario() -> None:
        pager, still = FakeSink([accept, *[refuse()] * 6, accept]), {"hook": ["inc_1"]}
        async with working(hook=pager, open_at=lambda: still) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(1)
            still.clear()
            await bench.tell(news(1, "resolved"), event("e1"))
            await asyncio.sleep(1)
            for _ in range(2):
                bench.outbox.adopt({})
                await asyncio.sleep(1)
                assert bench.outbox.states["hook"].retired
            await asyncio.sleep(300)
            assert pager.names[-1] == "evt_1_resolved"
            assert dead(await bench.store.dead_letters(9)) == ["e1"]
            assert bench.outbox.states == {}, "then it is let go"

    run(scenario())


def test_a_sink_that_comes_back_while_its_lane_ends_has_one() -> None:
    async def scenario() -> None:
        first, again = Forgetful(), FakeSink()
        async with working(hook=first) as bench:
            await asyncio.sleep(1)
            for turns in range(12):
                bench.outbox.adopt({})
                for _ in range(turns):
                    await asyncio.sleep(0)
                bench.outbox.adopt({"hook": first})
                await asyncio.sleep(1)
            bench.outbox.adopt({"hook": again})
            await bench.tell(news(1))
            await asyncio.sleep(1)
            assert again.names == ["evt_1_outage"]

    run(scenario())


def test_a_disabled_sink_is_told_the_end_once_somebody_has_seen_to_it() -> None:
    async def scenario() -> None:
        gone, right = FakeSink([accept, refuse(gone=True)]), FakeSink()
        async with working(hook=gone) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(1)
            await bench.tell(news(1, "resolved"), news(2))
            await asyncio.sleep(1)
            await bench.tell(news(3), news(2, "resolved"))
            await asyncio.sleep(10 * DAY)
            assert dead(await bench.store.dead_letters(9)) == ["evt_2_outage", "evt_3_outage"]
            assert gone.names == ["evt_1_outage", "evt_1_resolved", "evt_2_outage"], "two were under way"
            assert bench.outbox.states["hook"].condition is SinkCondition.DISABLED
            assert (await bench.store.backlog())["hook"].waiting == 2
            bench.outbox.adopt({"hook": right})
            await asyncio.sleep(0.1)
            assert sorted(right.names) == ["evt_1_resolved", "evt_2_resolved"]

    run(scenario())


def test_a_restart_tries_a_disabled_sink_again_with_the_end_that_waits() -> None:
    async def scenario() -> None:
        shelf, gone = Shelf(), FakeSink([refuse(gone=True)])
        async with working(MemoryStore(shelf), hook=gone) as bench:
            await bench.tell(news(1, "resolved"))
            await asyncio.sleep(100)
        assert len(gone.names) == 1
        async with working(MemoryStore(shelf), hook=gone) as bench:
            await asyncio.sleep(100)
            assert len(gone.names) == 2, "once, and it is disabled again"
            assert bench.outbox.states["hook"].condition is SinkCondition.DISABLED
            assert await bench.store.dead_letters(9) == []
        back = FakeSink()
        async with working(MemoryStore(shelf), hook=back):
            await asyncio.sleep(1)
            assert back.names == ["evt_1_resolved"]

    run(scenario())


@pytest.mark.parametrize("how", [{"permanent": True}, {"gone": True}, {}])
def test_an_answer_to_the_definition_before_says_nothing_of_the_one_now(how: dict[str, Any]) -> None:
    async def scenario() -> None:
        answered = asyncio.Event()
        wrong, right = FakeSink([until(answered, refuse(**how))]), FakeSink()
        async with working(hook=wrong) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(1)
            bench.outbox.adopt({"hook": right})
            answered.set()
            await asyncio.sleep(0.1)
            assert right.names == ["evt_1_outage"]
            assert bench.outbox.states["hook"].condition is SinkCondition.FINE
            assert await bench.store.dead_letters(9) == []

    run(scenario())


def test_somebody_sees_to_a_sink_while_what_waits_is_given_up() -> None:
    class Slow(MemoryStore):
        between: Callable[[], None] | None = None

        async def claim(self, *given: Any, **more: Any) -> list[Delivery]:
            rows = await super().claim(*given, **more)
            if rows and self.between is not None:
                self.between()
            return rows

    async def scenario() -> None:
        store, gone, right = Slow(), FakeSink([refuse(gone=True)]), FakeSink()
        async with working(store, hook=gone) as bench:
            await bench.tell(event("e1"))
            await asyncio.sleep(1)
            store.between = lambda: bench.outbox.adopt({"hook": right})
            await bench.tell(event("e2"))
            await asyncio.sleep(1)
            assert right.names == ["e2"]

    run(scenario())


@pytest.mark.parametrize("how", ["restart", "reload"])
def test_a_cap_holds_through_restarts_and_reloads(how: str) -> None:
    async def scenario() -> None:
        shelf, most = Shelf(), Most(4, timedelta(hours=1))
        times: list[float] = []
        chat = People(most=most)
        for number in range(12):
            async with working(MemoryStore(shelf), hook=chat) as bench:
                await bench.tell(news(number, at=asyncio.get_running_loop().time()))
                await asyncio.sleep(300)
                if how == "reload":
                    bench.outbox.adopt({"hook": People(most=most, begun=chat.begun)})
                await asyncio.sleep(300)
        times = chat.times
        assert max(sum(begin <= at < begin + 3600 for at in times) for begin in times) <= 4
        assert max(later - sooner for sooner, later in pairwise(times)) <= 2400, "and nobody waits for long"
        async with working(MemoryStore(shelf), hook=People()) as bench:
            await bench.tell(news(99))
            await asyncio.sleep(1)
            assert not [name for name in shelf.notes if name.startswith("most:")]

    run(scenario())


def test_a_cap_of_a_clock_that_was_ahead_holds_nothing_back() -> None:
    async def scenario() -> None:
        chat = People(most=Most(1, timedelta(hours=1)))
        async with working(hook=chat, notes={"most:hook": [4e9, 4e9 + 1]}) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(1)
            assert len(chat.bodies) == 1

    run(scenario())


def test_what_lapses_is_told_again_soon_where_the_first_attempt_after_a_restart_fails() -> None:
    async def scenario() -> None:
        sink = Forgetful()
        async with working(hook=sink) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(1)
            notes = dict(bench.store._shelf.notes)
        after = Forgetful(troubles=[False, True, True])
        async with working(notes=notes, hook=after):
            await asyncio.sleep(200)
            assert [at for at, _ in after.repeats][:4] == [1.0, 23.0, 48.0, 108.0], "each hung for 20 s"

    run(scenario())


TO = Fallback("chat", timedelta(minutes=10))


@pytest.mark.parametrize("how", ["another", "none", "removed", "restarted"])
def test_a_fallback_that_was_told_the_beginning_is_told_the_end_whatever_the_file_says_by_then(how: str) -> None:
    async def scenario() -> None:
        shelf, chat, other = Shelf(), FakeSink(), FakeSink()
        still = {"hook": ["inc_1"]}
        pager = FakeSink([refuse()], fallback=TO)
        async with working(MemoryStore(shelf), open_at=lambda: still, hook=pager, chat=chat, other=other) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(700)
            assert chat.names == ["evt_1_outage"]
            after = {
                "another": {"hook": FakeSink(fallback=Fallback("other"))},
                "none": {"hook": FakeSink()},
                "removed": {},
                "restarted": {},
            }[how]
            if how != "restarted":
                bench.outbox.adopt({**after, "chat": chat, "other": other})
                await asyncio.sleep(60)
                still.clear()
                await bench.tell(news(1, "resolved", at=800))
                await asyncio.sleep(700)
        async with working(MemoryStore(shelf), open_at=lambda: still, chat=chat, other=other, **after) as bench:
            if how == "restarted":
                await bench.tell(news(1, "resolved", at=800))
            await asyncio.sleep(60)
        assert chat.names == ["evt_1_outage", "evt_1_resolved"]
        assert other.names == []

    run(scenario())


def test_a_fallback_that_is_removed_is_told_the_end_too() -> None:
    async def scenario() -> None:
        pager, chat = FakeSink([refuse()], fallback=TO), FakeSink()
        async with working(hook=pager, chat=chat) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(700)
            bench.outbox.adopt({"hook": FakeSink()})
            await asyncio.sleep(60)
            await bench.tell(news(1, "resolved", at=800))
            await asyncio.sleep(60)
            assert chat.names == ["evt_1_outage", "evt_1_resolved"]

    run(scenario())


@dataclass(frozen=True, slots=True)
class Keeping(FakeSink):
    """Keeps in its memory what it has opened."""

    nature: ClassVar[Nature] = Nature.LEVEL
    seen: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, delivery: Delivery, context: SinkContext) -> None:
        self.seen.append(dict(context.memory))
        await super(Keeping, self).send(delivery, context)
        context.memory["key"] = self.kind


@dataclass(frozen=True, slots=True)
class Another(Keeping):
    kind: ClassVar[str] = "another"


@pytest.mark.parametrize("how", ["reload", "restart", "under way"])
def test_what_another_type_of_sink_has_kept_is_not_read_and_said_to_be_open(how: str) -> None:
    async def scenario() -> None:
        shelf, answered, after = Shelf(), asyncio.Event(), Another()
        before = Keeping([until(answered)] if how == "under way" else [accept])
        async with working(MemoryStore(shelf), hook=before) as bench:
            await bench.tell(news(1))
            await asyncio.sleep(1)
            if how != "restart":
                bench.outbox.adopt({"hook": after})
                await asyncio.sleep(1)
                answered.set()
                await asyncio.sleep(1)
        async with working(MemoryStore(shelf), hook=after) as bench:
            await bench.tell(news(1, "resolved"))
            await asyncio.sleep(1)
        async with working(MemoryStore(shelf), hook=after) as bench:
            await bench.tell(news(1, "degradation", at=9))
            await asyncio.sleep(1)
        assert after.seen == [{}, {"key": "another"}]

    with structlog.testing.capture_logs() as logged:
        run(scenario())
    lost = [line["of"] for line in logged if line["event"] == "outbox.sink_of_another_type"]
    assert lost == ([] if how == "under way" else [["inc_1"]])


def test_what_is_no_end_is_given_up_at_once_and_one_that_came_back_meanwhile_loses_nothing() -> None:
    async def scenario() -> None:
        shelf, back = Shelf(), FakeSink()
        before = MemoryStore(shelf)
        await before.open()
        await before.commit([told(*(event(f"e{n}", f"s{n}") for n in range(3)), news(1, "resolved"))], NOBODY)
        async with working(MemoryStore(shelf)) as bench:
            await asyncio.sleep(1)
            letters = await bench.store.dead_letters(9)
            assert {letter.error for letter in letters} == {REMOVED}
            assert dead(letters) == ["e0", "e1", "e2"]
            bench.outbox.adopt({"hook": back})
            await asyncio.sleep(1)
            assert back.names == ["evt_1_resolved"]

    run(scenario())
