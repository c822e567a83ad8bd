"""A name server of the test's own, and a mount namespace in which a process asks that one and no other, and trusts a
certificate authority of the test's."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

ADDRESS = f"127.53.{os.getpid() // 256 % 256}.{os.getpid() % 254 + 1}"
_SERVFAIL, _NXDOMAIN = 2, 3


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """Every name but those that are `gone` is 127.0.0.1, has no other address, and is kept for no time."""

    silent: bool = False
    failing: bool = False
    gone: set[bytes] = field(default_factory=set)
    """First labels of names that do not exist."""
    asked: list[bytes] = field(default_factory=list)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked.append(data)
        if not self.silent:
            self._transport.sendto(self._answer(data), addr)  # type: ignore[attr-defined]

    def _answer(self, data: bytes) -> bytes:
        end = data.index(b"\0", 12) + 5
        question, kind = data[12:end], data[end - 4 : end - 2]
        code = _SERVFAIL if self.failing else _NXDOMAIN if data[13 : 13 + data[12]].lower() in self.gone else 0
        found = kind == b"\0\1" and not code
        head = data[:2] + bytes((0x81, 0x80 | code)) + b"\0\1" + bytes((0, found)) + bytes(4)
        record = b"\xc0\x0c" + b"\0\1\0\1" + bytes(4) + b"\0\4" + bytes((127, 0, 0, 1))
        return head + question + (record if found else b"")


@asynccontextmanager
async def name_server() -> AsyncIterator[NameServer]:
    """Raises PermissionError where port 53 is not for us."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(NameServer, local_addr=(ADDRESS, 53))
    try:
        yield server
    finally:
        transport.close()


def asking_it(folder: Path) -> tuple[str, ...]:
    """Put before a command: it sees a resolv.conf of the test's own. Nothing else on this machine does."""
    conf, switch = folder / "resolv.conf", folder / "nsswitch.conf"
    conf.write_text(f"nameserver {ADDRESS}\noptions timeout:1 attempts:1\n")
    switch.write_text("hosts: files dns\n")
    return _mounted({"/etc/resolv.conf": conf, "/etc/nsswitch.conf": switch})


def trusting(authority: Path) -> tuple[str, ...]:
    """Put before a command: its sinks trust that authority, and no other."""
    return ("env", "-u", "SSL_CERT_DIR", f"SSL_CERT_FILE={authority}")


def _mounted(files: dict[str, Path]) -> tuple[str, ...]:
    mounts = " ".join(f"mount --bind {file} {place};" for place, file in files.items())
    return ("unshare", "--mount", "sh", "-ec", f'{mounts} exec "$@"', "sh")


def namespaces_allowed() -> bool:
    command = ("unshare", "--mount", "sh", "-c", "mount --bind /etc/resolv.conf /etc/resolv.conf")
    try:
        return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0
    except OSError:
        return False
