"""A sink that forgets is told again what is open, in virtual time."""

from __future__ import annotations

import asyncio

from tests.sending import Forgetful, news, working
from tests.virtual_time import run


def repeated(sink: Forgetful) -> list[tuple[str, ...]]:
    return [streams for _, streams in sink.repeats]


def test_what_is_open_is_told_again_until_it_is_over_through_restarts_and_hangs() -> None:
    async def scenario() -> None:
        sink = Forgetful(troubles=[True])
        async with working(hook=sink) as bench:
            await bench.tell(news(1), news(2))
            await asyncio.sleep(150)
            assert [at for at, _ in sink.repeats] == [0.0, 22.0, 82.0, 142.0], "the first one hung for 20 s"
            await bench.tell(news(2, "resolved"))
            await asyncio.sleep(180)
            assert repeated(sink)[3:] == [("inc_1", "inc_2"), ("inc_1", "inc_2"), ("inc_1",), ("inc_1",)]
            notes = dict(bench.store._shelf.notes)
        after = Forgetful()
        async with working(notes=notes, hook=after):
            await asyncio.sleep(1)
            assert after.repeats[0][1] == ("inc_1",), "at once after a restart"

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
