"""A connection of our own on a non-blocking socket, plain or TLS, timed, on any asyncio loop.

asyncio's streams and transports are not used: they hide when a phase ended, read ahead, and cost three times the CPU.
No task and no thread is made for a look; one future a wait, one timer a look (`Look`). What is there is read in the
loop's own callback, before anything else has its turn, and timed by the kernel's stamps (`_wire.arrival`).

Every time ends when something came, not when we saw it: connecting takes what the kernel measured from the SYN to its
answer, a handshake ends with the arrival of its last flight, an answer begins and ends with its bytes.
"""

from __future__ import annotations

import errno
import socket
import ssl
from contextlib import suppress
from time import perf_counter

from probes._look import Look
from probes._tls.session import TlsSession
from probes._wire import stamps, tcp_info
from probes._wire.arrival import TOLERATED
from probes._wire.errnos import translated
from probes._wire.keepalive import kept_alive
from probes._wire.pulse import OUTPUT
from probes._wire.watched import CHUNK, Watched
from probes.contract import Address, LookFailed, Reason

_NON_BLOCKING = hasattr(socket, "SOCK_NONBLOCK")


class Connection(Watched):
    """A connection, plain or TLS; phases go to its `Look`."""

    __slots__ = ("_tls", "arrived", "asked", "began", "connected", "doubt")

    def __init__(self, look: Look, address: Address) -> None:
        """Raises `LookFailed` when there is no socket to be had."""
        super().__init__(look, address)
        self._tls: TlsSession | None = None
        self.began = self.connected = self.asked = self.arrived = 0.0
        """By `perf_counter`: when connecting began, when the connection was there, when `send` began to give bytes to
        the kernel, and when what `receive` gave last had arrived."""
        self.doubt = 0.0
        """Seconds by which `arrived` may be too late."""

    # --- connecting ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect: the look is woken when `settled` has news. Raises `LookFailed`."""
        sock, address = self._sock, self.address
        try:
            if not _NON_BLOCKING:
                sock.setblocking(False)  # noqa: FBT003  (the socket module's own signature)
            stamps.ask_for(sock)
            self.began = self.sent = perf_counter()
            code = sock.connect_ex((address.host, address.port))
        except OSError as error:
            raise translated(error.errno or 0, self.where, Reason.UNREACHABLE) from error
        if code not in (0, errno.EINPROGRESS):
            raise translated(code, self.where, Reason.UNREACHABLE)
        self._awaited = OUTPUT
        try:
            self._look.pulse.watch(self._fd, self._on_news)
        except OSError as error:
            raise translated(error.errno or 0, self.where, Reason.NO_DESCRIPTORS) from error

    def settled(self) -> bool:
        """Whether the connection is there; `connected` then says since when. Raises `LookFailed` when it came to
        nothing, and when nobody knows how long it took."""
        now = perf_counter()
        info = tcp_info.ask(self._sock)
        if info is not None and info.state == tcp_info.SYN_SENT:
            self._awaited = OUTPUT
            return False
        if info is None or info.state == tcp_info.CLOSED:
            code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code or info is not None:
                raise translated(code or errno.ECONNRESET, self.where, Reason.UNREACHABLE)
            if not self._has_peer():
                self._awaited = OUTPUT
                return False
        # Of itself it has heard more than an answer to its SYN; so most need not be asked.
        if (info is None or info.heard != 1) and self._is_its_own_peer():
            raise translated(errno.ECONNREFUSED, self.where, Reason.UNREACHABLE)
        if info is not None and info.round_trip and not info.sent_again:
            self.round_trip = info.round_trip
            self.connected = min(now, self.began + info.round_trip)
        else:
            self.sent_again = info.sent_again if info is not None else 0
            self._look.trust("connect", now - self.began, now - self._look.turned(self.began))
            self.connected = now
        return True

    def _is_its_own_peer(self) -> bool:
        """Whether nobody listens there, and the kernel has picked the very port as ours: then TCP connects a socket
        with itself (RFC 9293, 3.5: simultaneous open). So it does once in 28,000 attempts, to ports from 32768 on."""
        name = self._sock.getsockname()
        return bool(name[1] == self.address.port and name[0] == self.address.host)

    def _has_peer(self) -> bool:
        try:
            self._sock.getpeername()
        except OSError:
            return False
        return True

    async def secure(self, context: ssl.SSLContext, server_name: str) -> None:
        """The TLS handshake, with `server_name` as SNI and as the name the certificate must be for."""
        look = self._look
        look.begin(Reason.TLS_TIMEOUT, "tls")
        tls = TlsSession(context, server_name, look.show)
        began = arrived = 0.0
        try:
            while not tls.shake():
                await self._send_raw(tls.outgoing.read())
                began = began or self.sent
                data, (arrived, _, doubt) = await self._receive_raw()
                tls.feed(data)
                look.trust("tls", arrived - began, doubt)
        except LookFailed as failure:
            tls.failed(failure, look.evidence)
            raise
        # Our last flight goes with the first bytes that are sent, if any are: that is a packet less, and servers that
        # send tickets for other sessions because of it send them with the answer.
        look.spend("tls", max(0.0, arrived - began), arrived)
        if look.trace is not None:
            look.trace.noted(f"{self.where}: {tls.peer.version()} with {server_name}", perf_counter())
        self._tls = tls
        self._counting = True

    @property
    def tls(self) -> TlsSession | None:
        """What is known of the other side, once TLS is spoken."""
        return self._tls

    # --- talking -------------------------------------------------------------------------------------------------

    async def send(self, data: bytes, phase: str = "send") -> None:
        """Until the kernel has taken all of it, at `sent`. Raises `LookFailed`; spends the phase."""
        look = self._look
        look.begin(Reason.SEND_TIMEOUT, phase)
        since = perf_counter()
        self._fresh = True  # an answer will be awaited: what comes is counted from here on
        if self._segments is None:
            self._count_segments()
        if look.trace is not None:
            look.trace.sent(self.where, data, since)
        if self._tls is not None:
            self._tls.peer.write(data)
            data = self._tls.outgoing.read()
        self.asked = perf_counter()
        try:
            if rest := self._send_some(data):
                await self._send_raw(rest)
        except LookFailed:
            self._hear_last_words()
            raise
        look.spend(phase, self.sent - since, self.sent)

    async def receive(self) -> bytes:
        """Some plaintext bytes, b"" at the end; `arrived` says when they came. Raises `LookFailed`, also when nobody
        knows that any more, but for the end, which says something whenever it came: `Look.trust` its `doubt` where it
        ends a time."""
        look, tls = self._look, self._tls
        plain = None
        if tls is not None:
            if tls.outgoing.pending:
                await self._send_raw(tls.outgoing.read())
            plain = tls.read()
        while plain is None:
            data, (self.arrived, doubt, end_doubt) = await self._receive_raw()
            if tls is None:
                plain = data
            elif data:
                tls.incoming.write(data)
                plain = tls.read()
            else:
                tls.incoming.write_eof()
                plain = tls.read()
            self.doubt = doubt + self._send_doubt if self._fresh else end_doubt
        if plain:
            took = self.arrived - self.sent
            if self.doubt > TOLERATED:
                look.trust("the answer", took, self.doubt)
            if self._fresh:
                self._fresh = False
                look.tell_apart(took, self.round_trip)
        if look.trace is not None:
            look.trace.received(self.where, plain, self.arrived)
        return plain

    def finish(self) -> None:
        self._end_handshake()
        super().finish()

    def close(self) -> None:
        self._end_handshake()
        super().close()

    def _end_handshake(self) -> None:
        """Whoever has nothing to say once TLS is there leaves no handshake half done."""
        if self._tls is not None and self._tls.outgoing.pending:
            with suppress(OSError):
                self._sock.send(self._tls.outgoing.read())

    def beyond(self) -> bytes:
        """What has come behind the end of an answer and is here without waiting; b"" when nothing is."""
        if self._only_end and not self._came and self._tls is None:
            return b""
        data = b"".join([each[0] for each in self._came if not isinstance(each, LookFailed)])
        with suppress(OSError, LookFailed):
            if not data and not self._only_end:
                data = self._sock.recv(CHUNK)
            if self._tls is None:
                return data
            self._came = [each for each in self._came if isinstance(each, LookFailed) or not each[0]]
            self._tls.incoming.write(data)
            return self._tls.read() or b""  # tickets for other sessions are none
        return b""

    def _hear_last_words(self) -> None:
        """What the other side has said before it hung up on us. Raises `LookFailed` when that is about our
        certificate: in TLS 1.3 it comes after the handshake, while a long request is still being sent."""
        if self._tls is not None:
            came = [each for each in self._came if not isinstance(each, LookFailed)]
            with suppress(OSError):
                self._tls.hear(b"".join(data for data, _ in came) + self._sock.recv(CHUNK))

    def _count_segments(self) -> None:
        info = tcp_info.ask(self._sock)
        self._segments = info.segments if info is not None else None

    # --- from look to look ---------------------------------------------------------------------------------------

    def rest(self) -> None:
        """The look is over: until another one is served, nobody waits for anything."""
        self._reading = False
        self.sent_again = 0
        self._segments = None
        kept_alive(self._sock)

    def quiet(self) -> bool:
        """Whether nothing has come that nobody waits for, not even the end; it is read, and lost."""
        try:
            while not self._came:
                data = self._sock.recv(CHUNK)
                if self._tls is None or not data:
                    return False
                self._tls.incoming.write(data)
                if self._tls.read() is not None:  # else a ticket for another session, and the like
                    return False
        except (BlockingIOError, InterruptedError):
            self._more = False
            return True
        except (OSError, LookFailed):
            return False
        return False

    def serve(self, look: Look) -> None:
        """Whatever is waited for from now on, another look does."""
        self._look = look
        self.round_trip = None
