"""A server that holds one conversation after another as a test writes it, in a thread: text, then TLS, then text."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

HEAR = "hear"
"""Wait for something to come."""
TLS = "tls"
"""From here on TLS is spoken."""
HANG = "hang"
"""Say no more, and keep the connection."""

Turn = bytes | str


@contextmanager
def talker(*turns: Turn, tls: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """Its port, and what it has heard."""
    heard: list[bytes] = []
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            connection = stack.enter_context(connection)
            connection.settimeout(5)
            for turn in turns:
                if turn == HEAR:
                    data = connection.recv(65_536)
                    heard.append(data)
                    if not data:
                        return
                elif turn == TLS:
                    assert tls is not None
                    connection = stack.enter_context(tls.wrap_socket(connection, server_side=True))
                elif turn == HANG:
                    over.wait(5)
                elif isinstance(turn, bytes):
                    connection.sendall(turn)

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not over.is_set():
                connection, _ = listener.accept()
                thread = threading.Thread(target=serve, args=(connection,), daemon=True)
                thread.start()
                threads.append(thread)

    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept, args=(listener,), daemon=True)
        accepting.start()
        try:
            yield listener.getsockname()[1], heard
        finally:
            over.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            accepting.join(5)
            for thread in threads:
                thread.join(5)
