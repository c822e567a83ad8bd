"""Echo requests on one socket a family and event loop, shared by all who ping at the moment, and timed by the kernel.

It is a ping socket (SOCK_DGRAM, IPPROTO_ICMP), which needs no right but a group in net.ipv4.ping_group_range, and
which gets no replies but those to its own requests; else a raw one, for an agent with CAP_NET_RAW. Replies are told
apart by their number, and by 8 random bytes that no stranger knows. The kernel stamps each by itself, so a round trip
is exact however late it is read; replies that it had to drop, as nobody read them in time, are our loss and not the
target's."""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter

from probes._wire import stamps
from probes._wire.echo import reply, request, said, without_ip_header
from probes._wire.pulse import pulse_of
from probes.contract import LookFailed, Reason

TOKEN = 8
"""Bytes at the head of each payload."""

_PROTOCOLS = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}
_REPLIES = {
    # SOL_RAW, ICMP_FILTER: a bit for each type that is not wanted; 0 is the echo reply
    socket.AF_INET: (255, 1, struct.pack("=I", 0xFFFFFFFE)),
    # ICMPV6, ICMP6_FILTER: the same in eight words; 129 is the echo reply
    socket.AF_INET6: (58, 1, struct.pack("=8I", *(0xFFFFFFFD if word == 4 else 0xFFFFFFFF for word in range(8)))),
}
_ERRORS = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
"""IP_RECVERR, IPV6_RECVERR: what the network says of a request is queued, and ends no other one."""
_MEMINFO = 55
"""SO_MEMINFO: what a socket's memory is used for, and behind that how many packets it had no room for."""
_MEMINFO_WORDS = struct.Struct("=9I")
_ROOM = 1 << 20
"""Bytes of replies that may wait to be read; the kernel may grant less."""
_PACKET = 65_535
_ANCILLARY = 512
_AT_ONCE = 64
"""Packets that are read before the loop gets its turn."""
_NUMBERS = 1 << 16
_MSG_ERRQUEUE = getattr(socket, "MSG_ERRQUEUE", 0x2000)


@dataclass(slots=True, eq=False)
class Train:
    """The requests of one look to one address, and what became of them, by number."""

    sent: dict[int, float] = field(default_factory=dict)
    """When, by `perf_counter`."""
    trips: dict[int, float] = field(default_factory=dict)
    """Seconds from a request to its reply."""
    said: dict[int, str] = field(default_factory=dict)
    """What the network has said of a request, and who."""
    again: int = 0
    """Replies that came twice."""
    doubt: float = 0.0
    """Seconds by which our loop was late for a reply that is timed by our own clock."""

    @property
    def settled(self) -> bool:
        return len(self.trips.keys() | self.said.keys()) == len(self.sent)


