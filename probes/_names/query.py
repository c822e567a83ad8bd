"""One question to name servers, on the loop: who is asked when, and what is believed.

The servers are asked one after the other, each until the next one's turn has come, and all of them may answer until
the question is given up: so a lost packet, or a dead first server, costs a second and not five. By UDP, where anybody
may send, what does not answer the question is ignored and counted. What is cut off (TC) is asked for again by TCP.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from errno import EMFILE, ENFILE, ENOBUFS, ENOMEM, errorcode
from random import uniform
from time import monotonic

from probes._dns.asked import NXDOMAIN, REFUSED, rcode_of, truncated
from probes._names.address_question import NameQuestion, Told
from probes._wire.endpoint import joined
from probes.contract import LookFailed, Reason

PAUSE = 1.0
"""Seconds that a server has to itself, in the first round; in each further one twice as long, as with SYNs."""
MOST_IGNORED = 100
"""Datagrams that answer nothing: more is a flood, and whoever sends it is not listened to any longer."""
_MOST_WAITING = 16
"""Datagrams that wait to be understood; what comes on top of them is dropped, as the kernel would."""

_BY_TCP = 3.0
"""Seconds that a server has by TCP."""
_NO_ROOM = frozenset({EMFILE, ENFILE, ENOBUFS, ENOMEM})
_DATAGRAM = 65_535
_CODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")
_OWN = "our own question, sent back"

Server = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Failed:
    """Why there is no answer. A value and not an exception: many may wait for it, and frames keep what they hold."""

    reason: Reason
    detail: str

    def error(self) -> LookFailed:
        return LookFailed(self.reason, self.detail)


_WORST_FIRST = (
    Reason.NO_DESCRIPTORS,
    Reason.DNS_SERVFAIL,
    Reason.DNS_REFUSED,
    Reason.DNS_PROTOCOL,
    Reason.DNS_TIMEOUT,
)


def worst(failures: Sequence[Failed]) -> Failed:
    """The one that says most; who was silent says least."""
    return min(failures, key=lambda failed: _WORST_FIRST.index(failed.reason))


class Asking:
    """A question under way. `told` once, then `close`."""

    __slots__ = (
        "_bad",
        "_bell",
        "_box",
        "_ignored",
        "_links",
        "_loop",
        "_question",
        "_servers",
        "answered",
        "silent",
    )

    def __init__(self, question: NameQuestion, servers: Sequence[Server]) -> None:
        self._question = question
        self._servers = servers
        self._loop = asyncio.get_running_loop()
        self._links: dict[Server, _Link] = {}
        self._box: deque[tuple[Server, bytes | OSError]] = deque()
        self._bell = asyncio.Event()
        self._bad: dict[Server, Failed] = {}
        self._ignored: Counter[str] = Counter()
        self.answered: set[Server] = set()
        """Whatever they said."""
        self.silent: set[Server] = set()
        """Those that have not answered, though it was their turn."""

    async def told(self, patience: float, pause: float = PAUSE, *, by_tcp: bool = False) -> Told | Failed:
        """The answer, within `patience` seconds."""
        give_up = monotonic() + patience
        times: Counter[Server] = Counter()
        while monotonic() < give_up:
            left = [server for server in self._servers if server not in self._bad]
            if not left:
                break
            server = min(left, key=lambda server: times[server])
            if by_tcp:
                found = await self._over_tcp(server, give_up)
            else:
                # Names that fell silent together are not to be asked again all at one moment.
                until = monotonic() + pause * 2 ** times[server] * uniform(0.9, 1.1)  # noqa: S311
                found = await self._by_datagram(server, min(until, give_up), give_up)
            times[server] += 1
            if found is not None:
                return found
        return self.so_far()

    def so_far(self) -> Failed:
        """What is known of servers that have not answered as they should."""
        if self._bad:
            return worst(list(self._bad.values()))
        asked = ", ".join(joined(*server) for server in self._servers)
        if self._ignored[_OWN]:
            return Failed(Reason.DNS_PROTOCOL, f"{asked}: it sends our own question back, and no answer")
        ignored = ", ".join(f"{count} {what}" for what, count in self._ignored.items())
        return Failed(Reason.DNS_TIMEOUT, f"no answer from {asked}" + (f"; ignored: {ignored}" if ignored else ""))

    def close(self) -> None:
        for link in self._links.values():
            self._loop.remove_reader(link.sock.fileno())
            link.sock.close()
        self._links.clear()

    # --- by UDP ---------------------------------------------------------------------------------------------------

    async def _by_datagram(self, server: Server, until: float, give_up: float) -> Told | None:
        """Ask this one, and listen to all that were asked; None: it is the next one's turn."""
        try:
            link = self._links.get(server)
            if link is None:
                link = self._links[server] = _Link(server, self._question)
                self._loop.add_reader(link.sock.fileno(), self._take, server)
            link.sock.send(link.asked.wire)
        except OSError as error:
            self._bad[server] = _unsent(server, error)
            return None
        while server not in self._bad:
            while self._box:
                found = await self._heard(*self._box.popleft(), give_up)
                if found is not None:
                    return found
            if server in self._bad:
                return None
            left = until - monotonic()
            if left <= 0.0:
                break
            self._bell.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._bell.wait()
            if not self._box and monotonic() >= until:
                # A loop that stood still hears of its timer before it hears of its sockets.
                for other in self._links:
                    self._take(other)
        self.silent.add(server)
        return None

    def _take(self, server: Server) -> None:
        link = self._links[server]
        try:
            came = link.sock.recv(_DATAGRAM)
            if len(self._box) < _MOST_WAITING:  # nobody takes them while TCP is spoken with a server
                self._box.append((server, came))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._box.append((server, error))
        self._bell.set()

    async def _heard(self, server: Server, came: bytes | OSError, give_up: float) -> Told | None:
        if server in self._bad:
            return None
        if isinstance(came, OSError):
            self._bad[server] = _unsent(server, came)
            return None
        why = self._links[server].asked.stranger(came)
        if why is not None:
            self._ignored[why] += 1
            if self._ignored.total() >= MOST_IGNORED:
                detail = f"{joined(*server)}: {MOST_IGNORED} datagrams came, and none of them answers the question"
                self._bad[server] = Failed(Reason.DNS_PROTOCOL, detail)
            return None
        self.silent.discard(server)
        self.answered.add(server)
        return await self._over_tcp(server, give_up) if truncated(came) else self._understood(server, came)

    # --- by TCP ---------------------------------------------------------------------------------------------------

    async def _over_tcp(self, server: Server, give_up: float) -> Told | None:
        asked = self._question.ask()
        try:
            async with asyncio.timeout(max(min(give_up - monotonic(), _BY_TCP), 0.0)):
                data = await _exchanged(server, asked.wire)
        except TimeoutError:
            self.silent.add(server)
            self._bad[server] = Failed(Reason.DNS_TIMEOUT, f"{joined(*server)}: no answer by TCP")
            return None
        except OSError as error:
            self._bad[server] = _unsent(server, error, " by TCP")
            return None
        why = "nothing that can be read" if data is None else asked.stranger(data)
        if data is None or why is not None or truncated(data):
            detail = f"{joined(*server)}: what came by TCP is no answer: {why or 'cut off (TC) again'}"
            self._bad[server] = Failed(Reason.DNS_PROTOCOL if data else Reason.DNS_SERVFAIL, detail)
            return None
        return self._understood(server, data)

    def _understood(self, server: Server, data: bytes) -> Told | None:
        code = rcode_of(data)
        where = joined(*server)
        if code in (0, NXDOMAIN):
            try:
                return self._question.read(data)
            except ValueError as error:
                self._bad[server] = Failed(Reason.DNS_PROTOCOL, f"the answer of {where} cannot be read: {error}")
                return None
        word = _CODES[code] if code < len(_CODES) else f"the code {code}"
        reason = Reason.DNS_REFUSED if code == REFUSED else Reason.DNS_SERVFAIL
        self._bad[server] = Failed(reason, f"{where} answers {word}")
        return None


