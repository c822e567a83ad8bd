"""A crowd of scrapers: one text for all, and room for everybody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable

import pytest

from monitor.web.scrapes import Scrapes


class Press:
    """Renders when it is let; the text says which rendering it is."""

    def __init__(self) -> None:
        self.begun = 0
        self.goes_on = asyncio.Event()
        self.scrapes = Scrapes(self._render)

    async def _render(self, form: Hashable) -> AsyncIterator[bytes]:
        self.begun += 1
        yield f"{form} {self.begun}".encode()
        await self.goes_on.wait()
        if form == "broken":
            raise ZeroDivisionError
        yield b"\n"

    def ask(self, form: str = "text") -> asyncio.Task[bytes]:
        async def read() -> bytes:
            return b"".join([piece async for piece in self.scrapes.text(form)])

        return asyncio.create_task(read())


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_asks_while_it_is_rendered_shares_the_next_text() -> None:
    press = Press()
    first = press.ask()
    await settled()
    crowd = [press.ask() for _ in range(100)]
    await settled()
    assert press.begun == 1
    press.goes_on.set()
    assert await first == b"text 1\n"
    assert set(await asyncio.gather(*crowd)) == {b"text 2\n"}, "not the first: it was begun before they asked"
    assert await press.ask() == b"text 3\n"


async def test_formats_are_apart_and_who_goes_away_takes_nothing_from_the_others() -> None:
    press = Press()
    press.ask()
    await settled()
    leaving, staying, other = press.ask(), press.ask(), press.ask("openmetrics")
    await settled()
    leaving.cancel()
    press.goes_on.set()
    assert {await staying, await other} == {b"text 2\n", b"openmetrics 3\n"}


async def test_a_bug_is_everybodys_and_ends_with_that_text() -> None:
    press = Press()
    press.goes_on.set()
    broken = press.ask("broken"), press.ask("broken")
    for task in broken:
        with pytest.raises(ZeroDivisionError):
            await task
    assert await press.ask() == b"text 2\n"
