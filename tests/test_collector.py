"""When garbage is searched for: through all there is by the clock alone."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from monitor import collector
from tests.virtual_time import run


@pytest.fixture
def searches() -> Iterator[list[int]]:
    """The generations that were searched; the collector is afterwards as it was."""
    seen: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            seen.append(info["generation"])

    before = gc.get_threshold()
    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)
    gc.set_threshold(*before)
    gc.unfreeze()


def test_what_was_made_before_is_not_searched_and_what_comes_is_by_the_clock(searches: list[int]) -> None:
    async def main() -> None:
        collector.begin()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
        searches.clear()
        searching = asyncio.create_task(collector.search())
        await asyncio.sleep(2.5 * collector.EVERY)
        searching.cancel()

    run(main())
    assert searches.count(2) == 2


def test_what_looks_leave_behind_is_not_searched_as_a_whole(searches: list[int]) -> None:
    collector.begin()
    searches.clear()
    kept: list[list[list[object]]] = [[] for _ in range(10_000)]
    for number in range(100_000):
        kept[number % len(kept)] = [[]]  # the last one of its check
    assert 2 not in searches
