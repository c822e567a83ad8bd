"""The heap of the C library (glibc): what an agent gives back to it is to leave the process.

Left alone, it keeps it. What is large is mapped by itself and unmapped when it is free; but what counts as large
grows with whatever was freed before, up to 32 MB: after that the text of a scrape is cut out of the heap, and a small
thing behind it holds all of it. And each thread gets a heap of its own, as large as it ever had to be.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

_LARGE = 128 * 1024
"""Bytes: glibc's own first choice, which stays if it is written."""
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h


def keep_small() -> None:
    """To be called before there are threads. Where there is another C library it does nothing."""
    with suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_M_ARENA_MAX, 1)


def trim() -> None:
    """Give back what is free by now: after a configuration of 10,000 checks was read, some 10 MB."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
