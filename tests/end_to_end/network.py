"""A small internet of the test's own, in network namespaces: the agent's machine, its router, and the world.

The servers are the test's: a socket belongs to the namespace in which it was made, whoever serves it then.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

AGENT, GATEWAY = "10.77.0.2", "10.77.0.1"
REFERENCES = ("192.0.2.53", "198.51.100.53")
WORLD = tuple(f"10.{number}.0.80" for number in range(101, 108))
"""Addresses of targets, each in a network of its own; the last one is the receiver's."""
_NUMBERS = count()
_CLONE_NEWNET = 0x40000000
_CABLES = """\
link add eth0 netns {a} type veth peer name near netns {r}
link add far netns {r} type veth peer name eth0 netns {w}
"""
_ADDRESSES = {
    "a": f"addr add {AGENT}/24 dev eth0",
    "r": f"addr add {GATEWAY}/24 dev near\naddr add 10.78.0.1/24 dev far\nlink set near up\nlink set far up",
    "w": "addr add 10.78.0.2/24 dev eth0",
}
_ROUTES = {"a": GATEWAY, "r": "10.78.0.2", "w": "10.78.0.1"}


class Internet:
    """The three namespaces, by the names of `ip netns`."""

    def __init__(self, name: str) -> None:
        self.agent, self.router, self.world = (f"{name}{letter}" for letter in "arw")

    def listen(self, host: str, port: int = 0) -> socket.socket:
        """A socket of the world that takes connections."""
        return within(self.world, lambda: socket.create_server((host, port)))

    @property
    def before(self) -> tuple[str, ...]:
        """Put before a command: it runs on the agent's machine."""
        return ("ip", "netns", "exec", self.agent)

    def cut_uplink(self) -> None:
        """What lies behind the router swallows all packets; the router is there."""
        _ip("-n", self.router, "route", "replace", "blackhole", "default")

    def mend_uplink(self) -> None:
        _ip("-n", self.router, "route", "replace", "default", "via", "10.78.0.2")

    def cut_targets(self) -> None:
        """The router swallows what goes to the targets, and nothing else."""
        for host in WORLD[:-1]:
            _ip("-n", self.router, "route", "replace", "blackhole", f"{host}/32")

    def cut_cable(self) -> None:
        """The router's side of the agent's cable is pulled."""
        _ip("-n", self.router, "link", "set", "near", "down")

    def mend_cable(self) -> None:
        _ip("-n", self.router, "link", "set", "near", "up")


@contextmanager
def internet() -> Iterator[Internet]:
    made = Internet(f"bo{os.getpid()}{next(_NUMBERS)}")
    names = (made.agent, made.router, made.world)
    try:
        for name in names:
            _ip("netns", "add", name)
        _ip("-batch", "-", text=_CABLES.format(a=made.agent, r=made.router, w=made.world))
        for letter, name in zip("arw", names, strict=True):
            up = "link set lo up" if letter == "r" else "link set lo up\nlink set eth0 up"
            lines = (_ADDRESSES[letter], up, f"route add default via {_ROUTES[letter]}")
            _ip("-n", name, "-batch", "-", text="\n".join(lines) + "\n")
        within(made.router, lambda: Path("/proc/sys/net/ipv4/ip_forward").write_text("1"))
        for host in (*REFERENCES, *WORLD):
            _ip("-n", made.world, "addr", "add", f"{host}/32", "dev", "lo")
        yield made
    finally:
        for name in names:
            subprocess.run(("ip", "netns", "del", name), capture_output=True, check=False)


def within(name: str, act: Callable[[], T]) -> T:
    """Do something in a namespace, in a thread that ends with it."""
    found: list[T] = []

    def enter() -> None:
        with Path(f"/run/netns/{name}").open() as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        found.append(act())

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return found[0]


def networks_allowed() -> bool:
    """Whether this user may make network namespaces."""
    name = f"bo{os.getpid()}try"
    try:
        made = subprocess.run(("ip", "netns", "add", name), capture_output=True, timeout=10, check=False)
        subprocess.run(("ip", "netns", "del", name), capture_output=True, timeout=10, check=False)
    except OSError:
        return False
    return made.returncode == 0


def _ip(*arguments: str, text: str | None = None) -> None:
    subprocess.run(("ip", *arguments), input=text, text=True, capture_output=True, check=True, timeout=10)
