"""A server that does as it is told, however bad. It blocks, in threads of its own: it misbehaves on time also while
the loop of a test stands still."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.servers.misbehaving.steps import Again, Do, Drip, Script, Step

_LINGER = struct.pack("ii", 1, 0)
_PATIENCE = 30.0
"""Seconds after which a connection that nobody ends is given up."""
_SMALL = 4096
"""Bytes of receive buffer: a large request is then not taken by the kernel in the server's stead."""


@dataclass
class Serving:
    """A server under way: where it is, and what it was asked so far."""

    listener: socket.socket
    script: Script
    tls: ssl.SSLContext | None
    requests: list[bytes] = field(default_factory=list)
    spoken: threading.Event = field(default_factory=threading.Event)
    """Some bytes are on their way to the client."""
    _live: set[socket.socket] = field(default_factory=set)
    _threads: list[threading.Thread] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self._live.add(connection)
            thread = threading.Thread(target=self._talk, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for sock in (self.listener, *self._live):  # those that are closed by now say so
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for it
        for thread in self._threads:
            thread.join(_PATIENCE)
        self.listener.close()

    def _talk(self, connection: socket.socket) -> None:
        link = connection
        try:
            connection.settimeout(_PATIENCE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is not None:
                link = self._secured(connection, self.tls)
            for step in self.script:
                self._take(link, step)
        except (OSError, ValueError):
            pass  # the client has gone, which is what many of them should do
        finally:
            link.close()
            connection.close()

    def _secured(self, connection: socket.socket, tls: ssl.SSLContext) -> socket.socket:
        """TLS on a connection. Where it does not come about, the client has time to read why: who closes while
        something is unread resets the connection."""
        link = tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self._live.add(link)
        try:
            link.do_handshake()
        except ssl.SSLError:
            with socket.socket(fileno=link.detach()) as rest:
                self._live.add(rest)
                rest.settimeout(_PATIENCE)
                rest.shutdown(socket.SHUT_WR)
                while rest.recv(65_536):
                    pass
            raise
        return link

    def _take(self, link: socket.socket, step: Step) -> None:
        match step:
            case bytes():
                link.sendall(step)
                self.spoken.set()
            case float():
                self._stop.wait(step)
            case Drip(data, every):
                for byte in data:
                    link.sendall(bytes((byte,)))
                    self._stop.wait(every)
            case Again():
                self._repeat(link, step)
            case Do.ASKED:
                self.requests.append(_request(link))
            case Do.HEARD:
                _some(link)
            case Do.HANG:
                while link.recv(65_536):
                    pass
            case Do.RESET:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            case Do.GOODBYE:
                assert isinstance(link, ssl.SSLSocket)
                link.unwrap()
            case _:
                link.sendall(step(self.requests[-1]))

    def _repeat(self, link: socket.socket, step: Again) -> None:
        done = 0
        while done != step.times and not self._stop.is_set():
            link.sendall(step.data)
            done += 1


def _request(link: socket.socket) -> bytes:
    """A request to its end. Raises OSError if the client goes before."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(link)
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            while len(body) < int(line.split(b":")[1]):
                body += _some(link)
    return head + b"\r\n\r\n" + body


def _some(link: socket.socket) -> bytes:
    data = link.recv(65_536)
    if not data:
        raise ConnectionResetError
    return data


@contextmanager
def serving(
    script: Script, tls: ssl.SSLContext | None = None, where: tuple[str, int] = ("127.0.0.1", 0)
) -> Iterator[Serving]:
    """A server on that address that takes the script on every connection, within TLS if it is given a context."""
    listener = socket.socket(socket.AF_INET6 if ":" in where[0] else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
    listener.bind(where)
    listener.listen(64)
    server = Serving(listener, script, tls)
    thread = threading.Thread(target=server.accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(_PATIENCE)
