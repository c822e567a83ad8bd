"""Connections that are kept between looks."""

from __future__ import annotations

import socket
from typing import TypeVar

Socket = TypeVar("Socket", bound=socket.SocketType)


def kept_alive(sock: Socket) -> Socket:
    """Between looks the kernel asks whether the other side is there: a peer that died is known at the next look, and
    a firewall does not forget a connection that is used every ten minutes."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return sock
