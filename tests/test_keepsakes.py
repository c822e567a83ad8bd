"""What a sink keeps of its streams is read by its own type alone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
import structlog

from monitor.sinks.contract import Nature, SinkContext
from monitor.store.contract import Delivery
from monitor.store.memory import MemoryStore, Shelf
from tests.sending import FakeSink, accept, news, until, working
from tests.virtual_time import run


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
