"""Scrapes that come at once share one text: a crowd of scrapers costs as much as one, and holds up nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable

PART = 256 * 1024
"""Bytes of a text that are kept and sent at once."""


class Scrapes:
    """`render` makes the text of a format, piece by piece. Nothing is kept: whoever asks is told how things stand
    then, or later."""

    def __init__(self, render: Callable[[Hashable], AsyncIterator[bytes]]) -> None:
        self._render = render
        self._turn = asyncio.Lock()
        self._next: dict[Hashable, asyncio.Task[list[bytes]]] = {}
        """Those that have not begun yet; who asks while one is being rendered shares the next."""

    async def text(self, form: Hashable) -> AsyncIterator[bytes]:
        following = self._next.get(form)
        if following is None:
            following = self._next[form] = asyncio.create_task(self._rendered(form))
        for piece in await asyncio.shield(following):  # one that goes away must not take it from the others
            yield piece

    async def _rendered(self, form: Hashable) -> list[bytes]:
        async with self._turn:
            del self._next[form]
            return [piece async for piece in _joined(self._render(form))]


async def _joined(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """In parts that are large: such are mapped by themselves, and leave the process when they were sent."""
    some, size = list[bytes](), 0
    async for piece in pieces:
        some.append(piece)
        size += len(piece)
        if size >= PART:
            yield b"".join(some)
            some, size = [], 0
    yield b"".join(some)
