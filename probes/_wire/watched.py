"""A socket that is watched for a look: bytes go out when they can, come in when they are there, and are timed.

What has come is read when the pulse tells of it (`Pulse`), before anything else has its turn, with the kernel's stamp
of when it arrived (`_wire.arrival`).
"""

from __future__ import annotations

import socket
from contextlib import suppress
from time import perf_counter
from types import TracebackType
from typing import Self

from probes._look import Look
from probes._wire import stamps, tcp_info
from probes._wire.arrival import EXACT, Arrival, judge
from probes._wire.endpoint import joined
from probes._wire.errnos import translated
from probes._wire.pulse import END, INPUT, OUTPUT
from probes.contract import Address, LookFailed, Reason

CHUNK = 65_536
_AHEAD = 2
"""Chunks that are read before anybody asks for them, each with its own arrival; more waits in the kernel."""
_STREAM = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0) | getattr(socket, "SOCK_CLOEXEC", 0)


class Watched:
    """A TCP socket of one look. Use it as a context manager: it always closes."""

    __slots__ = (
        "_awaited",
        "_came",
        "_counting",
        "_end",
        "_fd",
        "_fresh",
        "_look",
        "_missed",
        "_more",
        "_only_end",
        "_reading",
        "_segments",
        "_send_doubt",
        "_sock",
        "address",
        "round_trip",
        "sent",
        "sent_again",
        "where",
    )

    def __init__(self, look: Look, address: Address) -> None:
        """Raises `LookFailed` when there is no socket to be had."""
        self.where = joined(address.host, address.port)
        self.address = address
        self._look = look
        try:
            # What `socket.socket` is made of: that adds three calls of Python to each opening and closing.
            self._sock = socket.SocketType(address.family, _STREAM, socket.IPPROTO_TCP)
        except OSError as error:
            raise translated(error.errno or 0, self.where, Reason.NO_DESCRIPTORS) from error
        self._fd = self._sock.fileno()
        self._awaited = 0
        """What of its news somebody waits for: `INPUT`, `OUTPUT`, or nothing."""
        self._reading = False
        """Whether what comes is read at once: from the first time on that it is waited for."""
        self._more = False
        """Whether something may be there that was not read, and will not be told again."""
        self._missed = False
        """Whether something was left to be read at the last glance, as nobody waited for it."""
        self._end: tuple[float, float] | None = None
        """When (`perf_counter`) the end was told, with which everything had come, and when it had not yet come."""
        self._only_end = False
        """Whether all is read but the end."""
        self._came: list[tuple[bytes, Arrival] | LookFailed] = []
        self._fresh = True
        """Whether the first byte of an answer is yet to come, whose arrival is worth a question to the kernel."""
        self._counting = False
        """Whether more than one read may come before that first byte."""
        self._segments: int | None = 0
        """Data segments that had come by the last read; None when nobody has counted."""
        self.sent = 0.0
        """When the last bytes were given to the kernel, by `perf_counter`."""
        self._send_doubt = 0.0
        """Seconds that this took: as much later they may have left."""
        self.round_trip: float | None = None
        """Seconds to the other end of this connection and back, by the kernel; None where it does not tell."""
        self.sent_again = 0
        """Segments that were sent a second time, as they or their answers were lost on the way."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._fd < 0:
            return
        if self._look.struck and (info := tcp_info.ask(self._sock)) is not None:
            self.sent_again = info.sent_again  # nobody answered: was that the server, or the way?
        if self.sent_again:
            self._look.evidence["sent_again"] = _told(self.sent_again)
        self._look.pulse.unwatch(self._fd)
        self._fd = -1
        self._sock.close()

    def detach(self) -> socket.socket:
        """The bare socket, for a driver that reads and writes by itself; from now on it is the caller's to close."""
        sock = socket.socket(fileno=self._sock.detach())
        self._look.pulse.unwatch(self._fd, closing=False)
        self._fd = -1
        return sock

    def finish(self) -> None:
        """Tells the other side that nothing more will be said; what it says can still be received."""
        with suppress(OSError):  # it may be gone
            self._sock.shutdown(socket.SHUT_WR)

    async def _send_raw(self, data: bytes | memoryview) -> None:
        while rest := self._send_some(data):
            if len(rest) == len(data):
                self._awaited = OUTPUT
                await self._look.waiter()
            data = rest

    def _send_some(self, data: bytes | memoryview) -> bytes | memoryview:
        """What of it the kernel has not taken; mostly nothing. Raises `LookFailed`."""
        try:
            # What is sent at once leaves, and may be answered, before the call is back.
            self.sent = perf_counter()
            taken = self._sock.send(data)
            self._send_doubt = perf_counter() - self.sent
            if self._send_doubt > EXACT:
                self._send_doubt = self._left_late()
        except (BlockingIOError, InterruptedError):
            return data
        except OSError as error:
            raise translated(error.errno or 0, self.where, Reason.RESET) from error
        return b"" if taken == len(data) else memoryview(data)[taken:]

    def _left_late(self) -> float:
        """By how much later than at `sent` the bytes have left, as sending them took long: the agent may have been
        stopped before that, or behind it."""
        info, now = tcp_info.ask(self._sock), perf_counter()
        later = max(0.0, now - info.silent - self.sent) if info is not None else self._send_doubt
        return min(self._send_doubt, later)

    async def _receive_raw(self) -> tuple[bytes, Arrival]:
        """What has come, and when; waits first, as an answer is seldom there at once."""
        self._reading = True
        while not self._came:
            if self._more:
                await self._look.turn()  # should bytes come faster than they are read, others have their turns
                if not self._came:
                    self._read()
                continue
            self._awaited = INPUT
            await self._look.waiter()
        came = self._came.pop(0)
        if isinstance(came, LookFailed):
            raise came
        return came

    # --- what the pulse tells ------------------------------------------------------------------------------------

    def _on_news(self, events: int) -> None:
        if events & END and self._end is None:
            self._end = perf_counter(), self._look.pulse.glanced
        if events & INPUT:
            self._more = True
            if self._reading and len(self._came) < _AHEAD:
                self._read()
            else:
                self._missed = True
        if events & self._awaited and (self._awaited == OUTPUT or self._came):
            self._awaited = 0
            self._look.wake()

    def _read(self) -> None:
        """Put what is there into `_came`; nothing may be."""
        ended = self._end is not None
        try:
            data, ancillary, _, _ = self._sock.recvmsg(CHUNK, stamps.ANCILLARY)
        except (BlockingIOError, InterruptedError):
            self._more = False
        except OSError as error:
            self._came.append(translated(error.errno or 0, self.where, Reason.RESET))
        else:
            # A short read has emptied it: what comes later is told. An end that had come is left, and is not.
            self._only_end = ended and len(data) < CHUNK
            self._more = ended or len(data) == CHUNK
            self._came.append((data, self._arrival(data, *stamps.read(ancillary))))

    def _arrival(self, data: bytes, now: float, age: float | None) -> Arrival:
        look = self._look
        if not data and self._end is not None:
            now, polled = self._end
            polled = max(polled, self.sent)
        else:
            polled = self.sent if self._missed else max(self.sent, look.pulse.glanced)
        self._missed = False
        arrival = judge(now, age, None, polled, look.started)
        if not self._fresh or (arrival.doubt <= EXACT and not self._counting):
            self._segments = None
            return arrival
        before, info = self._segments, tcp_info.ask(self._sock)
        if info is None:
            return arrival
        self._segments, self.sent_again = info.segments, info.sent_again
        if info.round_trip is not None:
            self.round_trip = info.round_trip
        return arrival if before is None else judge(now, age, info.segments - before, polled, look.started)


def _told(again: int) -> str:
    return f"{again} segment{'s' if again > 1 else ''}, lost on the way"
