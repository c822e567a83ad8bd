"""ICMP echo (RFC 792, RFC 4443) as bytes: requests, replies, and what the network says of a request. No I/O."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

_ECHO = struct.Struct("!BBHHH")
_REQUEST = {socket.AF_INET: 8, socket.AF_INET6: 128}
_REPLY = {socket.AF_INET: 0, socket.AF_INET6: 129}
_EXTENDED = struct.Struct("=IBBBxII")
"""struct sock_extended_err of linux/errqueue.h: errno, origin, type, code, info, data; the offender's address
follows."""
_FROM_NETWORK = (2, 3)
"""SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6."""
HEADER = _ECHO.size
_ADVICE = (4, 5)
"""Types of IPv4 by which a router gives advice, and passes the packet on: source quench, redirect (RFC 792)."""

_SAID_4 = {
    (3, 0): "network unreachable", (3, 1): "host unreachable", (3, 2): "protocol unreachable",
    (3, 3): "port unreachable", (3, 4): "the packet is too large", (3, 9): "network prohibited",
    (3, 10): "host prohibited", (3, 13): "prohibited by a filter", (11, 0): "the packets go in a circle",
}  # fmt: skip
_SAID_6 = {
    (1, 0): "no route", (1, 1): "prohibited by a filter", (1, 3): "host unreachable", (1, 4): "port unreachable",
    (1, 5): "prohibited by a filter", (1, 6): "the route is rejected", (2, 0): "the packet is too large",
    (3, 0): "the packets go in a circle",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Said:
    """What the network says of a request: the number of the request, by whom, and what."""

    number: int
    by: str
    what: str


def request(family: int, ident: int, number: int, payload: bytes) -> bytes:
    """`ident` is the kernel's to set on a ping socket; the checksum of IPv6 always is."""
    kind = _REQUEST[socket.AddressFamily(family)]
    head = _ECHO.pack(kind, 0, 0, ident, number)
    if family == socket.AF_INET6:
        return head + payload
    return _ECHO.pack(kind, 0, checksum(head + payload), ident, number) + payload


def checksum(data: bytes) -> int:
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def reply(family: int, data: bytes) -> tuple[int, int, bytes] | None:
    """(ident, number, payload) of an echo reply, without its IP header; None for anything else."""
    if len(data) < HEADER or data[0] != _REPLY[socket.AddressFamily(family)] or data[1]:
        return None
    _, _, _, ident, number = _ECHO.unpack_from(data)
    return ident, number, data[HEADER:]


def without_ip_header(data: bytes) -> bytes:
    """What a raw socket of IPv4 gives begins with one."""
    return data[(data[0] & 15) * 4 :] if data else data


def said(family: int, ident: int | None, data: bytes, control: bytes) -> Said | None:
    """What stands in the error queue: the head of the request, and a control message. None where that is no request
    with this `ident` (None: the kernel has seen to it), or nothing that the network has said."""
    if len(data) < HEADER or len(control) < _EXTENDED.size or data[0] != _REQUEST[socket.AddressFamily(family)]:
        return None
    _, _, _, sent_by, number = _ECHO.unpack_from(data)
    _, origin, kind, code, _, _ = _EXTENDED.unpack_from(control)
    if origin not in _FROM_NETWORK or (ident is not None and sent_by != ident):
        return None
    if family == socket.AF_INET and kind in _ADVICE:
        return None  # Linux queues it for ping sockets all the same
    table = _SAID_4 if family == socket.AF_INET else _SAID_6
    what = table.get((kind, code), f"ICMP type {kind}, code {code}")
    return Said(number, _offender(control[_EXTENDED.size :]), what)


def _offender(address: bytes) -> str:
    """A struct sockaddr."""
    family = int.from_bytes(address[:2], "little" if struct.pack("=H", 1)[0] else "big")
    if family == socket.AF_INET and len(address) >= 8:
        return socket.inet_ntop(socket.AF_INET, address[4:8])
    if family == socket.AF_INET6 and len(address) >= 24:
        return socket.inet_ntop(socket.AF_INET6, address[8:24])
    return "a router"
