"""The kernel's time stamps (SO_TIMESTAMPNS): when something arrived, however late we read it.

Linux only, and not in the socket module; elsewhere every answer is timed by our own clock.
"""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from time import perf_counter, time_ns

SUPPORTED = sys.platform == "linux" and struct.calcsize("l") == 8
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("ll")
ANCILLARY = socket.CMSG_SPACE(_TIMESPEC.size)
"""Bytes of ancillary data to read along."""

ON_TIME = 0.001
"""Seconds between the kernel's stamp and our reading within which they are the same for anybody."""

_TOGETHER = 0.0002
"""Seconds within which both clocks are read, or another thread was let in between."""


_kept: int | None = None


def ask_for(sock: socket.SocketType) -> None:
    """From now on what this socket receives is stamped. Raises `OSError`."""
    if SUPPORTED:
        if _kept is None:
            keep_on()
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def keep_on() -> None:
    """Have the kernel stamp as long as this process lives. It begins some time after the first socket of the machine
    asked for it, and ends with the last one, so that each look of an agent with few of them might come too early."""
    global _kept
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        _kept = sock.detach()


def read(ancillary: list[tuple[int, int, bytes]]) -> tuple[float, float | None]:
    """What time it is by `perf_counter`, and for how many seconds what was just read had been there by then, by the
    wall clock; None: it has no stamp."""
    before = perf_counter()
    if not ancillary:
        return before, None
    wall, now = time_ns(), perf_counter()
    if now - before > _TOGETHER:
        wall, now = time_ns(), perf_counter()
    seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
    return now, (wall - seconds * 1_000_000_000 - nanoseconds) * 1e-9
