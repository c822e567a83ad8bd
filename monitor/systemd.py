"""What a service tells systemd: sd_notify(3) over its datagram socket, and the watchdog's food.

Without ``NOTIFY_SOCKET`` in the environment everything here does nothing, so the agent runs the same in a terminal.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from monitor.clock import Clock

FEEDS_PER_PERIOD = 4
"""systemd asks for at least two; one that is late or lost must not kill the agent."""


class Notifier:
    """Sends states to the service manager; never waits and never fails, for nobody may depend on being heard."""

    def __init__(self, address: str | None) -> None:
        self._address = _socket_address(address) if address else None
        self._socket: socket.socket | None = None
        if self._address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.settimeout(0)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Notifier:
        return cls(environ.get("NOTIFY_SOCKET"))

    @property
    def enabled(self) -> bool:
        return self._socket is not None

    def ready(self, status: str = "") -> bool:
        """The agent watches; also the end of a reload. False: nobody was told."""
        return self._send("READY=1", *_status(status))

    def stopping(self, status: str = "") -> bool:
        return self._send("STOPPING=1", *_status(status))

    def reloading(self, clock: Clock) -> bool:
        """A reload begins; `ready` ends it. Type=notify-reload (systemd 253) wants the monotonic time with it."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={int(clock.now().tick * 1e6)}")

    def alive(self) -> bool:
        return self._send("WATCHDOG=1")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> bool:
        if self._socket is None or self._address is None or not lines:
            return False
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return False
        return True


class Watchdog:
    """Tells systemd that the agent works, as long as the scheduler's loop comes round."""

    __slots__ = ("_clock", "_every", "_next", "_notifier")

    def __init__(self, notifier: Notifier, clock: Clock, period: float | None) -> None:
        """`period`: seconds of silence after which systemd kills us; None when it does not watch."""
        self._notifier = notifier
        self._clock = clock
        self._every = period / FEEDS_PER_PERIOD if period and notifier.enabled else None
        self._next = float("-inf")

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], notifier: Notifier, clock: Clock) -> Watchdog:
        return cls(notifier, clock, watchdog_period(environ, os.getpid()))

    def feed(self) -> None:
        """Called at each real pass of the scheduler's loop; most calls do nothing."""
        if self._every is None:
            return
        now = self._clock.now().tick
        if now >= self._next and self._notifier.alive():
            self._next = now + self._every


def watchdog_period(environ: Mapping[str, str], pid: int) -> float | None:
    """Seconds from ``WATCHDOG_USEC``; None if unset, unreadable, or meant for another process (``WATCHDOG_PID``)."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    microseconds = environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) > 0 else None


def _socket_address(address: str) -> str | None:
    """A path, or ``@name`` for the abstract namespace; of anything else (vsock) we know nothing."""
    if address.startswith("@"):
        return "\0" + address[1:]
    return address if address.startswith("/") else None


def _status(text: str) -> tuple[str, ...]:
    """One line only: a line break in a status would begin another assignment."""
    return (f"STATUS={' '.join(text.split())}",) if text else ()
