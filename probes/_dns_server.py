"""Whom to ask: the server as people write it, or the resolver of this machine."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

from probes._endpoint import host_in, port_in
from probes.contract import BadField

RESOLV_CONF = "/etc/resolv.conf"
PORT, TLS_PORT = 53, 853

_NOBODY = "127.0.0.1"
"""Who is asked by a machine that names nobody (resolv.conf(5))."""


def server_of(text: str, port: int) -> tuple[str, int]:
    """The host, without brackets and the final dot, and the port, which is `port` unless one is written. Raises
    `BadField` for `server`."""
    try:
        return str(ipaddress.IPv6Address(text)), port
    except ValueError:
        pass
    try:
        host, written = host_in(text, "write host, host:port or [IPv6 address]:port")
        return host.rstrip(".") or host, port_in(written) if written else port
    except ValueError as error:
        raise BadField("server", f"{text!r} is no server: {error}") from None


class ResolvConf:
    """Which name server a file such as `RESOLV_CONF` names first; read anew when it has changed."""

    __slots__ = ("_first", "_path", "_seen")

    def __init__(self, path: str = RESOLV_CONF) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._first = _NOBODY

    def first(self) -> str:
        """Its address. It is a small local file, and as a rule not even opened: no thread is worth it."""
        try:
            found = os.stat(self._path)  # noqa: PTH116  (once a look)
            seen = (found.st_mtime_ns, found.st_ino)
            if seen != self._seen:
                self._first, self._seen = _first(Path(self._path).read_text(errors="replace")), seen
        except OSError:
            self._first, self._seen = _NOBODY, None
        return self._first


def _first(text: str) -> str:
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver" and _is_address(words[1]):
            return words[1]
    return _NOBODY


def _is_address(text: str) -> bool:
    """Not one with a zone (`fe80::1%eth0`), which says nothing without its interface."""
    try:
        return "%" not in str(ipaddress.ip_address(text))
    except ValueError:
        return False
