"""A UDP socket, connected and timed by the kernel: one question, and the answers that come to it.

Connected: the kernel picks a random port, drops what others than the address asked send, and tells when nothing
listens there (ECONNREFUSED). Whoever asks has still to tell answers from forged or belated ones.

The kernel stamps each datagram by itself, nothing is merged: a stamp is exact however late it is read (`stamps`).
Without one, or with one that may have been made as we read (the first after stamping was enabled), our own clock
counts, unless the loop stood still just before: then the look is void (`Reason.LATE`).
"""

from __future__ import annotations

import socket
from time import perf_counter
from types import TracebackType

from probes._look import Look
from probes._wire import stamps
from probes._wire.arrival import judge
from probes._wire.endpoint import joined
from probes._wire.errnos import translated
from probes.contract import Address, Reason

_MOST = 65_535
"""Bytes: no datagram is longer."""


class Datagrams:
    """Datagrams to and from one address, for one look. Use it as a context manager: it always closes."""

    __slots__ = ("_look", "_rung", "_sock", "arrived", "sent", "where")

    def __init__(self, look: Look, address: Address) -> None:
        """Raises `LookFailed` when there is no socket, or no way to the address."""
        self.where = joined(address.host, address.port)
        self._look = look
        self._rung = False
        self.arrived = self.sent = 0.0
        """When what `receive` gave last had arrived, and when the last question was sent, by `perf_counter`."""
        try:
            self._sock = socket.socket(address.family, socket.SOCK_DGRAM)
        except OSError as error:
            raise translated(error.errno or 0, self.where, Reason.NO_DESCRIPTORS) from error
        try:
            self._sock.setblocking(False)  # noqa: FBT003  (the socket module's own signature)
            stamps.ask_for(self._sock)
            self._sock.connect((address.host, address.port))
        except OSError as error:
            self._sock.close()
            raise translated(error.errno or 0, self.where, Reason.UNREACHABLE) from error
        look.loop.add_reader(self._sock.fileno(), look.wake)

    def __enter__(self) -> Datagrams:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._look.loop.remove_reader(self._sock.fileno())
        self._sock.close()

    def send(self, data: bytes) -> None:
        """Raises `LookFailed`, also for what came of a datagram that was sent before."""
        self.sent = perf_counter()
        if self._look.trace is not None:
            self._look.trace.sent(self.where, data, self.sent)
        try:
            self._sock.send(data)
        except OSError as error:  # BlockingIOError, too: the kernel has no room for a datagram
            raise translated(error.errno or 0, self.where, Reason.UNREACHABLE) from error

    async def receive(self, until: float) -> bytes | None:
        """The next datagram; None when none has come by `until` (`perf_counter`). Raises `LookFailed`."""
        look = self._look
        self._rung = False
        bell = look.loop.call_later(max(0.0, until - perf_counter()), self._ring)
        try:
            while True:
                await look.waiter()
                data = self._take()
                if data is not None or self._rung:
                    return data
        finally:
            bell.cancel()

    def _ring(self) -> None:
        self._rung = True
        self._look.wake()

    def _take(self) -> bytes | None:
        look = self._look
        try:
            data, ancillary, _, _ = self._sock.recvmsg(_MOST, stamps.ANCILLARY)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            raise translated(error.errno or 0, self.where, Reason.UNREACHABLE) from error
        now, age = stamps.read(ancillary)
        if age is not None and age < stamps.ON_TIME:
            look.check_late(now)  # perhaps only stamped as we read it
        self.arrived, doubt, _ = judge(now, age, 1, look.turned(self.sent), look.started)
        look.trust("the answer", self.arrived - self.sent, doubt)
        if look.trace is not None:
            look.trace.received(self.where, data, self.arrived)
        return data