class Line:
    """The socket of one family on one loop."""

    __slots__ = ("_family", "_fd", "_ident", "_loop", "_number", "_raw", "_sock", "_users", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, family: int) -> None:
        self._loop = weakref.ref(loop)
        self._family = family
        self._sock: socket.socket | None = None
        self._fd = -1
        self._raw = False
        self._ident = 0
        self._number = secrets.randbelow(_NUMBERS)
        self._users = 0
        self._waiting: dict[int, tuple[bytes, Train, Callable[[], None]]] = {}

    @property
    def dropped(self) -> int:
        """Packets that the kernel had no room for since the socket was made; it would also tell it with the packet
        that comes next, but there may be none."""
        with suppress(OSError, struct.error):
            if self._sock is not None:
                told = self._sock.getsockopt(socket.SOL_SOCKET, _MEMINFO, _MEMINFO_WORDS.size)
                return int(_MEMINFO_WORDS.unpack(told)[-1])
        return 0

    def enter(self) -> None:
        """Somebody begins to ping. Raises `LookFailed` (denied, no_descriptors, unsupported)."""
        if self._sock is None:
            self._open()
        self._users += 1

    def leave(self, train: Train) -> None:
        """They are done: what comes for them now is nobody's. The socket goes with the last one."""
        for number in train.sent:
            self._waiting.pop(number, None)
        self._users -= 1
        if not self._users and self._sock is not None:
            self._own_loop().remove_reader(self._fd)
            self._sock.close()
            self._sock = None

    def send(self, host: str, train: Train, size: int, told: Callable[[], None]) -> None:
        """One request with `size` bytes of payload; `told` is called with each that becomes of it. Raises OSError."""
        if len(self._waiting) >= _NUMBERS // 2:
            raise LookFailed(Reason.NO_DESCRIPTORS, f"{len(self._waiting)} pings are under way already")
        while self._number in self._waiting:
            self._number = (self._number + 1) % _NUMBERS
        number, self._number = self._number, (self._number + 1) % _NUMBERS
        token = secrets.token_bytes(TOKEN)
        packet = request(self._family, self._ident, number, token + bytes(size - TOKEN))
        self._waiting[number] = (token, train, told)
        train.sent[number] = perf_counter()
        try:
            self._send(packet, host, number, train)
        except BaseException:
            del self._waiting[number], train.sent[number]
            raise

    def _send(self, packet: bytes, host: str, number: int, train: Train) -> None:
        assert self._sock is not None, "nobody has entered"  # noqa: S101
        for last in (False, False, True):
            train.sent[number] = perf_counter()
            try:
                self._sock.sendto(packet, (host, 0))
            except OSError:
                # It may be what the network said of another's request, which is told but once.
                if last or not self._hear_errors():
                    raise
            else:
                return

    # --- what comes -----------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        sock = self._sock
        for _ in range(_AT_ONCE):
            if sock is None:
                return
            try:
                data, ancillary, _, _ = sock.recvmsg(_PACKET, _ANCILLARY)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:  # what stands in the error queue, told once more
                break
            self._take(data, ancillary)
        if self._hear_errors() and self._sock is not None:
            # uvloop watches a socket no longer once it has seen an error of it.
            loop = self._own_loop()
            loop.remove_reader(self._fd)
            loop.add_reader(self._fd, self._readable)

    def _take(self, data: bytes, ancillary: list[tuple[int, int, bytes]]) -> None:
        if self._raw and self._family == socket.AF_INET:
            data = without_ip_header(data)
        now, age = stamps.read(ancillary)
        found = reply(self._family, data)
        if found is None or (self._raw and found[0] != self._ident):
            return
        _, number, payload = found
        token, train, told = self._waiting.get(number, (b"", None, None))
        if train is None or told is None or payload[:TOKEN] != token:
            return
        if number in train.trips:
            train.again += 1
            return
        since = now - train.sent[number]
        if age is None or not 0.0 <= age <= since:
            age = 0.0
        if age < stamps.ON_TIME:  # none, or perhaps only stamped as we read it
            train.doubt = max(train.doubt, pulse_of(self._own_loop()).lateness(now, train.sent[number]))
        train.trips[number] = since - age
        told()

    def _hear_errors(self) -> bool:
        """Take what the network has said of requests; whether it had said anything."""
        heard = False
        while self._sock is not None:
            try:
                data, ancillary, _, _ = self._sock.recvmsg(_PACKET, _ANCILLARY, _MSG_ERRQUEUE)
            except OSError:
                break
            heard = True
            for level, kind, value in ancillary:
                if (level, kind) == _ERRORS[socket.AddressFamily(self._family)]:
                    self._blame(data, value)
        return heard

    def _blame(self, data: bytes, control: bytes) -> None:
        found = said(self._family, self._ident if self._raw else None, data, control)
        _, train, told = self._waiting.get(found.number, (b"", None, None)) if found else (b"", None, None)
        if found is not None and train is not None and told is not None:
            train.said.setdefault(found.number, f"{found.by} says: {found.what}")
            told()

    # --- the socket -----------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if sys.platform != "linux":
            raise LookFailed(Reason.UNSUPPORTED, "ping sockets and their error queues are those of Linux")
        protocol = _PROTOCOLS[socket.AddressFamily(self._family)]
        try:
            sock, self._raw = socket.socket(self._family, socket.SOCK_DGRAM, protocol), False
        except PermissionError:
            sock, self._raw = self._open_raw(protocol), True
        except OSError as error:
            raise LookFailed(Reason.NO_DESCRIPTORS, f"no socket to ping by: {error.strerror}") from error
        self._ident = secrets.randbelow(_NUMBERS) if self._raw else 0
        sock.setblocking(False)  # noqa: FBT003  (the socket module's own signature)
        stamps.ask_for(sock)
        with suppress(OSError):
            sock.setsockopt(*_ERRORS[socket.AddressFamily(self._family)], 1)
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
        self._sock, self._fd = sock, sock.fileno()
        self._own_loop().add_reader(self._fd, self._readable)

    def _open_raw(self, protocol: int) -> socket.socket:
        try:
            sock = socket.socket(self._family, socket.SOCK_RAW, protocol)
        except PermissionError as error:
            raise LookFailed(
                Reason.DENIED,
                "the agent may not ping: its group is not in net.ipv4.ping_group_range, and it has no CAP_NET_RAW; "
                "`brownout install --with icmp` opens the former",
            ) from error
        except OSError as error:
            raise LookFailed(Reason.NO_DESCRIPTORS, f"no socket to ping by: {error.strerror}") from error
        level, option, wanted = _REPLIES[socket.AddressFamily(self._family)]
        with suppress(OSError):
            sock.setsockopt(level, option, wanted)
        return sock

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        loop = self._loop()
        assert loop is not None, "a socket is only read on its own loop"  # noqa: S101
        return loop


_LINES: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, Line]] = weakref.WeakKeyDictionary()


def line_of(loop: asyncio.AbstractEventLoop, family: int) -> Line:
    """The one of that family on this loop."""
    lines = _LINES.setdefault(loop, {})
    line = lines.get(family)
    if line is None:
        line = lines[family] = Line(loop, family)
    return line
