"""Dialling, timed: a connection of our own on a non-blocking socket, plain or TLS, on any asyncio loop.

asyncio's streams and transports are not used: they hide when a phase ended, read ahead, and cost three times the CPU.
No task and no thread is made for a look; one future a wait, one timer a look (`Look`).

When did the answer arrive? Our own clock says when we *read* it; on a busy loop that is later. The kernel stamps each
segment as it arrives (SO_TIMESTAMPNS), so that a busy agent need not make a target look slow. The rules, and why:

- The first packets after stamping was first enabled on a machine may lack a stamp: then our own clock is all we have.
- Segments that wait unread are merged and keep the **last** one's stamp. So a stamp is believed only when TCP_INFO
  says that exactly one data segment came since the last read; then it is exact however late we are.
- Otherwise our own clock is used, unless the loop stood still for more than `LATE` just before (`Pulse`): then nobody
  knows when the first byte came, and the look ends with `Reason.LATE`, which is never held against the target.
- Stamps are wall-clock time. A stamp from the future or from before the wait began is not believed, and a look across
  which the two clocks moved apart is void (`Look.check_clocks`).
- Connecting and the handshake have no stamp: after a stall they are void in the same way.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import struct
from time import perf_counter
from types import TracebackType

from probes import _stamps
from probes._endpoint import joined
from probes._look import Look
from probes._resolve import SystemResolver
from probes._tls import SharedTls, handshake_failure
from probes.contract import DETAIL_LIMIT, Address, Blame, LookFailed, Reason

__all__ = ["Connection", "Look", "SharedTls", "SystemResolver", "dial", "translated"]

_CHUNK = 65_536
_NON_BLOCKING = hasattr(socket, "SOCK_NONBLOCK")
_STREAM = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0) | getattr(socket, "SOCK_CLOEXEC", 0)

_DATA_SEGS_IN = struct.Struct("I")
_DATA_SEGS_IN_AT = 152  # linux/tcp.h, struct tcp_info.tcpi_data_segs_in, since 4.6

_REASONS = {
    errno.ECONNREFUSED: Reason.REFUSED,
    errno.EHOSTUNREACH: Reason.UNREACHABLE,
    errno.EHOSTDOWN: Reason.UNREACHABLE,
    errno.ENETUNREACH: Reason.NO_ROUTE,
    errno.ENETDOWN: Reason.NO_ROUTE,
    errno.ECONNRESET: Reason.RESET,
    errno.ECONNABORTED: Reason.RESET,
    errno.EPIPE: Reason.RESET,
    errno.ETIMEDOUT: Reason.CONNECT_TIMEOUT,
    errno.EMFILE: Reason.NO_DESCRIPTORS,
    errno.ENFILE: Reason.NO_DESCRIPTORS,
    errno.ENOBUFS: Reason.NO_DESCRIPTORS,
    errno.ENOMEM: Reason.NO_DESCRIPTORS,
    errno.EADDRNOTAVAIL: Reason.NO_DESCRIPTORS,
    errno.EAGAIN: Reason.NO_DESCRIPTORS,  # connect(2): no free local port in the cache
    errno.EPERM: Reason.DENIED,  # a local packet filter
    errno.EACCES: Reason.DENIED,
}


def translated(code: int, where: str, otherwise: Reason) -> LookFailed:
    """An errno at the border, in the words of `Reason`."""
    return LookFailed(_REASONS.get(code, otherwise), f"{where}: {errno.errorcode.get(code, code)}")


class Connection:
    """A socket, plain or TLS; phases go to its `Look`. Use it as a context manager: it always closes.

    What the loop watches the socket for is changed only before the next wait: two system calls less at each turn, and
    uvloop keeps one poll handle where it would make two.
    """

    __slots__ = ("_fd", "_look", "_reading", "_segments", "_sock", "_tls", "_writing", "arrived", "where")

    def __init__(self, look: Look, address: Address) -> None:
        """Raises `LookFailed` when there is no socket to be had."""
        self.where = joined(address.host, address.port)
        self._look = look
        try:
            self._sock = socket.socket(address.family, _STREAM, socket.IPPROTO_TCP)
        except OSError as error:
            raise translated(error.errno or 0, self.where, Reason.NO_DESCRIPTORS) from error
        self._fd = self._sock.fileno()
        self._tls: _Tls | None = None
        self._reading = False
        self._writing = False
        self._segments = 0
        self.arrived = 0.0
        """When what `receive` gave last had arrived, by `perf_counter`."""

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._reading:
            self._look.loop.remove_reader(self._fd)
        if self._writing:
            self._look.loop.remove_writer(self._fd)
        self._reading = self._writing = False
        self._sock.close()

    def detach(self) -> socket.socket:
        """The bare socket, for a driver that reads and writes by itself; from now on it is the caller's to close."""
        sock = socket.socket(fileno=self._sock.detach())
        self.close()
        return sock

    async def connect(self, address: Address) -> None:
        sock = self._sock
        try:
            if not _NON_BLOCKING:
                sock.setblocking(False)  # noqa: FBT003  (the socket module's own signature)
            _stamps.ask_for(sock)
            code = sock.connect_ex((address.host, address.port))
        except OSError as error:
            raise translated(error.errno or 0, self.where, Reason.UNREACHABLE) from error
        if code == errno.EINPROGRESS:
            await self._writable()
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise translated(code, self.where, Reason.UNREACHABLE)
        self._look.check_late(perf_counter())

    async def secure(self, context: ssl.SSLContext, server_name: str) -> None:
        """The TLS handshake, with `server_name` as SNI and as the name the certificate must be for."""
        look = self._look
        look.begin(Reason.TLS_TIMEOUT, "tls")
        since = perf_counter()
        tls = _Tls(context, server_name)
        while not tls.shake():
            await self._send_raw(tls.outgoing.read())
            data, now = await self._receive_raw()
            if not data:
                raise LookFailed(Reason.TLS_PROTOCOL, "the server closed the connection during the handshake")
            tls.incoming.write(data)
        now = perf_counter()
        look.check_late(now)
        await self._send_raw(tls.outgoing.read())
        look.spend("tls", now - since)
        self._tls = tls
        self._segments = self._data_segments()

    def certificate(self) -> bytes | None:
        """The server's certificate in DER, when this is TLS."""
        return self._tls.peer.getpeercert(binary_form=True) if self._tls is not None else None

    def tls_version(self) -> str | None:
        return self._tls.peer.version() if self._tls is not None else None

    async def send(self, data: bytes) -> None:
        self._look.begin(Reason.SEND_TIMEOUT, "send")
        since = perf_counter()
        if self._tls is not None:
            self._tls.peer.write(data)
            data = self._tls.outgoing.read()
        await self._send_raw(data)
        self._look.spend("send", perf_counter() - since)

    async def receive(self) -> bytes:
        """Some plaintext bytes, b"" at the end; `arrived` says when they came."""
        tls = self._tls
        if tls is None:
            data, self.arrived = await self._receive_raw()
            return data
        while True:
            plain = tls.read()
            if plain is not None:
                return plain
            data, self.arrived = await self._receive_raw()
            if data:
                tls.incoming.write(data)
            else:
                tls.incoming.write_eof()

    async def _send_raw(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._sock.send(rest) :]
            except (BlockingIOError, InterruptedError):
                await self._writable()
            except OSError as error:
                raise translated(error.errno or 0, self.where, Reason.RESET) from error

    async def _receive_raw(self) -> tuple[bytes, float]:
        """What the socket has, and when it came; waits first, as the answer is seldom there at once."""
        while True:
            await self._readable()
            now = perf_counter()
            try:
                data, ancillary, _, _ = self._sock.recvmsg(_CHUNK, _stamps.ANCILLARY)
            except (BlockingIOError, InterruptedError):
                continue
            except OSError as error:
                raise translated(error.errno or 0, self.where, Reason.RESET) from error
            return data, self._arrival(now, ancillary)

    def _arrival(self, now: float, ancillary: list[tuple[int, int, bytes]]) -> float:
        """When the bytes just read at `now` had arrived; see the top of this file."""
        late = self._look.lateness(now)
        behind = _stamps.age(ancillary)
        if behind is not None:
            if late <= 0.0 and behind < _stamps.ON_TIME:
                return now
            segments = self._data_segments()
            alone, self._segments = segments - self._segments == 1, segments
            if alone and 0.0 <= behind <= now - self._look.started:
                return now - behind
        self._look.check_late(now)
        return now

    def _data_segments(self) -> int:
        if not _stamps.SUPPORTED:
            return 0
        info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _DATA_SEGS_IN_AT + 4)
        if len(info) <= _DATA_SEGS_IN_AT:
            return 0
        return int(_DATA_SEGS_IN.unpack_from(info, _DATA_SEGS_IN_AT)[0])

    def _readable(self) -> asyncio.Future[None]:
        look = self._look
        waiter = look.waiter()
        try:
            look.loop.add_reader(self._fd, look.wake)
        except RuntimeError:
            # uvloop watches a socket no longer once it has seen an error of it, such as a reset that is there along
            # with bytes; those are read first, and the next read tells of it.
            look.wake()
        self._reading = True
        if self._writing:
            look.loop.remove_writer(self._fd)
            self._writing = False
        return waiter

    def _writable(self) -> asyncio.Future[None]:
        look = self._look
        waiter = look.waiter()
        if not self._writing:
            look.loop.add_writer(self._fd, look.wake)
            self._writing = True
        if self._reading:
            look.loop.remove_reader(self._fd)
            self._reading = False
        return waiter


