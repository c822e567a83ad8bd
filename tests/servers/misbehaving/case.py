"""What a case is: what a server does, what is to be said of it, and why that is right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from probes.contract import Blame, Reason
from tests.servers.misbehaving.steps import ASKED, Script, Step
from tests.servers.name_server import Script as Answers
from tests.servers.name_server import silent

UP = "up"
SHORT, LONG = 0.4, 5.0
"""Limits of looks: of those that end by it, and of the others."""


@dataclass(frozen=True, slots=True)
class Site:
    """A server of HTTP, or of what it takes for it."""

    script: Script
    certificate: str | None = None
    """It speaks TLS with this certificate of the tests' authority."""
    newest: str | None = None
    """The highest version of TLS that it speaks, as `ssl.TLSVersion` names it; none: the highest there is."""
    clients: bool = False
    """Whether it wants a certificate of the client."""
    https: bool = False
    """Whether it is asked by https://, although all that it sends is in the script."""
    early: bool = False
    """Whether whoever asks it is to wait until it has spoken: else it might be late on a busy machine."""
    host: str = "127.0.0.1"
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the probe `http`, beside its URL."""

    @property
    def scheme(self) -> str:
        return "https" if self.https or self.certificate else "http"


@dataclass(frozen=True, slots=True)
class Names:
    """A name server: by UDP, and by TCP where it listens there. It is the resolver of an agent that looks at a URL;
    or, `itself`, what the probe `dns` looks at."""

    by_udp: Answers = silent
    by_tcp: Answers | None = None
    itself: bool = False


@dataclass(frozen=True, slots=True)
class Network:
    """A way to a server that is none; `address` and port are those of a URL."""

    address: str
    port: int = 80


@dataclass(frozen=True, slots=True)
class Case:
    """One misbehaviour. `says` is `up`, or the reason of the look that fails; `why` argues it, in one sentence."""

    name: str
    says: str
    why: str
    server: Site | Names | Network
    others: str = ""
    """One sentence about curl and blackbox_exporter, where they say something else."""
    waits: bool = False
    """Whether a look takes all the time it has, though its reason does not say so."""

    @property
    def limit(self) -> float:
        """Seconds that a look may take."""
        return SHORT if self.waits or self.says.endswith("_timeout") else LONG

    @property
    def verdict(self) -> str:
        return verdict_of(self.says)

    def __str__(self) -> str:
        return self.name


def verdict_of(said: str) -> str:
    """`up`, `down` or `unknown`, of what is said of a look."""
    if said == UP:
        return UP
    return "down" if Reason(said).blame is Blame.TARGET else "unknown"


def answering(name: str, says: str, *steps: Step, why: str, others: str = "", **site: Any) -> Case:
    """A case of a site that reads the request first, as it should."""
    return Case(name, says, why, Site((ASKED, *steps), **site), others)


def unasked(name: str, says: str, *steps: Step, why: str, others: str = "", **site: Any) -> Case:
    """A case of a site that does not."""
    return Case(name, says, why, Site(steps, **site), others)


def said(status: str = "200 OK", *headers: str, body: bytes = b"") -> bytes:
    """An answer's bytes, with just these headers."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1") + body


HELLO = said("200 OK", "Content-Length: 5", body=b"hello")
"""An answer without fault."""