class _Link:
    """A socket that is connected to one server: the kernel picks a random port, drops what others send, and tells
    when nobody listens there."""

    __slots__ = ("asked", "sock")

    def __init__(self, server: Server, question: NameQuestion) -> None:
        self.asked = question.ask()
        self.sock = _socket(server, socket.SOCK_DGRAM)
        try:
            self.sock.connect(server)
        except BaseException:
            self.sock.close()
            raise


async def _exchanged(server: Server, wire: bytes) -> bytes | None:
    """The message behind its length in two bytes (RFC 7766, 8); None when the connection ends before. Raises
    OSError."""
    loop = asyncio.get_running_loop()
    with _socket(server, socket.SOCK_STREAM) as sock:
        await loop.sock_connect(sock, server)
        await loop.sock_sendall(sock, len(wire).to_bytes(2, "big") + wire)
        found = bytearray()
        while len(found) < 2 or len(found) < 2 + int.from_bytes(found[:2], "big"):
            data = await loop.sock_recv(sock, _DATAGRAM)
            if not data:
                return None
            found += data
        return bytes(found[2 : 2 + int.from_bytes(found[:2], "big")])


def _socket(server: Server, kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, kind)
    sock.setblocking(False)  # noqa: FBT003  (the socket module's own signature)
    return sock


def _unsent(server: Server, error: OSError, how: str = "") -> Failed:
    code = errorcode.get(error.errno or 0, str(error))
    if error.errno in _NO_ROOM:
        return Failed(Reason.NO_DESCRIPTORS, f"no socket to ask {joined(*server)}: {code}")
    return Failed(Reason.DNS_SERVFAIL, f"{joined(*server)} cannot be asked{how}: {code}")