class _Tls:
    """TLS between two memory buffers: the handshake and the records, no I/O."""

    __slots__ = ("incoming", "outgoing", "peer")

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self.peer = context.wrap_bio(self.incoming, self.outgoing, server_hostname=server_name)
        except ValueError as error:
            raise LookFailed(Reason.TLS_NAME, f"{server_name!r} cannot be a server name") from error

    def shake(self) -> bool:
        """One step of the handshake; True when it is done. Send `outgoing` after every step."""
        try:
            self.peer.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise handshake_failure(error) from error
        return True

    def read(self) -> bytes | None:
        """Plaintext; b"" at the end; None when more bytes are needed."""
        try:
            return self.peer.read(_CHUNK)
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""  # with or without a goodbye: whether the answer was complete is for HTTP to say
        except ssl.SSLError as error:
            raise LookFailed(Reason.TLS_PROTOCOL, error.reason or str(error)) from error


async def dial(look: Look, addresses: tuple[Address, ...]) -> Connection:
    """Connect to the first address that takes us, in order; those tried are in the evidence.

    An address that swallows packets keeps the whole deadline: racing addresses is for another day.
    """
    look.begin(Reason.CONNECT_TIMEOUT, "connect")
    since = perf_counter()
    failure: LookFailed | None = None
    if addresses and addresses[0].age:
        look.evidence["resolved"] = f"from {addresses[0].age:.0f} s ago"
    for number, address in enumerate(addresses, 1):
        try:
            connection = Connection(look, address)
            look.evidence["address"] = connection.where
            try:
                await connection.connect(address)
            except BaseException:
                connection.close()
                raise
        except LookFailed as error:
            over = look.struck or look.left() <= 0
            if len(addresses) > 1:
                where, left = joined(address.host, address.port), len(addresses) - number
                _note_tried(look, where, error.detail, untried=left if over else 0)
            if over or error.reason is Reason.LATE:
                raise
            # What the target did says more than what we lack, such as a route for IPv6.
            if failure is None or failure.reason.blame is not Blame.TARGET:
                failure = error
            if number == len(addresses):
                raise failure from (None if failure is error else error)
        else:
            look.spend("connect", perf_counter() - since)
            return connection
    raise LookFailed(Reason.DNS_NXDOMAIN, "the name has no address")


def _note_tried(look: Look, where: str, detail: str, *, untried: int) -> None:
    """Evidence of a name with several addresses: what each has done, and how many there was no time for."""
    told = detail if detail.startswith(where) else f"{where}: {detail}"
    if untried:
        told += f" ({untried} more not tried)"
    tried = look.evidence.get("tried", "")
    look.evidence["tried"] = f"{tried}, {told}"[-DETAIL_LIMIT:] if tried else told
