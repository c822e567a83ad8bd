"""A network of the test's own, behind a TUN device in a network namespace: what is sent there, a script answers."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from probes._wire.echo import checksum

HERE_4, HERE_6 = "192.0.2.1", "2001:db8::1"
FAR_4, FAR_6 = "192.0.2.9", "2001:db8::9"
ROUTER = "192.0.2.254"

Step = bytes | float
"""A packet that comes back, or seconds to wait before what follows."""
Script = Callable[["Ping"], Iterable[Step]]

_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _TUN = 0x400454CA, 0x1001  # without a header of its own
_COMMANDS = (
    "ip link set lo up",
    f"ip addr add {HERE_4}/24 dev t0",
    f"ip addr add {HERE_6}/64 dev t0 nodad",
    "ip link set t0 up",
)


@dataclass(frozen=True)
class Ping:
    """An echo request, the first one numbered 0."""

    number: int
    packet: bytes

    @property
    def six(self) -> bool:
        return self.packet[0] >> 4 == 6

    @property
    def icmp(self) -> bytes:
        return self.packet[40:] if self.six else self.packet[20:]

    def reply(self, **changed: bytes) -> bytes:
        """The echo reply; `payload`: with another one."""
        head, payload = self.icmp[:8], changed.get("payload", self.icmp[8:])
        kind = 129 if self.six else 0
        return self.said(bytes((kind, 0, 0, 0)) + head[4:] + payload)

    def refused(self, kind: int, code: int) -> bytes:
        """A router says that it could not be delivered."""
        return self.said(bytes((kind, code, 0, 0)) + bytes(4) + self.packet[:128], by=None if self.six else ROUTER)

    def said(self, icmp: bytes, by: str | None = None) -> bytes:
        """A packet from there to here."""
        return self._six(icmp) if self.six else self._four(icmp, by)

    def _four(self, icmp: bytes, by: str | None) -> bytes:
        icmp = icmp[:2] + struct.pack("!H", checksum(icmp)) + icmp[4:]
        source = socket.inet_aton(by) if by else self.packet[16:20]
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(icmp), 0, 0, 64, 1, 0, source, self.packet[12:16])
        return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + icmp

    def _six(self, icmp: bytes) -> bytes:
        source, target = self.packet[24:40], self.packet[8:24]
        pseudo = source + target + struct.pack("!IBBBB", len(icmp), 0, 0, 0, 58)
        icmp = icmp[:2] + struct.pack("!H", checksum(pseudo + icmp)) + icmp[4:]
        return struct.pack("!IHBB", 0x60000000, len(icmp), 58, 64) + source + target + icmp


@dataclass
class FarHost:
    """What was sent to it."""

    pings: list[Ping] = field(default_factory=list)


def namespaces_allowed() -> bool:
    """Whether this user may make such a network."""
    try:
        done = subprocess.run(["unshare", "--net", "true"], capture_output=True, timeout=10, check=False)
        return done.returncode == 0 and os.access("/dev/net/tun", os.R_OK | os.W_OK)
    except OSError:
        return False


@contextmanager
def far_host(script: Script, *, ping_sockets: bool) -> Iterator[FarHost]:
    """While this lasts, sockets of the calling thread are in that network. `ping_sockets`: else only raw ones are
    allowed there."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    tun = os.open("/dev/net/tun", os.O_RDWR)
    stop, wake = os.pipe()
    host = FarHost()
    thread = threading.Thread(target=_serve, args=(tun, stop, script, host), daemon=True)
    try:
        fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH", b"t0", _TUN))
        for command in _COMMANDS:
            subprocess.run(command.split(), check=True)
        Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 2147483647" if ping_sockets else "1 0")
        thread.start()
        yield host
    finally:
        os.write(wake, b"x")
        if thread.is_alive():
            thread.join(10)
        libc.setns(before, 0)
        for descriptor in (tun, stop, wake, before):
            os.close(descriptor)


def _serve(tun: int, stop: int, script: Script, host: FarHost) -> None:
    while tun in (ready := select.select([tun, stop], [], [])[0]) or stop not in ready:
        packet = os.read(tun, 65_535)
        ping = Ping(len(host.pings), packet)
        if ping.icmp[:1] not in (b"\x08", b"\x80") or packet[6 if ping.six else 9] not in (1, 58):
            continue  # of neighbours and multicast groups
        host.pings.append(ping)
        for step in script(ping):
            if isinstance(step, float):
                threading.Event().wait(step)
            else:
                with contextlib.suppress(OSError):
                    os.write(tun, step)
        if stop in ready:
            return
