"""A resolver of ours, scripted name servers, and a clock that a test turns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from probes._names.resolv_conf import ResolvConf, Watched, read_hosts
from probes._names.stub_resolver import KEPT, StubResolver
from probes.contract import LookFailed
from tests.servers.name_server import NameServer, Script, Step, name_server, reply
from tests.servers.zone import kind_of, name_of

SHOP = "shop.example.com"
A, AAAA = f"{SHOP}. 60 A 203.0.113.7", f"{SHOP}. 300 AAAA 2001:db8::7"
PATIENT = ResolvConf(timeout=5, attempts=2)
HASTY = ResolvConf(timeout=0.1, attempts=1)
"""Of servers that will not answer: nobody waits for them for long."""


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Rig:
    """A resolver that asks scripted servers, by a clock that the test turns."""

    stack: ExitStack
    clock: Clock = field(default_factory=Clock)
    servers: list[NameServer] = field(default_factory=list)
    made: list[StubResolver] = field(default_factory=list)

    def serve(self, udp: Script, tcp: Script | None = None) -> NameServer:
        self.servers.append(self.stack.enter_context(name_server(udp, tcp)))
        return self.servers[-1]

    def resolver(
        self, conf: ResolvConf = PATIENT, keep: float = KEPT, hosts: str = "", grace: float = 5.0
    ) -> StubResolver:
        where = tuple(("127.0.0.1", server.port) for server in self.servers)
        known: Watched[Mapping[str, tuple[str, ...]]] = Watched("/nowhere", lambda _: read_hosts(hosts))
        made = StubResolver(where, keep, Watched("/nowhere", lambda _: conf), known, self.clock, grace)
        self.made.append(made)
        return made

    @property
    def asked(self) -> list[tuple[str, str]]:
        """(name, type) of all questions by UDP."""
        return [(name_of(wire).rstrip("."), kind_of(wire)) for server in self.servers for wire in server.by_udp]


@pytest.fixture
def rig() -> Iterator[Rig]:
    with ExitStack() as stack:
        made = Rig(stack)
        yield made
        for resolver in made.made:
            resolver.close()


async def hosts_of(resolver: StubResolver, host: str = SHOP, timeout: float = 5.0, **how: object) -> list[str]:
    found = await resolver.find(host, 80, timeout, **how)  # type: ignore[arg-type]
    return sorted(address.host for address in found)


async def failure_of(resolver: StubResolver, host: str = SHOP, timeout: float = 5.0, **how: object) -> LookFailed:
    with pytest.raises(LookFailed) as raised:
        await resolver.find(host, 80, timeout, **how)  # type: ignore[arg-type]
    return raised.value


def good(question: bytes) -> bytes:
    return reply(question, *([A] if kind_of(question) == "A" else []))


@dataclass
class Switch:
    """A server that can be made to say something else."""

    script: Script

    def __call__(self, question: bytes) -> list[Step]:
        return list(self.script(question))
