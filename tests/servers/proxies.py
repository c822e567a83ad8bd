"""Tinyproxy, an HTTP proxy, and microsocks, a SOCKS proxy, from Debian."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import daemon, find, free_port, listens

_TINYPROXY = """
Port {port}
Listen 127.0.0.1
Timeout 30
MaxClients 20
LogFile "{folder}/tinyproxy.log"
LogLevel Info
Allow 127.0.0.1
{login}
"""


@contextmanager
def tinyproxy(folder: Path, login: tuple[str, str] | None = None) -> Iterator[int]:
    """The port of a proxy that wants this user and password. Raises `Absent`."""
    program, port = find("tinyproxy", "tinyproxy-bin"), free_port()
    wanted = "BasicAuth {} {}".format(*login) if login is not None else ""
    (folder / "tinyproxy.conf").write_text(_TINYPROXY.format(port=port, folder=folder, login=wanted))
    with daemon([program, "-d", "-c", str(folder / "tinyproxy.conf")], folder, lambda: listens(port)):
        yield port


@contextmanager
def microsocks(folder: Path, login: tuple[str, str] | None = None) -> Iterator[int]:
    """The port of a proxy that wants this user and password. Raises `Absent`."""
    program, port = find("microsocks", "microsocks"), free_port()
    wanted = ["-u", login[0], "-P", login[1]] if login is not None else []
    with daemon([program, "-i", "127.0.0.1", "-p", str(port), *wanted], folder, lambda: listens(port)):
        yield port
