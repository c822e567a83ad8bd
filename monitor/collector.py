"""Python's search for garbage, and when it must not be made.

Nearly all that is garbage here goes by itself. What a look leaves behind for the next one of its check is none, but
the collector walked through all of that every few seconds: with 10,000 checks it held the loop for 100 ms each time.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG, MIDDLE, OLD = 2_000, 3, 1_000_000
"""By so many containers more the youngest are searched; after so many such searches the next older ones, too; and for
the oldest it is so many that they are never due: they are searched by the clock. Each search has to be small, as it
holds the loop: were the youngest searched seldom, they would be what all checks remember."""
EVERY = 600.0
"""Seconds between two searches of all there is."""


def begin() -> None:
    """All is made that stays: it is searched no more."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
    gc.enable()


async def search() -> None:
    """Search through all that has come since, now and then; for ever."""
    while True:
        await asyncio.sleep(EVERY)
        gc.collect()


@contextmanager
def collector_paused() -> Iterator[None]:
    """While much is made that stays: the collector walks all of it again and again. Reading 10,000 checks then takes
    2.3 s, not 0.45; and a walk through what a reload has made would hold the loop for half a second."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
