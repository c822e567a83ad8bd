"""A network of a test's own, with a router in it that rejects, drops and forwards nothing: for real answers of a real
kernel to who wants to go where nobody is."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.servers import Absent, end, find, wait_until

_CLONE_NEWNET = 0x40000000  # linux/sched.h

_ROUTER = """
ip link set lo up; ip address add 10.77.0.1/30 dev right; ip link set right up
echo 1 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv4/icmp_ratelimit
ip route add unreachable 192.0.2.0/26; ip route add prohibit 192.0.2.64/26; ip route add blackhole 198.51.100.0/24
"""
_HERE = """
ip link set lo up; ip address add 10.77.0.2/30 dev left; ip link set left up
ip route add 192.0.2.0/24 via 10.77.0.1; ip route add 198.51.100.0/24 via 10.77.0.1
"""


@contextmanager
def namespace() -> Iterator[Executor]:
    """A thread in a network namespace of its own: what runs there, and the processes that it starts, see that network
    and no other. Raises `Absent` where nobody may make one."""
    find("ip", "iproute2")
    with ThreadPoolExecutor(1) as inside:
        try:
            inside.submit(_enter).result()
        except OSError as error:
            raise Absent(f"needs network namespaces: {error.strerror}") from error
        router = subprocess.Popen([find("unshare", "util-linux"), "--net", "sleep", "infinity"])
        try:
            inside.submit(_connect, router.pid).result()
            yield inside
        finally:
            end(router)


def _enter() -> None:
    """The thread leaves the network of the others, for good."""
    if not sys.platform.startswith("linux"):
        raise Absent("needs network namespaces: Linux")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _connect(router: int) -> None:
    ours = Path("/proc/thread-self/ns/net").readlink()
    outside = Path("/proc/self/ns/net").readlink()
    wait_until(lambda: Path(f"/proc/{router}/ns/net").readlink() not in (ours, outside), "no namespace of a router")
    _run("ip", "link", "add", "left", "type", "veth", "peer", "name", "right", "netns", str(router))
    _run("nsenter", f"--net=/proc/{router}/ns/net", "sh", "-ec", _ROUTER)
    _run("sh", "-ec", _HERE)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Absent(f"needs a network of its own: {' '.join(command[:2])}: {done.stderr.strip()[-200:]}")
