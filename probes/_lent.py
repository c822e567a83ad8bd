"""What the agent lends to a look: names to addresses, TLS contexts, and an ear on the wire."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from probes._fields import Secret


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect: an IP address in text, the port, and the socket family (`socket.AF_INET`, `AF_INET6`)."""

    host: str
    port: int
    family: int
    age: float = field(default=0.0, compare=False)
    """Seconds since the name was resolved, where that was not for this look; else 0."""
    stale: bool = field(default=False, compare=False)
    """Whether its time is over: an old answer serves, as the new one does not come."""

    @property
    def origin(self) -> str:
        """Where it has come from, as evidence; empty where the name was resolved for this look."""
        if not self.age:
            return ""
        return f"from {self.age:.0f} s ago" if self.stale else f"from the cache, {self.age:.0f} s old"


class Ip(StrEnum):
    """Which addresses of a name a check goes by."""

    ONLY_4 = "4"
    ONLY_6 = "6"
    PREFER_4 = "prefer 4"
    PREFER_6 = "prefer 6"


@dataclass(frozen=True, slots=True)
class ResolverWanted:
    """By whom names are resolved: `system` is getaddrinfo; else the agent asks the name `servers` (address, port)
    itself, those of resolv.conf where there are none. `cache`: seconds for which it keeps an answer at most; 0: each
    look asks for itself; None: as long as its TTL says, up to 5 minutes."""

    system: bool = False
    servers: tuple[tuple[str, int], ...] = ()
    cache: float | None = None


class Resolver(Protocol):
    """Names to addresses. Raises `LookFailed` with a dns_* reason; answers within `timeout` seconds."""

    async def resolve(self, host: str, port: int, timeout: float) -> tuple[Address, ...]: ...


@dataclass(frozen=True, slots=True)
class TlsWanted:
    """What a TLS client wants: how the server is verified, what the agent shows, which versions it speaks.

    `ca_file`, `certificate` and `key` are files of PEM; the key may be in the certificate's file. `minimum` is the
    lowest version spoken, as ``"1.2"``; None: OpenSSL's own choice. `alpn` names a protocol to speak. With `any_name`
    a server is verified, but may have a certificate for another name.
    """

    verify: bool = True
    ca_file: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: Secret | None = None
    minimum: str | None = None
    alpn: str | None = None
    any_name: bool = False


class TlsContexts(Protocol):
    """Shared client contexts: the CA store is read once, not once a look."""

    async def get(self, wanted: TlsWanted) -> ssl.SSLContext:
        """Raises `LookFailed` (denied) when a file cannot be read."""


class Trace(Protocol):
    """Who listens to the wire of one look. `at` is by `time.perf_counter`; what is told is not redacted."""

    def sent(self, peer: str, data: bytes, at: float) -> None: ...

    def received(self, peer: str, data: bytes, at: float) -> None: ...

    def noted(self, what: str, at: float) -> None:
        """A step that is not bytes: a name asked for, an address that refused, a handshake that ended."""

    def spent(self, phase: str, began: float, ended: float) -> None:
        """A phase has ended."""

    def stopped(self, step: str, began: float, ended: float) -> None:
        """The look has failed in the middle of this step."""

    def attempted(self, where: str, began: float, ended: float, told: str) -> None:
        """One address was tried, and what came of it; several may be under way at once."""

    def learnt(self, secret: str) -> None:
        """What was met on the way and must not be shown: a cookie, a token."""
