"""Python's search for garbage, and when it must not be made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
