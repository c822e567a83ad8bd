"""HTTP of Apprise's plug-ins, within bounds: they read whatever is answered, for as long as it comes, and follow it
wherever it points. All of them call `requests`, whose adapter is this one from when on Apprise is loaded.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

BODY_LIMIT: Final = 64 * 1024
_PIECE: Final = 4096
_MOST_PIECES: Final = 2000
"""An answer in chunks of a byte each is gone through for as long as that."""


class Lines:
    """The connections of one send, which can be cut off from another thread: what has begun ends by that alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._over = False

    def add(self, made: socket.socket) -> None:
        """By a descriptor of our own: TLS takes the socket's away. Raises `OSError` when it is over."""
        with self._lock:
            if self._over:
                raise ConnectionAbortedError("its time is over")
            self._open.append(socket.socket(fileno=os.dup(made.fileno())))

    def cut(self) -> None:
        """Whoever reads or writes there comes to an end; nothing is begun any more."""
        with self._lock:
            self._over = True
            for line in self._open:
                with contextlib.suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """The send has ended."""
        with self._lock:
            self._over = True
            for line in self._open:
                line.close()
            self._open.clear()


class _Here(threading.local):
    lines: Lines | None = None


here: Final = _Here()
"""Whose connections are made in this thread."""


def bound() -> None:
    """From now on requests are within bounds: a session takes the adapter of this name."""
    requests.sessions.HTTPAdapter = Bounded  # type: ignore[attr-defined]


class Bounded(HTTPAdapter):
    """Reads so much of an answer, unpacks nothing, and points nowhere: the URL's secrets are for its host alone."""

    def init_poolmanager(self, *given: Any, **named: Any) -> None:
        super().init_poolmanager(*given, **named)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *given: Any, **named: Any) -> Any:
        manager = super().proxy_manager_for(*given, **named)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(self, request: Any, stream: bool = False, *given: Any, **named: Any) -> requests.Response:  # noqa: ARG002, FBT001, FBT002  (the library's)
        request.headers["Accept-Encoding"] = "identity"
        response = super().send(request, True, *given, **named)  # noqa: FBT003  (the library's)
        response._content = _read(response.raw)  # noqa: SLF001  (as `requests` itself does where it reads all of it)
        response._content_consumed = True  # noqa: SLF001
        response.raw.close()
        response.headers.pop("Location", None)
        return response


def _read(raw: Any) -> bytes:
    """One that is endless or broken changes nothing: the status has said it."""
    kept = bytearray()
    with contextlib.suppress(HTTPError, OSError):
        for _, piece in zip(range(_MOST_PIECES), raw.stream(_PIECE, decode_content=False), strict=False):
            kept += piece[: BODY_LIMIT - len(kept)]
            if len(kept) >= BODY_LIMIT:
                break
    return bytes(kept)


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _known(super()._new_conn())


class _TlsConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _known(super()._new_conn())


def _known(made: socket.socket) -> socket.socket:
    if here.lines is not None:
        try:
            here.lines.add(made)
        except OSError:
            made.close()
            raise
    return made


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS: Final = {"http": _Pool, "https": _TlsPool}
