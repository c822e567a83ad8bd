"""The kernel's time stamps (SO_TIMESTAMPNS): when something arrived, however late we read it.

Linux only, and not in the socket module; elsewhere every answer is timed by our own clock.
"""

from __future__ import annotations

import socket
import struct
import sys
import time

SUPPORTED = sys.platform == "linux" and struct.calcsize("l") == 8
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("ll")
ANCILLARY = socket.CMSG_SPACE(_TIMESPEC.size)
"""Bytes of ancillary data to read along."""

ON_TIME = 0.001
"""Seconds between the kernel's stamp and our reading within which they are the same for anybody."""


def ask_for(sock: socket.socket) -> None:
    """From now on what this socket receives is stamped. Raises `OSError`."""
    if SUPPORTED:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def age(ancillary: list[tuple[int, int, bytes]]) -> float | None:
    """Seconds since what was just read had arrived, by the wall clock; None: it has no stamp."""
    if not ancillary:
        return None
    seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
    since: float = time.time() - seconds - nanoseconds / 1e9
    return since
