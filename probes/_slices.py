"""Long work on the loop, cut into slices: others get their turn in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from time import perf_counter
from typing import TypeVar

SLICE = 0.001
"""Seconds of work after which the loop gets its turn: with what each slice drags along, well below 5 ms."""

T = TypeVar("T")


async def slices(items: Iterable[T], size: int = 128) -> AsyncIterator[list[T]]:
    """The items in lists of `size`, as many at a stretch as a slice lasts."""
    rest = iter(items)
    since = perf_counter()
    while part := list(islice(rest, size)):
        yield part
        if perf_counter() - since > SLICE:
            await asyncio.sleep(0)
            since = perf_counter()
