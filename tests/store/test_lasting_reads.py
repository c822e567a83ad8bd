"""Reading events while the journal cannot be written: some are there, some only in memory, and a backlog is owed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.store.made import NOBODY, event, told
from tests.store.test_lasting import Place, place

WRITTEN = ["e1", "e2", "e3"]
"""In the journal; to a sink all but the last are owed."""


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Place]:
    """A journal that another program holds, with a backlog; two events came since."""
    async with place(tmp_path) as here:
        for name in WRITTEN:
            await here.store.commit([told(event(name, "inc_1", () if name == "e3" else ("hook",)))], NOBODY)
        here.hold()
        for name in ("e4", "e5"):
            await here.store.commit([told(event(name, "inc_1"))], NOBODY)
        yield here


async def after(here: Place, name: str, limit: int = 99) -> list[str] | None:
    found = await here.store.events_after(name, limit)
    return None if found is None else [body["id"] for body in found]


async def newest(here: Place, limit: int = 99) -> list[str]:
    return [body["id"] for body in await here.store.events(limit)]


async def test_what_came_since_an_event_is_told_in_order_and_once(here: Place) -> None:
    assert await after(here, "e1") == ["e2", "e3", "e4", "e5"]
    assert await after(here, "e3") == ["e4", "e5"]
    assert await after(here, "e4") == ["e5"]
    assert await after(here, "e5") == []
    assert await after(here, "e9") is None


async def test_a_page_ends_where_the_next_one_begins(here: Place) -> None:
    assert await after(here, "e1", 2) == ["e2", "e3"]
    assert await after(here, "e1", 3) == ["e2", "e3", "e4"]
    for number in range(6, 40):
        await here.store.commit([told(event(f"e{number}"))], NOBODY)
    seen, last = list[str](), "e1"
    while page := await after(here, last, 5):
        seen += page
        last = page[-1]
    assert seen == [f"e{number}" for number in range(2, 40)]


async def test_the_newest_are_those_that_came_last(here: Place) -> None:
    assert await newest(here) == ["e5", "e4", "e3", "e2", "e1"]
    assert await newest(here, 3) == ["e5", "e4", "e3"]


async def test_an_incident_is_told_from_its_beginning(here: Place) -> None:
    await here.store.commit([told(event("other", "inc_2"))], NOBODY)
    bodies = await here.store.incident_events("inc_1", 99)
    assert [body["id"] for body in bodies] == ["e1", "e2", "e3", "e4", "e5"]
    assert [body.get("durable") for body in bodies] == [None, None, None, False, False]


async def test_what_a_commit_answers_is_what_sinks_are_sent(here: Place) -> None:
    [answered] = await here.store.commit([told(event("e6"))], NOBODY)
    assert (answered.id, answered.body["durable"]) == ("e6", False)
    await here.release()
    [answered] = await here.store.commit([told(event("e7"))], NOBODY)
    assert "durable" not in answered.body


async def test_what_is_written_down_meanwhile_is_told_once(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory hands over to the journal just as a reader has asked the memory."""
    there = here.durable.events_after

    async def slow(name: str, limit: int) -> object:
        await here.release()
        return await there(name, limit)

    monkeypatch.setattr(here.durable, "events_after", slow)
    assert await after(here, "e2") == ["e3", "e4", "e5"]
