"""A web server that knows what it did: `python -m bench._truth_server FILE`. Ends when its stdin does.

It takes the kernel's receive time of each request and its own time of each answer's first and last piece, and writes
them to FILE as lines `number came began slack ended slack`: the number in the path `/N`, and times by the monotonic
clock, which is one for all processes of a machine. `slack` is how long the piece took to be sent: with a lot of it
the server itself had lost its core, and does not know either.

How an answer comes depends on N: after 0 to 50 ms; in one piece, in two with 3 ms between them, or in 10 at once. Of
more than that the kernel sends a part only when the other side has answered (initcwnd), and nobody knows when.
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from time import perf_counter

from bench._responder import HOSTS
from probes._wire import stamps

PIECES = (1, 2, 10)
GAP = 0.003
"""Seconds between the two pieces of an answer in two."""
LONGEST = 51
"""Answers come after 0 to 50 ms."""
_PIECE = b"x" * 1400


def answer(number: int) -> list[bytes]:
    """The pieces; each is a segment of its own."""
    count = PIECES[number % len(PIECES)]
    length = len(_PIECE) * (count - 1)
    head = f"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n".encode()
    return [head, *[_PIECE] * (count - 1)]


def delay(number: int) -> float:
    return number * 7919 % LONGEST / 1000


class _Talk:
    """One connection: a request, a wait, the pieces of an answer."""

    __slots__ = ("began", "came", "number", "pieces", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.number = -1
        self.came = 0.0
        self.began = (0.0, 0.0)
        self.pieces: Iterator[bytes] = iter(())

    def ask(self) -> bool:
        """Whether a request was there; it fits into one segment."""
        data, ancillary, _, _ = self.sock.recvmsg(65_536, stamps.ANCILLARY)
        now, age = stamps.read(ancillary)
        if not data or age is None:
            return False
        self.number, self.came = int(data[5 : data.index(b" ", 5)]), now - age
        self.pieces = iter(answer(self.number))
        return True

    def say(self) -> tuple[float, float]:
        """Send the next piece; when that began and how long it took. Raises `StopIteration`."""
        piece = next(self.pieces)
        before = perf_counter()
        self.sock.send(piece)
        return before, perf_counter() - before


class Server:
    """Everybody's answers at their times, in one thread."""

    def __init__(self, told: list[str]) -> None:
        self._told = told
        self._epoll = select.epoll()
        self._talks: dict[int, _Talk] = {}
        self._due: list[tuple[float, int, _Talk]] = []
        self._numbers = itertools.count()

    def serve(self, listeners: dict[int, socket.socket]) -> None:
        """Until stdin ends."""
        for number in (*listeners, sys.stdin.fileno()):
            self._epoll.register(number, select.EPOLLIN)
        while True:
            wait = max(0.0, self._due[0][0] - perf_counter()) if self._due else -1
            for number, _ in self._epoll.poll(wait):
                if number == sys.stdin.fileno():
                    return
                if number in listeners:
                    self._accept(listeners[number])
                elif number in self._talks:
                    self._ask(number)
            while self._due and self._due[0][0] <= perf_counter():
                self._say(heapq.heappop(self._due)[2])

    def _accept(self, listener: socket.socket) -> None:
        with suppress(BlockingIOError):
            while True:
                sock, _ = listener.accept()
                sock.setblocking(False)  # noqa: FBT003  (the socket module's own signature)
                self._talks[sock.fileno()] = _Talk(sock)
                self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _ask(self, number: int) -> None:
        talk = self._talks[number]
        try:
            asked = talk.number < 0 and talk.ask()
        except OSError:
            asked = False
        if asked:
            self._later(talk.came + delay(talk.number), talk)
        else:
            self._close(talk)

    def _later(self, due: float, talk: _Talk) -> None:
        heapq.heappush(self._due, (due, next(self._numbers), talk))

    def _say(self, talk: _Talk) -> None:
        """The next piece, or all that are left."""
        if talk.sock.fileno() < 0:
            return  # whoever asked did not wait
        try:
            sent = talk.say()
            talk.began = talk.began if talk.began[0] else sent
            if sent is talk.began and PIECES[talk.number % len(PIECES)] == 2:
                self._later(perf_counter() + GAP, talk)
                return
            with suppress(StopIteration):
                while True:
                    sent = talk.say()
        except OSError:
            self._close(talk)
            return
        times = (talk.came, *talk.began, *sent)
        self._told.append(f"{talk.number} " + " ".join(f"{each:.6f}" for each in times))
        self._close(talk)

    def _close(self, talk: _Talk) -> None:
        number = talk.sock.fileno()
        self._epoll.unregister(number)
        self._talks.pop(number).sock.close()


def main(path: Path) -> None:
    told: list[str] = []
    with ExitStack() as stack:
        listeners, port = {}, 0
        for host in HOSTS:
            listener = stack.enter_context(socket.create_server((host, port), backlog=4096))
            listener.setblocking(False)  # noqa: FBT003  (the socket module's own signature)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stamps.ask_for(listener)  # whatever it accepts has both from its first segment on
            port = listener.getsockname()[1]
            listeners[listener.fileno()] = listener
        print(port, flush=True)
        Server(told).serve(listeners)
    path.write_text("\n".join(told))
    print('"written"', flush=True)


if __name__ == "__main__":
    os.set_blocking(sys.stdin.fileno(), False)
    main(Path(sys.argv[1]))
