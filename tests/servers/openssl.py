"""``openssl s_server``: another implementation of TLS than Python's, with every version and option that it has."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers.authority import Authority

_LISTENS = re.compile(rb"ACCEPT \S*?:(\d+)")


@contextmanager
def openssl_server(authority: Authority, name: str = "good", *options: str) -> Iterator[int]:
    """The port of a server with that certificate and its chain; it answers HTTP with a page about the connection.

    ``-tls1_1`` and older need ``-cipher ALL:@SECLEVEL=0``.
    """
    pem = authority.path(name)
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", pem, "-cert_chain", pem]
    command += ["-key", authority.key(name), *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
    ) as server:
        try:
            yield _port(server)
        finally:
            server.kill()


def _port(server: subprocess.Popen[bytes]) -> int:
    assert server.stdout is not None
    said = b""
    for line in server.stdout:
        said += line
        if found := _LISTENS.search(line):
            return int(found[1])
    raise RuntimeError(f"openssl s_server did not start: {said.decode()}")
