"""What the kernel knows of a TCP connection (TCP_INFO): its round trip, what it sent again, how much came.

Linux only; elsewhere nothing is known. Layout: linux/tcp.h, struct tcp_info; it only grows at its end.
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import NamedTuple

SYN_SENT, CLOSED = 2, 7
"""States (net/tcp_states.h): the attempt to connect is under way; it has failed, or the connection was reset."""

_SUPPORTED = sys.platform == "linux"
_FIELDS = struct.Struct("=B43xI20xI28xI36xI4xII")
"""tcpi_state, tcpi_last_data_sent (at 44), tcpi_rtt (68), tcpi_total_retrans (100), tcpi_segs_in (140),
tcpi_min_rtt (148), tcpi_data_segs_in (152, since 4.6)."""
_UNKNOWN = 0xFFFFFFFF
_MILLISECONDS, _MICROSECONDS = 1e-3, 1e-6


class TcpInfo(NamedTuple):
    state: int
    round_trip: float | None
    """Seconds: the shortest so far, which is the one that the least was in the way of. Before anything was sent it is
    that of the handshake: from our SYN to its answer, however late we hear of it."""
    sent_again: int
    """Segments, the SYN among them."""
    silent: float
    """Seconds since data was sent the last time, to a tick of the kernel (1 to 10 ms)."""
    segments: int
    """Data segments that came in; one that a network card or a local peer hands over in one piece counts as many."""
    heard: int
    """Segments that came in, of any kind."""


def ask(sock: socket.SocketType) -> TcpInfo | None:
    """None where the kernel does not tell."""
    if not _SUPPORTED:
        return None
    try:
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _FIELDS.size)
    except OSError:
        return None  # no TCP, or a sandbox that has only a part of Linux
    return read(told)


def read(told: bytes) -> TcpInfo | None:
    """None when it is shorter than it must be, as on old kernels."""
    if len(told) < _FIELDS.size:
        return None
    state, silent, smoothed, again, heard, shortest, segments = _FIELDS.unpack_from(told)
    # A SYN that was sent again has no round trip of its own: nobody knows which of them was answered (RFC 6298, 3).
    known = min(smoothed or _UNKNOWN, shortest or _UNKNOWN)
    return TcpInfo(
        state,
        known * _MICROSECONDS if known != _UNKNOWN else None,
        again,
        silent * _MILLISECONDS,
        segments,
        heard,
    )
